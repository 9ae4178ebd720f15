/*
 * protocol.h
 *	  What a client may ask for, and what it is answered: Pusher Channels protocol 7.
 */
#ifndef GATEWAY_PROTOCOL_H
#define GATEWAY_PROTOCOL_H

#include "rooms/socket.h"

/* A whole message came; one that was too large to be read; a frame of that many bytes. */
extern void protocol_message(Conn *conn, Bytes text);
extern void protocol_too_large(Conn *conn, uint32_t size);
extern bool protocol_heard(Conn *conn, size_t bytes);
extern void protocol_closed(Conn *conn);

/* Closes all sockets of keys that are gone or disabled. */
extern void protocol_apps_changed(void);

/* Closes all sockets of an app that are signed in or hold a seat as that user; how many. */
extern unsigned protocol_terminate_user(App *app, Bytes user_id);

/* Once at the start. */
extern void protocol_init(void);

#endif /* GATEWAY_PROTOCOL_H */
