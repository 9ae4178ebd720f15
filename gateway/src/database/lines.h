/*
 * lines.h
 *	  The connections: opened, opened anew, watched for answers; and what is asked on them.
 */
#ifndef GATEWAY_LINES_H
#define GATEWAY_LINES_H

#include "database/pg.h"
#include "database/statements.h"

typedef struct LineEvents
{
	void (*opened)(LineName name, Pg *pg); /* more may be asked on it; it is not ready yet */
	/* True: it is to be opened anew alone. False: lines_close() was called. */
	bool (*lost)(LineName name, const char *why);
	void (*ready)(void); /* one of them is */
	void (*notified)(const char *channel, const char *payload);
} LineEvents;

extern void lines_start(uv_loop_t *loop, const LineEvents *events);

/* Opens one, if it is not there, to the address that was found. */
extern void line_open(LineName name);

/* Closes all; what was asked is forgotten. */
extern void lines_close(void);

/* Whether all are ready. */
extern bool lines_ready(void);

/* One that is ready, or NULL. */
extern Pg *line_pg(LineName name);

/* Which one gives no answer, of those that matter; NULL: none. */
extern const char *lines_slow(void);

/* When the last join was answered, whatever it joined (ms). */
extern int64_t lines_joined_at(void);

/* Twice a second. False: lines_close() was called. */
extern bool lines_tick(void);

extern void lines_flush(void);

/* Asks on the line of that statement; forgotten at once if that is not ready. */
extern void database_ask(Statement statement, const char *const *values, PgAnswer answer,
						 PgForgotten forgotten, void *arg);

#endif /* GATEWAY_LINES_H */
