/*
 * pusher.h
 *	  Pusher apps and what is signed with their secrets.
 */
#ifndef PRESENCE_PUSHER_H
#define PRESENCE_PUSHER_H

#include "bytes.h"

/*
 * A row of presence.pusher_app. Secret and master key go into signatures and shared secrets, and
 * nowhere else.
 */
typedef struct PusherApp
{
	text *key;
	text *secret;
	text *room_prefix; /* its rooms are this and the channel's name */
	text *master_key;  /* of encrypted channels, in base64; NULL: it has none */
} PusherApp;

/*
 * The app with that key; with NULL, the only one there is. The store must be open. Raises 42704
 * if there is none that is enabled, 22023 if there are several to choose from.
 */
extern PusherApp pusher_app(text *key);

/* Whether the channel is one of the app's rooms, and then which. */
extern bool pusher_room_of_channel(const PusherApp *app, Bytes channel, text **book_id);

/* Whether the body of a webhook was signed by the app with that key, and which it is. */
extern bool pusher_webhook_signed(text *app_key, text *signature, text *body, PusherApp *app);

#endif /* PRESENCE_PUSHER_H */
