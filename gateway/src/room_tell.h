/*
 * room_tell.h
 *	  What subscribers of a room are told of its members, and in which words.
 *
 * A client's own membership it knows from its list: it hears neither its own coming nor
 * its going, and of its own user_info only what it does not know.
 */
#ifndef GATEWAY_ROOM_TELL_H
#define GATEWAY_ROOM_TELL_H

#include "room.h"

extern void room_tell_added(const Room *room, const Member *member);
extern void room_tell_updated(const Room *room, const Member *member);
extern void room_tell_removed(const Room *room, const Member *member);

/* He was a member, and is the author from now on. */
extern void room_tell_author(const Room *room, const Member *member);

/* An event without data, to all subscribers. */
extern void room_tell(const Room *room, Bytes event);

/* pusher_internal:subscription_succeeded with the members of the room; the caller's reference. */
extern Frame *room_list_frame(const Room *room);

#endif /* GATEWAY_ROOM_TELL_H */
