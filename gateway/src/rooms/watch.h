/*
 * watch.h
 *	  Watching a room: a subscription that reads its list and its events, and is no member.
 *
 * private-watch-room-{book} is the channel of who watches presence-room-{book}. Who may is decided
 * by the application, which signs it.
 */
#ifndef GATEWAY_WATCH_H
#define GATEWAY_WATCH_H

#include "rooms/room.h"

/* A subscription to such a channel is open: it is answered with the list, now or when it is known.
 */
extern void watch_begin(Subscription *subscription);

/* The room is known now. */
extern void watch_answer(Subscription *subscription);

/* The subscription ends. */
extern void watch_end(Subscription *subscription);

/* The channel here of those who watch a room's channel; NULL: there is none. */
extern Channel *watch_of(const App *app, Bytes room_channel);

#endif /* GATEWAY_WATCH_H */
