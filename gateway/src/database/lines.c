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

#define SLOW_MS        3000 /* no answer: it does not do its work */
#define PATIENCE_MS    4000 /* after the time limit of a statement: connect anew */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

/* A request, to see how it went. */
typedef struct Ask
{
	Lines *lines;
	Statement statement;
	PgAnswer answer;
	PgForgotten forgotten;
	void *arg;
} Ask;

void
lines_start(Lines *lines, uv_loop_t *loop, const Hosts *hosts, const Learn *learn,
			const LineEvents *events, void *arg)
{
	*lines = (Lines){.loop = loop, .hosts = hosts, .learn = learn, .events = events, .arg = arg};
	for (int i = 0; i < LINES; i++)
		lines->list[i].lines = lines;
}

bool
lines_ready(const Lines *lines)
{
	for (int i = 0; i < LINES; i++)
		if (!lines->list[i].ready)
			return false;
	return true;
}

Pg *
line_pg(const Lines *lines, LineName name)
{
	return lines->list[name].ready ? lines->list[name].pg : NULL;
}

const char *
lines_slow(Lines *lines)
{
	static const LineName urgent[] = {LINE_LISTEN, LINE_BEAT, LINE_JOIN};
	int64_t now = now_ms();

	for (size_t i = 0; i < sizeof(urgent) / sizeof(urgent[0]); i++)
	{
		const Pg *pg = line_pg(lines, urgent[i]);

		if (pg && !(pg_oldest(pg) && pg_oldest(pg) + SLOW_MS < now))
			continue;
		snprintf(lines->slow, sizeof(lines->slow), "no answer: %s", line_names[urgent[i]]);
		return lines->slow;
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
lines_close(Lines *lines)
{
	for (int i = 0; i < LINES; i++)
		close_line(&lines->list[i]);
}

static LineName
name_of(const Line *line)
{
	return (LineName) (line - line->lines->list);
}

/* False: all are. */
static bool
lose(Line *line, const char *why)
{
	LineName name = name_of(line);

	if (!line->lines->events->lost(name, why, line->lines->arg))
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
lost(Pg *pg, const char *why, void *arg)
{
	(void) pg;
	(void) lose(arg, why);
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
		(void) lose(line, PQresultErrorMessage(result));
		return;
	}
	line->ready = true;
	line->backoff_ms = 0;
	line->lines->events->ready(line->lines->arg);
}

static void
connected(Pg *pg, void *arg)
{
	Line *line = arg;
	const Lines *lines = line->lines;
	LineName name = name_of(line);
	char *session = session_text(name, options.statement_ms, lines->learn->new_joins);

	pg_prepare(pg, "session", session);
	free(session);
	pg_ask(pg, "session", 0, NULL, took_session, NULL, line);
	for (int i = 0; i < STATEMENTS; i++)
	{
		const StatementText *text = statement_text((Statement) i, lines->learn->new_joins);

		if (text->line == name && statement_is_known((Statement) i, lines->learn->new_joins))
			pg_prepare(pg, text->name, text->sql);
	}
	lines->events->opened(name, pg, lines->arg);
}

static void
notified(Pg *pg, const char *channel, const char *payload, void *arg)
{
	const Line *line = arg;

	(void) pg;
	if (name_of(line) == LINE_LISTEN)
		line->lines->events->notified(channel, payload, line->lines->arg);
}

void
line_open(Lines *lines, LineName name)
{
	static const PgEvents pg_events = {connected, lost, notified};
	const char *keywords[HOST_KEYWORDS];
	const char *values[HOST_KEYWORDS];
	Line *line = &lines->list[name];

	if (line->pg)
		return;
	hosts_parameters(lines->hosts, keywords, values);
	line->reopen_at = 0;
	line->pg = pg_open(lines->loop, line_names[name], keywords, values, options.connect_ms,
					   &pg_events, line);
}

/*
 * Asking
 */

static void
judge(Lines *lines, Statement statement, const PGresult *result, bool ok)
{
	const char *why = ok ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (statement == STATEMENT_JOIN)
		lines->joined_at = now_ms();
	lines->events->judged(statement, ok ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE),
						  ok || why ? why : "unknown error", lines->arg);
}

static void
ask_answered(const PGresult *result, bool ok, void *arg)
{
	Ask ask = *(Ask *) arg;

	free(arg);
	judge(ask.lines, ask.statement, result, ok);
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
lines_ask(Lines *lines, Statement statement, const char *const *values, PgAnswer answer,
		  PgForgotten forgotten, void *arg)
{
	const StatementText *text = statement_text(statement, lines->learn->new_joins);
	const Line *line = &lines->list[text->line];
	Ask *ask;

	if (!line->ready || !statement_is_known(statement, lines->learn->new_joins))
	{
		if (forgotten)
			forgotten(arg);
		return;
	}
	ask = xcalloc(1, sizeof(Ask));
	*ask = (Ask){lines, statement, answer, forgotten, arg};
	pg_ask(line->pg, text->name, text->nvalues, values, ask_answered, ask_forgotten, ask);
}

/*
 * Time
 */

/* False: all are lost. */
static bool
check_answers(Line *line, int64_t now)
{
	int64_t oldest = line->pg ? pg_oldest(line->pg) : 0;
	int64_t late = oldest ? now - oldest - options.statement_ms : 0;

	if (late > PATIENCE_MS)
		return lose(line, "no answer");
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
lines_tick(Lines *lines)
{
	int64_t now = now_ms();

	for (int i = 0; i < LINES; i++)
	{
		Line *line = &lines->list[i];

		if (line->reopen_at && line->reopen_at <= now)
			line_open(lines, (LineName) i);
		if (!check_answers(line, now))
			return false;
	}
	return true;
}

void
lines_flush(Lines *lines)
{
	for (int i = 0; i < LINES; i++)
		if (lines->list[i].pg)
			pg_flush(lines->list[i].pg);
}
