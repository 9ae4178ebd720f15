/*
 * tell.h
 *	  What subscribers of a room are told of its members, and in which words.
 *
 * A client's own membership it knows from its list: it hears neither its own coming nor
 * its going, and of its own user_info only what it does not know.
 */
#ifndef GATEWAY_TELL_H
#define GATEWAY_TELL_H

#include "rooms/channel.h"
#include "rooms/members.h"

/* channels: those that show the room. */
extern void tell_added(Channel *channels, const Member *member);
extern void tell_updated(Channel *channels, const Member *member);
extern void tell_removed(Channel *channels, const Member *member);

/* He was a member, and is the author from now on. */
extern void tell_author(Channel *channels, const Member *member);

/* His seats know whether he is the author, for when they are joined again. */
extern void tell_seats(Channel *channels, const Member *member);

/* An event without data, to all subscribers. */
extern void tell_all(Channel *channels, Bytes event);
#endif /* GATEWAY_TELL_H */
