/*
 * database.h
 *	  The database: its connections, what is asked of it, and whether it does its work.
 *
 * A connection for each thing that must not wait for another: one listens (and reads apps and
 * settings), one carries heartbeats and tells other gateways, one joins and reads rooms, one drops,
 * one answers the HTTP API, one reports channels and carries webhooks. They are of one server. If
 * the one that listens is lost all are opened anew, later and later, on the next server; another
 * one is opened anew alone.
 */
#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H

#include "database/learn.h"
#include "database/lines.h"
#include "database/pg.h"
#include "database/statements.h"
#include "database/trouble.h"

typedef struct DatabaseEvents
{
	void (*connected)(void); /* notifications come, joins can be sent */
	void (*lost)(void);
	void (*settings)(const DatabaseSettings *now);
	void (*apps)(const PGresult *rows); /* of one column, JSON */
	void (*member_event)(const char *payload);
	void (*bus_event)(const char *payload);
} DatabaseEvents;

/* False: --database is no connection string. */
extern bool database_start(uv_loop_t *loop, const DatabaseEvents *events);
extern void database_stop(void);

/* The options have been read again: connects anew if --database is another one. */
extern void database_reload(void);

/* Whether requests can be made (database_ask()). */
extern bool database_connected(void);

/* Whether it has what a statement calls: the extension is new enough. */
extern bool database_knows(Statement statement);

/* In connected(): what had been committed before that time (ms) is there still; INT64_MAX: all. */
extern int64_t database_sure_until(void);

/* Why it does not do its work; NULL: it does. */
extern const char *database_problem(void);

/* In an answer: the result is the caller's from now on (PQclear). */
extern PGresult *database_keep(const PGresult *result);

/* Reads apps and settings again, once a second at most. */
extern void database_refresh(void);

/* Sends what was asked; at the end of each turn of the loop. */
extern void database_flush(void);

/* Twice a second: looks for requests that got no answer; refreshes the settings. */
extern void database_tick(void);

/* Sees to it that the loop has a turn in so many ms. */
extern void database_wake_in(int ms);

#endif /* GATEWAY_DATABASE_H */
