/*
 * opening.h
 *	  Who wants to connect: let in, or refused in the words of the protocol.
 */
#ifndef GATEWAY_OPENING_H
#define GATEWAY_OPENING_H

#include "transport/web.h"

/* Somebody wants a WebSocket. 0: he gets one; else the HTTP status to refuse with. */
extern int opening_upgrades(Conn *conn, Request *request, const char **why);

/* He has it, with that path ("/app/KEY"): refuses it, or greets. */
extern void opening_opened(Conn *conn, Request *request);

/* From now on nobody is let in. */
extern void opening_drain(void);

#endif /* GATEWAY_OPENING_H */
