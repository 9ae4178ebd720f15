/*
 * lines.h
 *	  The connections: opened, opened anew, watched for answers; and what is asked on them.
 */
#ifndef GATEWAY_LINES_H
#define GATEWAY_LINES_H

#include "database/hosts.h"
#include "database/learn.h"
#include "database/pg.h"
#include "database/statements.h"

typedef struct LineEvents
{
	/* More may be asked on it; it is not ready yet. */
	void (*opened)(LineName name, Pg *pg, void *arg);
	/* True: it is to be opened anew alone. False: lines_close() was called. */
	bool (*lost)(LineName name, const char *why, void *arg);
	void (*ready)(void *arg); /* one of them is */
	void (*notified)(const char *channel, const char *payload, void *arg);
	/* How a request went; why: NULL if well. */
	void (*judged)(Statement statement, const char *sqlstate, const char *why, void *arg);
} LineEvents;

typedef struct Line
{
	struct Lines *lines;
	Pg *pg;
	bool ready;
	bool cancelled;    /* what is asked was told to end */
	int64_t reopen_at; /* ms; 0: no need */
	int backoff_ms;
} Line;

/* Of one database. Where it is must not move. */
typedef struct Lines
{
	uv_loop_t *loop;
	const Hosts *hosts;
	const Learn *learn; /* what the server knows */
	const LineEvents *events;
	void *arg;
	Line list[LINES];
	int64_t joined_at; /* ms; when the last join was answered, whatever it joined */
	char slow[64];
} Lines;

extern void lines_start(Lines *lines, uv_loop_t *loop, const Hosts *hosts, const Learn *learn,
						const LineEvents *events, void *arg);

/* Opens one, if it is not there, to the address that was found. */
extern void line_open(Lines *lines, LineName name);

/* Closes all; what was asked is forgotten. */
extern void lines_close(Lines *lines);

/* Whether all are ready. */
extern bool lines_ready(const Lines *lines);

/* One that is ready, or NULL. */
extern Pg *line_pg(const Lines *lines, LineName name);

/* Which one gives no answer, of those that matter; NULL: none. */
extern const char *lines_slow(Lines *lines);

/* Twice a second. False: lines_close() was called. */
extern bool lines_tick(Lines *lines);

extern void lines_flush(Lines *lines);

/* Asks on the line of that statement; forgotten at once if that is not ready. */
extern void lines_ask(Lines *lines, Statement statement, const char *const *values, PgAnswer answer,
					  PgForgotten forgotten, void *arg);

#endif /* GATEWAY_LINES_H */
