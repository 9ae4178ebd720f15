/*
 * watchlist.h
 *	  Watchlists: who has signed in is told when users of his list come online and go offline.
 *
 * Online is who is in a room of the app, on whatever gateway and by whatever way: the database
 * says so (presence.online_users), and its events say when to ask.
 */
#ifndef GATEWAY_WATCHLIST_H
#define GATEWAY_WATCHLIST_H

#include "base/json.h"
#include "rooms/socket.h"

#define WATCHLIST_MAX 100

/* The socket has signed in with this list, an array; what could be no user's id is passed over. */
extern void watchlist_begin(Socket *socket, const json_t *user_ids);

/* The socket goes. */
extern void watchlist_end(Socket *socket);

/* Whether an event about that user, in that room, is of interest. */
extern bool watchlist_concerns(Bytes user_id, Bytes book_id);

/* A member event that is true. */
extern void watchlist_event(const json_t *event);

/* Events may have been lost: all are asked for again. */
extern void watchlist_unsure(void);

/* Asks for what was gathered; at the end of each turn of the loop. */
extern void watchlist_flush(void);

#endif /* GATEWAY_WATCHLIST_H */
