/*
 * member.h
 *	  The members of a room: changes of the list, each told to the subscribers.
 */
#ifndef GATEWAY_MEMBER_H
#define GATEWAY_MEMBER_H

#include "room.h"

extern Member *member_find(const Room *room, const char *user_id);

/* The user is no member, as far as the list knows. */
extern void member_add(Room *room, const MemberRow *row);

/* Tells only what has changed. */
extern void member_update(Room *room, Member *member, const MemberRow *row);

/* Frees it. */
extern void member_remove(Room *room, Member *member);

/* A presence that is open now, whatever was known of that user before. */
extern void member_put(Room *room, const MemberRow *row);

/* A read of the whole list: begun, each row put, ended. Who was not put is removed. */
extern void members_begin_read(Room *room);
extern void members_end_read(Room *room);

/* Nobody is told. */
extern void members_free(Room *room);

#endif /* GATEWAY_MEMBER_H */
