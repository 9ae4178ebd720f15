/*
 * database.c
 *	  The database: its connections, what is asked of it, and whether it does its work.
 *
 * The one that listens comes first: it learns what the server can do, reads apps and settings,
 * since these name the channel, and LISTENs. Then the others are opened, and one of
 * them notifies us ourselves: if that does not come, a pooler is in between, and
 * we would be deaf for ever. It is done again every few seconds.
 */
#include "database/database.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "database/echo.h"
#include "database/hosts.h"
#include "database/learn.h"
#include "database/lines.h"
#include "database/statements.h"
#include "database/trouble.h"

#define REFRESH_MS       5000
#define REFRESH_LEAST_MS 250
#define ECHO_MS          5000  /* between two, and until one has come */
#define TROUBLE_MS       5000  /* takes nothing for so long: try another host */
#define LOST_ROWS_MS     60000 /* before a crash: what was joined then may be lost */
#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   5000

static uv_loop_t *loop;
static const DatabaseEvents *events;
static uv_timer_t reconnect;
static uv_timer_t wake;
static bool stopped;
static bool announced; /* connected() was called, and lost() not since */
static int backoff_ms = BACKOFF_MIN_MS;
static char last_loss[300] = "not connected yet";

static int64_t lost_at;      /* ms */
static const char *conninfo; /* that is in use */
static bool refresh_wanted;

/*
 * Whether it does its work
 */

bool
database_connected(void)
{
	return announced;
}

bool
database_knows(Statement statement)
{
	return statement_is_known(statement, learn_new_joins());
}

/* Of the last that was joined before a crash the rows may be lost, of another store all are. */
int64_t
database_sure_until(void)
{
	switch (learn_lineage())
	{
		case LINEAGE_SAME:
			return INT64_MAX;
		case LINEAGE_CRASHED:
			return lost_at - LOST_ROWS_MS;
		default:
			return 0;
	}
}

const char *
database_problem(void)
{
	if (!announced)
		return last_loss;
	return trouble_text() ? trouble_text() : lines_slow();
}

/*
 * Losing
 */

static void
close_all(void)
{
	bool was_announced = announced;

	announced = false;
	learn_end();
	echo_end();
	trouble_end();
	lines_close();
	if (!was_announced)
		return;
	lost_at = now_ms();
	events->lost();
}

static void
begin_anew(uv_timer_t *timer)
{
	(void) timer;
	hosts_next();
}

/* Another host at once, if there is one that was not tried. */
static void
lose_all(const char *what, const char *why)
{
	int delay = backoff_ms / 2 + (int) (random_u64() % (unsigned) (backoff_ms / 2 + 1));

	if (stopped)
		return;
	snprintf(last_loss, sizeof(last_loss), "%s (%s): %s", hosts_name(), what, why);
	log_line(LOG_WARNING, "database lost: %s; next attempt in %d ms", last_loss, delay);
	metrics.database_losses += announced;
	close_all();
	backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
	uv_timer_start(&reconnect, begin_anew, (uint64_t) delay, 0);
}

/*
 * Learning and listening
 */

static void
refused(const char *why)
{
	lose_all(line_names[LINE_LISTEN], why);
}

static void
took_settings(const DatabaseSettings *now)
{
	trouble_read_only(now->read_only);
	events->settings(now);
}

static void
took_apps(const PGresult *rows)
{
	events->apps(rows);
}

static void
begun_listening(void)
{
	for (int i = LINE_LISTEN + 1; i < LINES; i++)
		line_open((LineName) i);
}

static const LearnEvents learn_events = {refused, took_settings, took_apps, begun_listening};

void
database_refresh(void)
{
	refresh_wanted = true;
	database_wake_in(REFRESH_LEAST_MS);
}

static void
found_host(bool found)
{
	if (stopped)
		return;
	if (found)
		line_open(LINE_LISTEN);
	else
		uv_timer_start(&reconnect, begin_anew, (uint64_t) backoff_ms, 0);
}

/*
 * Connected: all lines are there, and we hear ourselves.
 */

static void
send_echo(void)
{
	echo_send(line_pg(LINE_BEAT), statement_text(STATEMENT_ECHO, learn_new_joins())->name);
}

