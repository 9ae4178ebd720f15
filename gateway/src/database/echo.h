/*
 * echo.h
 *	  Notifications to ourselves: if they do not come, a pooler is in between, and we are deaf.
 */
#ifndef GATEWAY_ECHO_H
#define GATEWAY_ECHO_H

#include "database/pg.h"

typedef struct Echo
{
	unsigned long number; /* that was sent last */
	unsigned long heard;
	int64_t sent_at; /* ms; 0: none was on this connection */
} Echo;

/* Sends one. */
extern void echo_send(Echo *echo, Pg *pg, const char *statement);

/* What came on the channel of the bus; false: it is no echo. */
extern bool echo_heard(Echo *echo, const char *payload);

/* Whether the last one has come. */
extern bool echo_is_back(const Echo *echo);

/* The connection is gone. */
extern void echo_end(Echo *echo);

#endif /* GATEWAY_ECHO_H */
