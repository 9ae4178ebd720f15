/*
 * server.h
 *	  libwebsockets: what it calls, and what is called of it.
 */
#ifndef GATEWAY_SERVER_H
#define GATEWAY_SERVER_H

#include <uv.h>

#include "util.h"

/* Listens; false: it can't, and the log says why. */
extern bool server_start(uv_loop_t *loop);

/* Clients are told to go elsewhere, those that come from now on too. */
extern void server_drain(void);

/* Closes everything. The loop must be turned, without waiting, while it is closing. */
extern void server_stop(void);
extern bool server_closing(void);

#endif /* GATEWAY_SERVER_H */
