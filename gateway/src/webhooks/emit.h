/*
 * emit.h
 *	  Webhooks: events that only a gateway knows of, handed to the database.
 *
 * Both do nothing for an app that has no webhook for it.
 */
#ifndef GATEWAY_EMIT_H
#define GATEWAY_EMIT_H

#include "rooms/apps.h"

/* data: JSON. user_id: of a room's member; {NULL, 0}: none. */
extern void webhook_client_event(App *app, Bytes channel, Bytes event, Bytes data, Bytes socket_id,
								 Bytes user_id);

/* Somebody subscribed to a cache channel, and nothing was there. */
extern void webhook_cache_miss(App *app, Bytes channel);

/* Hands over what was gathered; at the end of each turn of the loop. */
extern void emit_flush(void);

/* Whether something has not been taken yet. */
extern bool emit_pending(void);

#endif /* GATEWAY_EMIT_H */
