/*
 * page.h
 *	  The newest members of a room, for clients that are not given all of them.
 */
#ifndef GATEWAY_PAGE_H
#define GATEWAY_PAGE_H

#include "rooms/members.h"

/*
 * Appends "ids":["c","b"],"hash":{...} with up to max members, the newest first; and behind them
 * self, if he is none of these (NULL: nobody).
 */
extern void page_add(Buf *out, Members *members, unsigned max, const Member *self);

/* pusher_internal:subscription_succeeded of that channel with that and the count of all; the
 * caller's reference. */
extern Frame *page_frame(Members *members, Bytes channel, unsigned max, const Member *self);

#endif /* GATEWAY_PAGE_H */
