/*
 * changes.h
 *	  Changes of a room's members, each told to its subscribers.
 */
#ifndef GATEWAY_CHANGES_H
#define GATEWAY_CHANGES_H

#include "rooms/channel.h"
#include "rooms/members.h"

/* The user is no member, as far as the list knows. */
extern void change_added(Members *members, Channel *channels, const MemberRow *row);

/* Tells only what has changed. */
extern void change_updated(Members *members, Channel *channels, Member *member,
						   const MemberRow *row);

/* Frees it. */
extern void change_removed(Members *members, Channel *channels, Member *member);

/* A presence that is open now, as the read of that number has it. */
extern void change_read(Members *members, Channel *channels, const MemberRow *row, unsigned number);

/* The read of that number is over: who was not in it is removed. */
extern void changes_end_read(Members *members, Channel *channels, unsigned number);

#endif /* GATEWAY_CHANGES_H */
