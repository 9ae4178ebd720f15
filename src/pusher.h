/*
 * pusher.h
 *	  Pusher apps and what is signed with their secrets.
 */
#ifndef PRESENCE_PUSHER_H
#define PRESENCE_PUSHER_H

#include "signature.h"

/* A row of presence.pusher_app. The secret goes into signatures and nowhere else. */
typedef struct PusherApp
{
	text *key;
	text *secret;
} PusherApp;

/*
 * The app with that key; with NULL, the only one there is. The store must be
 * open. Raises 42704 if there is none, 22023 if there are several to choose from.
 */
extern PusherApp pusher_app(text *key);

/* The same, false for an unknown key. */
extern bool pusher_find_app(text *key, PusherApp *app);

/* As UTF-8, which is what Pusher signs, whatever the database's encoding. */
extern Bytes text_bytes(text *value);
extern Bytes utf8_bytes(const char *s, int len);

/* Whether the channel is a room's, and then which. */
extern bool pusher_room_of_channel(Bytes channel, text **book_id);

/* Whether the body of a webhook was signed by the app with that key. The store must be open. */
extern bool pusher_webhook_signed(text *app_key, text *signature, text *body);

#endif /* PRESENCE_PUSHER_H */
