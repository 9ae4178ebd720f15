/*
 * apps.h
 *	  The Pusher apps and the settings, as the database has them.
 *
 * Read at each connect and from time to time after (database.c). An App stays in
 * memory for ever once known, since sockets point to it; one that was removed
 * is marked.
 */
#ifndef GATEWAY_APPS_H
#define GATEWAY_APPS_H

#include "util.h"

struct Channel;

typedef struct App
{
	char *id;
	char *key;
	char *secret;
	bool gone;
	bool seen;                /* by the refresh that runs */
	struct Channel *channels; /* by name (channel.c) */
	struct App *next;
} App;

typedef struct Settings
{
	char *channel_prefix; /* of rooms */
	char *events_channel; /* LISTEN */
	int timeout_ms;       /* the lease of a connection */
} Settings;

extern App *apps;         /* all, known once */
extern bool apps_known;   /* read at least once */
extern Settings settings; /* strings are NULL until they were read */

extern App *app_by_key(Bytes key);
extern App *app_by_id(Bytes id);

/* A refresh: begin, each row, end. The end marks what was not among the rows. */
extern void apps_begin(void);
extern void apps_row(const char *id, const char *key, const char *secret);
extern void apps_end(void);

/* True if something changed that needs a new connection (the channel of events). */
extern bool settings_set(const char *channel_prefix, const char *events_channel, int timeout_ms);

/* The book_id in a room's channel name; false if the channel is no room's. */
extern bool room_of_channel(Bytes channel, Bytes *book_id);

#endif /* GATEWAY_APPS_H */
