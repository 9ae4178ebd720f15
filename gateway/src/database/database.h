/*
 * database.h
 *	  The databases: their connections, what is asked of them, and whether they do their work.
 *
 * There is one, or one for each node of a cluster over which rooms are spread. The first is home:
 * it tells apps and settings, and carries what is of no room. Each has a connection for each thing
 * that must not wait for another: one listens (and reads apps and settings), one carries
 * heartbeats and tells other gateways, one joins and reads rooms, one drops, one answers the HTTP
 * API, one reports channels and carries webhooks. They are of one server. If the one that listens
 * is lost all are opened anew, later and later, on the next server; another one is opened anew
 * alone.
 */
#ifndef GATEWAY_DATABASE_H
#define GATEWAY_DATABASE_H

#include "database/echo.h"
#include "database/hosts.h"
#include "database/learn.h"
#include "database/lines.h"
#include "database/trouble.h"

#define MAX_DATABASES 64

typedef struct Database
{
	int number; /* from 0 */

	/* What it told of itself. */
	int timeout_ms; /* the lease of a connection */
	bool has_event_key;
	unsigned char event_key[EVENT_KEY_SIZE];

	/* The rest is of database.c and databases.c. */
	const char *conninfo; /* that is in use; NULL: none is any more */
	Hosts hosts;
	Lines lines;
	Learn learn;
	Echo echo;
	Troubles troubles;
	uv_timer_t reconnect;
	bool announced; /* connected() was called, and lost() not since */
	int backoff_ms;
	int64_t lost_at; /* ms */
	char last_loss[300];
	char problem[600];
} Database;

typedef struct DatabaseEvents
{
	void (*begins)(const Database *database); /* before LISTEN: event numbers begin anew */
	void (*connected)(Database *database);    /* notifications come, joins can be sent */
	void (*lost)(Database *database);
	void (*settings)(const DatabaseSettings *now); /* of home */
	void (*apps)(const PGresult *rows);            /* of home; of one column, JSON */
	void (*moved)(void); /* rooms are on other nodes than before, as home has it */
	void (*member_event)(Database *database, const char *payload);
	void (*bus_event)(const char *payload); /* of home */
} DatabaseEvents;

extern const DatabaseEvents *database_events;

extern Database databases[MAX_DATABASES];
#define HOME (&databases[0])

/* The one after it, of all there are; NULL: it was the last. HOME is the first. */
extern Database *database_next(const Database *database);

/* Whether there is another one than home. */
extern bool databases_several(void);

/* The one whose server a cluster calls so (HOST:PORT); NULL: none. */
extern Database *database_of_node(const char *node);

/* False: --database is no connection string, or there are too many. */
extern bool databases_start(uv_loop_t *loop, const DatabaseEvents *events);
extern void databases_stop(void);

/* The options have been read again: those connect anew whose --database is another one. */
extern void databases_reload(void);

/* Whether requests can be made (database_ask()). */
extern bool database_connected(const Database *database);

/* Whether it has what a statement calls: the extension is new enough. */
extern bool database_knows(const Database *database, Statement statement);

/* Whether its join_rooms() has skip_locked: it is of 0.3. */
extern bool database_skips_locked(const Database *database);

/* Asks on the line of that statement; forgotten at once if that is not ready. */
extern void database_ask(Database *database, Statement statement, const char *const *values,
						 PgAnswer answer, PgForgotten forgotten, void *arg);

/* In connected(): what had been committed before that time (ms) is there still; INT64_MAX: all. */
extern int64_t database_sure_until(const Database *database);

/* Why it does not do its work, with its name if there are several; NULL: it does. The second: of
 * any. */
extern const char *database_problem(Database *database);
extern const char *databases_problem(void);

/* For /metrics: whether each does its work, if there are several. */
extern void databases_add_metrics(Buf *out);

/* In an answer: the result is the caller's from now on (PQclear). */
extern PGresult *database_keep(const PGresult *result);

/* Reads apps and settings again, once in a while at most. */
extern void databases_refresh(void);

/* Sends what was asked; at the end of each turn of the loop. */
extern void databases_flush(void);

/* Twice a second: looks for requests that got no answer; refreshes the settings. */
extern void databases_tick(void);

/* Sees to it that the loop has a turn in so many ms. */
extern void database_wake_in(int ms);

/*
 * What databases.c does with each.
 */

/* Once, before the first connection. */
extern void database_init(Database *database, int number, uv_loop_t *loop);

/* Connects, or anew if it is another one than before. False: it is no connection string, and
 * nothing changes. */
extern bool database_connect(Database *database, const char *conninfo);
extern void database_tick(Database *database, int64_t now);

/* Closes all; at the end, its handles as well. */
extern void database_leave(Database *database);
extern void database_end(Database *database);

#endif /* GATEWAY_DATABASE_H */
