/*
 * lines.c
 *	  The connections: opened, opened anew, watched for answers; and what is asked on them.
 */
#include "database/lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "database/hosts.h"
#include "database/learn.h"
#include "database/trouble.h"

#define SLOW_MS        3000 /* no answer: it does not do its work */
#define PATIENCE_MS    4000 /* after the time limit of a statement: connect anew */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

typedef struct Line
{
	Pg *pg;
	bool ready;
	bool cancelled;    /* what is asked was told to end */
	int64_t reopen_at; /* ms; 0: no need */
	int backoff_ms;
} Line;

/* A request, to see how it went. */
typedef struct Ask
{
	Statement statement;
	PgAnswer answer;
	PgForgotten forgotten;
	void *arg;
} Ask;

static uv_loop_t *loop;
static const LineEvents *events;
static Line lines[LINES];
static int64_t joined_at;

void
lines_start(uv_loop_t *loop_, const LineEvents *events_)
{
	loop = loop_;
	events = events_;
}

bool
lines_ready(void)
{
	for (int i = 0; i < LINES; i++)
		if (!lines[i].ready)
			return false;
	return true;
}

Pg *
line_pg(LineName name)
{
	return lines[name].ready ? lines[name].pg : NULL;
}

int64_t
lines_joined_at(void)
{
	return joined_at;
}

const char *
lines_slow(void)
{
	static const LineName urgent[] = {LINE_LISTEN, LINE_BEAT, LINE_JOIN};
	static char text[64];
	int64_t now = now_ms();

	for (size_t i = 0; i < sizeof(urgent) / sizeof(urgent[0]); i++)
	{
		const Pg *pg = lines[urgent[i]].pg;

		if (pg && lines[urgent[i]].ready && !(pg_oldest(pg) && pg_oldest(pg) + SLOW_MS < now))
			continue;
		snprintf(text, sizeof(text), "no answer: %s", line_names[urgent[i]]);
		return text;
	}
	return NULL;
}

/*
 * Closing
 */

static void
close_line(Line *line)
{
	Pg *pg = line->pg;

	line->pg = NULL;
	line->ready = line->cancelled = false;
	line->reopen_at = 0;
	if (pg)
		pg_close(pg);
}

void
lines_close(void)
{
	for (int i = 0; i < LINES; i++)
		close_line(&lines[i]);
}

static LineName
line_of(const Pg *pg)
{
	LineName name = LINE_LISTEN;

	while (name + 1 < LINES && lines[name].pg != pg)
		name++;
	return name;
}

/* False: all are. */
static bool
lose(LineName name, const char *why)
{
	Line *line = &lines[name];

	if (!events->lost(name, why))
		return false;
	log_line(LOG_WARNING, "connection for %s lost: %s", line_names[name], why);
	metrics.line_losses++;
	line->backoff_ms = line->backoff_ms ? line->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (line->backoff_ms > BACKOFF_MAX_MS)
		line->backoff_ms = BACKOFF_MAX_MS;
	close_line(line);
	line->reopen_at = now_ms() + line->backoff_ms;
	return true;
}

static void
lost(Pg *pg, const char *why)
{
	(void) lose(line_of(pg), why);
}

/*
 * Opening
 */

static void
took_session(const PGresult *result, bool ok, void *arg)
{
	Line *line = arg;

	if (!ok)
	{
		lost(line->pg, PQresultErrorMessage(result));
		return;
	}
	line->ready = true;
	line->backoff_ms = 0;
	events->ready();
}

static void
connected(Pg *pg)
{
	LineName name = line_of(pg);
	char *session = session_text(name, options.statement_ms, learn_new_joins());

	pg_prepare(pg, "session", session);
	free(session);
	pg_ask(pg, "session", 0, NULL, took_session, NULL, &lines[name]);
	for (int i = 0; i < STATEMENTS; i++)
	{
		const StatementText *text = statement_text((Statement) i, learn_new_joins());

		if (text->line == name && statement_is_known((Statement) i, learn_new_joins()))
			pg_prepare(pg, text->name, text->sql);
	}
	events->opened(name, pg);
}

static void
notified(Pg *pg, const char *channel, const char *payload)
{
	if (pg == lines[LINE_LISTEN].pg)
		events->notified(channel, payload);
}

void
line_open(LineName name)
{
	static const PgEvents pg_events = {connected, lost, notified};
	const char *keywords[HOST_KEYWORDS];
	const char *values[HOST_KEYWORDS];

	if (lines[name].pg)
		return;
	hosts_parameters(keywords, values);
	lines[name].reopen_at = 0;
	lines[name].pg =
		pg_open(loop, line_names[name], keywords, values, options.connect_ms, &pg_events);
}

/*
 * Asking
 */

static void
judge(Statement statement, const PGresult *result, bool ok)
{
	const char *why = ok ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (statement == STATEMENT_JOIN)
		joined_at = now_ms();
	trouble_judge(statement, ok ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE),
				  ok || why ? why : "unknown error");
}

static void
ask_answered(const PGresult *result, bool ok, void *arg)
{
	Ask ask = *(Ask *) arg;

	free(arg);
	judge(ask.statement, result, ok);
	if (ask.answer)
		ask.answer(result, ok, ask.arg);
	else if (!ok)
		log_line(LOG_ERROR, "database: %s", PQresultErrorMessage(result));
}

static void
ask_forgotten(void *arg)
{
	Ask ask = *(Ask *) arg;

	free(arg);
	if (ask.forgotten)
		ask.forgotten(ask.arg);
}

void
database_ask(Statement statement, const char *const *values, PgAnswer answer, PgForgotten forgotten,
			 void *arg)
{
	const StatementText *text = statement_text(statement, learn_new_joins());
	const Line *line = &lines[text->line];
	Ask *ask;

	if (!line->ready || !statement_is_known(statement, learn_new_joins()))
	{
		if (forgotten)
			forgotten(arg);
		return;
	}
	ask = xcalloc(1, sizeof(Ask));
	*ask = (Ask){statement, answer, forgotten, arg};
	pg_ask(line->pg, text->name, text->nvalues, values, ask_answered, ask_forgotten, ask);
}

/*
 * Time
 */

/* False: all are lost. */
static bool
check_answers(LineName name, int64_t now)
{
	Line *line = &lines[name];
	int64_t oldest = line->pg ? pg_oldest(line->pg) : 0;
	int64_t late = oldest ? now - oldest - options.statement_ms : 0;

	if (late > PATIENCE_MS)
		return lose(name, "no answer");
	if (late > 500 && !line->cancelled)
	{
		line->cancelled = true;
		metrics.cancels++;
		pg_cancel(line->pg);
	}
	if (!oldest)
		line->cancelled = false;
	return true;
}

bool
lines_tick(void)
{
	int64_t now = now_ms();

	for (int i = 0; i < LINES; i++)
	{
		if (lines[i].reopen_at && lines[i].reopen_at <= now)
			line_open((LineName) i);
		if (!check_answers((LineName) i, now))
			return false;
	}
	return true;
}

void
lines_flush(void)
{
	for (int i = 0; i < LINES; i++)
		if (lines[i].pg)
			pg_flush(lines[i].pg);
}
