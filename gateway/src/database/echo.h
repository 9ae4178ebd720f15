/*
 * echo.h
 *	  Notifications to ourselves: if they do not come, a pooler is in between, and we are deaf.
 */
#ifndef GATEWAY_ECHO_H
#define GATEWAY_ECHO_H

#include "database/pg.h"

/* Sends one. */
extern void echo_send(Pg *pg, const char *statement);

/* What came on the channel of the bus; false: it is no echo. */
extern bool echo_heard(const char *payload);

/* Whether the last one has come; when it was sent (ms), 0: none was on this connection. */
extern bool echo_is_back(void);
extern int64_t echo_sent_at(void);

/* The connection is gone. */
extern void echo_end(void);

#endif /* GATEWAY_ECHO_H */
