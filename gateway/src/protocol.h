/*
 * protocol.h
 *	  What a client may ask for, and what it is answered: Pusher Channels protocol 7.
 */
#ifndef GATEWAY_PROTOCOL_H
#define GATEWAY_PROTOCOL_H

#include "socket.h"

/*
 * A WebSocket was opened with that path ("/app/KEY") and that value of the parameter
 * protocol (empty: none). Refuses it, or greets. draining: send it elsewhere.
 */
extern Socket *protocol_open(struct lws *wsi, Bytes path, Bytes version, bool draining);

/* A whole message came. */
extern void protocol_message(Socket *socket, Bytes text);

/* Closes all sockets of apps that are gone. */
extern void protocol_apps_changed(void);

/* Closes all sockets of a user of an app; how many. */
extern unsigned protocol_terminate_user(App *app, Bytes user_id);

/* Once at the start. */
extern void protocol_init(void);

#endif /* GATEWAY_PROTOCOL_H */
