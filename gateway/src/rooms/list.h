/*
 * list.h
 *	  The list of a room's members that a client is given: all of them, or a page.
 *
 * A channel is paged while its room has more members than the app lists (max_listed_members). Its
 * clients have the newest. Every few seconds they are told how many there are and which are the
 * newest, not who comes and goes: what a client costs does not grow with the room.
 */
#ifndef GATEWAY_LIST_H
#define GATEWAY_LIST_H

#include "rooms/channel.h"
#include "rooms/members.h"

/* pusher_internal:subscription_succeeded, to one of them. */
extern void list_send(const Subscription *subscription, Members *members);

/*
 * There are more members or fewer: a channel that is paged from now on, or no more, has all its
 * clients given the list anew.
 */
extern void lists_consider(Channel *channels, Members *members);

/* The list of a channel that is paged is another one. */
extern void list_changed(const Channel *channel);

/* Tells what has changed, where it is time; twice a second. */
extern void lists_tick(void);

/* The channel shows no room any more. */
extern void list_forget(Channel *channel);

#endif /* GATEWAY_LIST_H */
