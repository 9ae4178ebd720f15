/*
 * apps.h
 *	  The Pusher apps and the settings, as the database has them.
 *
 * Read at each connect, at each change, and from time to time after. An app has keys, one or
 * more, so that one can follow another; each key is a row of presence.pusher_app. Both stay in
 * memory for ever once known, since sockets point to them; what was removed is marked.
 */
#ifndef GATEWAY_APPS_H
#define GATEWAY_APPS_H

#include "base/json.h"
#include "base/util.h"

struct Channel;
struct Watched;

#define WATCH_PREFIX "private-watch-" /* in place of presence- */

#define ROOM_PREFIX_SIZE 151

typedef struct App
{
	char *id;
	char room_prefix[ROOM_PREFIX_SIZE]; /* its rooms are those that begin with it */
	char channel_rooms[70];             /* what its other channels' rooms begin with: @1; */
	bool has_channel_rooms;             /* there are such channels */
	json_t *webhook_events;             /* that it has webhooks for, an array; NULL: none */
	bool subscription_count;            /* clients are told how many subscribers there are */
	int max_listed_members;             /* of a room; -1: all are */
	bool gone;                          /* it has no key any more */
	struct Channel *channels;           /* by name (channel.c) */
	struct Watched *watched;            /* by user_id (watchlist.c) */
	struct App *next;
} App;

typedef struct AppKey
{
	App *app;
	char *key;
	char *secret;
	char *old_secret;  /* counts for a while after a change */
	int64_t old_until; /* ms */
	bool enabled;
	bool client_events;
	bool require_tls;
	int max_connections;  /* 0: no limit */
	json_t *origins;      /* an array; NULL: any */
	unsigned connections; /* here, now */
	bool gone;
	bool subscription_count;
	int max_listed_members;
	bool seen; /* by the refresh that runs */
	struct AppKey *next;
} AppKey;

typedef struct Settings
{
	char *channel_prefix; /* of rooms */
} Settings;

extern AppKey *app_keys;  /* all, known once */
extern Settings settings; /* strings are NULL until they were read */

/* Whether there is any app; until there is, who comes is told to come later. */
extern bool apps_known(void);

extern AppKey *app_key_find(Bytes key);
extern App *app_by_id(Bytes id);

/* All that were ever known, in a list. */
extern App *apps_first(void);

/* A key of that app, whatever it is; NULL: it has none. */
extern const AppKey *app_any_key(const App *app);

/* Whether any app has a webhook; whether that one has one for such events. */
extern bool apps_have_webhooks(void);
extern bool app_has_webhook(const App *app, const char *event);

/* Called when an app has subscription_count from now on. */
extern void (*apps_on_counted)(void);

/* A refresh: begin, each row as JSON, end. The end marks what was not among the rows. */
extern void apps_begin(void);
extern void apps_row(const char *json);
extern void apps_end(void);

/* Whether a signature is that of a key, by its secret or the one before. */
typedef bool (*Signs)(Bytes secret, const void *what, char hex[SIGNATURE_HEX_LEN + 1]);
extern bool app_key_signed(const AppKey *key, Signs signs, const void *what, Bytes signature);

/* Whether browsers of that origin may come; empty: none was told. */
extern bool app_key_allows(const AppKey *key, Bytes origin);

/*
 * The book_id that a channel of that app is of; false if it is no room's. presence-chat-1, which is
 * no book's, is that of the room @app;chat-1, if the app has such channels. Valid until the next
 * call.
 */
extern bool room_of_channel(const App *app, Bytes channel, Bytes *book_id);

/* The same, of a channel private-watch-room-{book_id}. */
extern bool room_of_watch(const App *app, Bytes channel, Bytes *book_id);

#endif /* GATEWAY_APPS_H */
