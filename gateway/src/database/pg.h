/*
 * pg.h
 *	  One connection to PostgreSQL, in pipeline mode, in the loop.
 *
 * Requests are prepared statements, each a transaction of its own; they are answered in
 * order. An answer is handed out after the server said that its transaction is over.
 */
#ifndef GATEWAY_PG_H
#define GATEWAY_PG_H

#include <libpq-fe.h>
#include <uv.h>

#include "base/util.h"

typedef struct Pg Pg;

/* result is this function's for the time of the call; ok: it is no error. */
typedef void (*PgAnswer)(const PGresult *result, bool ok, void *arg);

/* A request's own: what it was asked for, in place of an answer when the connection is lost. */
typedef void (*PgForgotten)(void *arg);

typedef struct PgEvents
{
	void (*connected)(Pg *pg, void *arg);
	void (*lost)(Pg *pg, const char *why, void *arg); /* called once; pg_close() is the callee's */
	void (*notified)(Pg *pg, const char *channel, const char *payload, void *arg);
} PgEvents;

/*
 * Connects in the background, to an address (no name is resolved here), within that time:
 * connected or lost is called later. arg is for the events.
 */
extern Pg *pg_open(uv_loop_t *loop, const char *name, const char *const *keywords,
				   const char *const *values, int connect_ms, const PgEvents *events, void *arg);

/* Ends it, at once. What was asked is forgotten. */
extern void pg_close(Pg *pg);

/* Prepares a statement; a mistake in it loses the connection. */
extern void pg_prepare(Pg *pg, const char *name, const char *sql);

/* Sends the server a request to cancel what it is at, in the background. */
extern void pg_cancel(Pg *pg);

/* In an answer: the result is the caller's from now on (PQclear). */
extern PGresult *pg_keep(const PGresult *result);

extern const char *pg_name(const Pg *pg);

/* Asks. Values are text, copied. answer may be NULL: a failure is logged. */
extern void pg_ask(Pg *pg, const char *statement, int nvalues, const char *const *values,
				   PgAnswer answer, PgForgotten forgotten, void *arg);

/* Sends what was asked; at the end of each turn of the loop. */
extern void pg_flush(Pg *pg);

/* When the oldest request was made that has no answer (now_ms); 0: there is none. */
extern int64_t pg_oldest(const Pg *pg);

/* A name quoted for SQL text; the caller frees it. */
extern char *pg_identifier(Pg *pg, const char *name);

#endif /* GATEWAY_PG_H */
