/*
 * watched.h
 *	  Users who are on watchlists, who watches them, and what those are told.
 */
#ifndef GATEWAY_WATCHED_H
#define GATEWAY_WATCHED_H

#include <uthash.h>

#include "rooms/socket.h"

/* A user whom somebody here watches. */
typedef struct Watched
{
	App *app;
	struct Watch *watches;
	bool known;
	bool online;
	bool wanted;                 /* in the list of those to be asked for */
	bool asked;                  /* and nothing has changed since */
	bool found;                  /* in the answer */
	struct Watched *prev, *next; /* wanted */
	UT_hash_handle hh;           /* app->watched */
	char user_id[];
} Watched;

/* One client's watch of one user. */
typedef struct Watch
{
	Watched *user;
	struct Watcher *watcher;
	struct Watch *prev, *next; /* of the user */
} Watch;

/* A client with a list. */
typedef struct Watcher
{
	Socket *socket;
	bool told; /* the whole list */
	int n;
	struct Watcher *prev, *next; /* those that are not told yet */
	Watch watches[];
} Watcher;

/* Its whole list: who is online, and who is not. */
extern void watched_tell_list(const Watcher *watcher);

/* Tells all who watch him whether he is online, but those who are told their whole list later. */
extern void watched_tell_change(const Watched *user);

#endif /* GATEWAY_WATCHED_H */
