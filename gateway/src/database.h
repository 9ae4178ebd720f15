/*
 * database.h
 *	  The database: two connections, there or not, and what is asked of it.
 *
 * One listens (and notifies other gateways), the other does all else. Both are there, or
 * neither is used: if one is lost both are opened anew, later and later.
 */
#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H

#include "pg.h"

#define STATEMENT_JOIN   "join"
#define STATEMENT_DROP   "drop"
#define STATEMENT_TOUCH  "touch"
#define STATEMENT_READ   "read"
#define STATEMENT_COUNTS "counts"
#define STATEMENT_COUNT  "count"
#define STATEMENT_USERS  "users"
#define STATEMENT_LINGER "linger"

/* The channel on which gateways tell each other. */
#define BUS_CHANNEL "presence_gateway"

typedef struct DatabaseEvents
{
	void (*connected)(void); /* LISTEN has returned, the settings are known */
	void (*lost)(void);
	void (*apps_changed)(void);
	void (*member_event)(const char *payload);
	void (*bus_event)(const char *payload);
} DatabaseEvents;

extern void database_start(uv_loop_t *loop, const DatabaseEvents *events);
extern void database_stop(void);

/* Whether requests can be made. Those made all the same are forgotten at once. */
extern bool database_connected(void);

/* Connected, and it answers in time. */
extern bool database_healthy(void);

extern void database_ask(const char *statement, int nvalues, const char *const *values,
						 PgAnswer answer, PgForgotten forgotten, void *arg);

/* NOTIFYs the bus: an array of payloads, in one transaction. */
extern void database_notify(const char *payloads, PgAnswer answer, PgForgotten forgotten);

/* Sends what was asked; at the end of each turn of the loop. */
extern void database_flush(void);

/* Twice a second: looks for requests that got no answer; refreshes the settings. */
extern void database_tick(void);

/* Sees to it that the loop has a turn in so many ms. */
extern void database_wake_in(int ms);

#endif /* GATEWAY_DATABASE_H */