static void
check_connected(void)
{
	if (announced || !lines_ready() || !learn_is_listening())
		return;
	if (!echo_sent_at())
		send_echo();
	if (!echo_is_back())
		return;
	backoff_ms = BACKOFF_MIN_MS;
	announced = true;
	log_line(LOG_INFO, "database connected");
	events->connected();
	learn_lineage_taken();
}

/*
 * Lines
 */

static void
line_is_open(LineName name, Pg *pg)
{
	if (name == LINE_LISTEN)
		learn_begin(pg, &learn_events);
}

/* One that does not listen is opened anew alone, if the others are there. */
static bool
line_is_lost(LineName name, const char *why)
{
	if (name != LINE_LISTEN && announced)
		return true;
	lose_all(line_names[name], why);
	return false;
}

static void
notified(const char *channel, const char *payload)
{
	if (strcmp(channel, BUS_CHANNEL) != 0)
		events->member_event(payload);
	else if (echo_heard(payload))
		check_connected();
	else
		events->bus_event(payload);
}

/*
 * Time
 */

/* Nothing to join, so that it is known whether something could be. */
static void
probe(void)
{
	static const char *const values[] = {"{}", "{}", "{}", "{}", NULL, "{}"};

	database_ask(STATEMENT_JOIN, values, NULL, NULL, NULL);
}

static bool
is_deaf(int64_t now)
{
	return !echo_is_back() && echo_sent_at() && echo_sent_at() + ECHO_MS < now &&
		   line_pg(LINE_BEAT) && !pg_oldest(line_pg(LINE_BEAT));
}

/* Who takes nothing for a while, and is not the only one, is left. */
static bool
should_move(void)
{
	const char *why = hosts_several() ? trouble_for(TROUBLE_MS) : NULL;

	if (why)
		lose_all(line_names[LINE_LISTEN], why);
	return why != NULL;
}

void
database_tick(void)
{
	int64_t now = now_ms();

	if (!lines_tick())
		return;
	if (is_deaf(now))
	{
		lose_all(line_names[LINE_LISTEN], "notifications do not arrive: a pooler that shares "
										  "connections between transactions is in between");
		return;
	}
	if (!announced || should_move())
		return;
	if (echo_sent_at() + ECHO_MS < now && line_pg(LINE_BEAT))
		send_echo();
	if (lines_joined_at() + REFRESH_MS < now)
		probe();
	if (learn_at() + REFRESH_MS < now)
		learn_refresh();
}

void
database_flush(void)
{
	if (refresh_wanted && announced && learn_at() + REFRESH_LEAST_MS <= now_ms())
	{
		refresh_wanted = false;
		learn_refresh();
	}
	lines_flush();
}

static void
do_nothing(uv_timer_t *timer)
{
	(void) timer;
}

void
database_wake_in(int ms)
{
	if (ms < 1)
		ms = 1;
	if (!uv_is_active((uv_handle_t *) &wake) || uv_timer_get_due_in(&wake) > (uint64_t) ms)
		uv_timer_start(&wake, do_nothing, (uint64_t) ms, 0);
}

PGresult *
database_keep(const PGresult *result)
{
	return pg_keep(result);
}

bool
database_start(uv_loop_t *loop_, const DatabaseEvents *events_)
{
	static const LineEvents line_events = {line_is_open, line_is_lost, check_connected, notified};

	loop = loop_;
	events = events_;
	uv_timer_init(loop, &reconnect);
	uv_timer_init(loop, &wake);
	lines_start(loop, &line_events);
	conninfo = options.database ? options.database : "";
	if (!hosts_start(loop, conninfo, found_host))
		return false;
	hosts_next();
	return true;
}

void
database_reload(void)
{
	const char *now = options.database ? options.database : "";

	if (strcmp(now, conninfo) == 0 || !hosts_change(now))
		return;
	conninfo = now;
	snprintf(last_loss, sizeof(last_loss), "--database has changed");
	log_line(LOG_INFO, "%s: all connections are opened anew", last_loss);
	close_all();
	backoff_ms = BACKOFF_MIN_MS;
	uv_timer_start(&reconnect, begin_anew, 0, 0);
}

void
database_stop(void)
{
	stopped = true;
	uv_timer_stop(&reconnect);
	hosts_stop();
	close_all();
	uv_close((uv_handle_t *) &reconnect, NULL);
	uv_close((uv_handle_t *) &wake, NULL);
}
