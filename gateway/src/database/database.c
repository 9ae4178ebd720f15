/*
 * database.c
 *	  One database: its connections, what is asked of it, and whether it does its work.
 *
 * The connection that listens comes first: it learns what the server can do, reads apps and
 * settings, since these name the channel, and LISTENs. Then the others are opened, and one of them
 * notifies us ourselves: if that does not come, a pooler is in between, and we would be deaf for
 * ever. It is done again every few seconds.
 */
#include "database/database.h"

#include <stdio.h>

#include "base/log.h"
#include "base/metrics.h"

#define DEFAULT_TIMEOUT_MS 25000 /* of a lease, until it is known */

#define REFRESH_MS     5000
#define ECHO_MS        5000  /* between two, and until one has come */
#define TROUBLE_MS     5000  /* takes nothing for so long: try another host */
#define LOST_ROWS_MS   60000 /* before a crash: what was joined then may be lost */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

const DatabaseEvents *database_events;

/*
 * Whether it does its work
 */

bool
database_connected(const Database *database)
{
	return database->announced;
}

bool
database_knows(const Database *database, Statement statement)
{
	return statement_is_known(statement, database->learn.new_joins);
}

bool
database_skips_locked(const Database *database)
{
	return database->learn.new_joins;
}

void
database_ask(Database *database, Statement statement, const char *const *values, PgAnswer answer,
			 PgForgotten forgotten, void *arg)
{
	lines_ask(&database->lines, statement, values, answer, forgotten, arg);
}

/* Of the last that was joined before a crash the rows may be lost, of another store all are. */
int64_t
database_sure_until(const Database *database)
{
	switch (database->learn.lineage)
	{
		case LINEAGE_SAME:
			return INT64_MAX;
		case LINEAGE_CRASHED:
			return database->lost_at - LOST_ROWS_MS;
		default:
			return 0;
	}
}

const char *
database_problem(Database *database)
{
	const char *problem = trouble_text(&database->troubles);

	if (!database->announced)
		return database->last_loss;
	if (!problem)
		problem = lines_slow(&database->lines);
	if (!problem || !databases_several())
		return problem;
	snprintf(database->problem, sizeof(database->problem), "%s: %s", database->hosts.name, problem);
	return database->problem;
}

/*
 * Losing
 */

static void
close_all(Database *database)
{
	bool was_announced = database->announced;

	database->announced = false;
	learn_end(&database->learn);
	echo_end(&database->echo);
	trouble_end(&database->troubles);
	lines_close(&database->lines);
	if (!was_announced)
		return;
	database->lost_at = now_ms();
	database_events->lost(database);
}

static void
begin_anew(uv_timer_t *timer)
{
	Database *database = timer->data;

	hosts_next(&database->hosts);
}

/* Another host at once, if there is one that was not tried. */
static void
lose_all(Database *database, const char *what, const char *why)
{
	int half = database->backoff_ms / 2;
	int delay = half + (int) (random_u64() % (unsigned) (half + 1));

	if (!database->conninfo)
		return;
	snprintf(database->last_loss, sizeof(database->last_loss), "%s (%s): %s", database->hosts.name,
			 what, why);
	log_line(LOG_WARNING, "database lost: %s; next attempt in %d ms", database->last_loss, delay);
	metrics.database_losses += database->announced;
	close_all(database);
	database->backoff_ms *= 2;
	if (database->backoff_ms > BACKOFF_MAX_MS)
		database->backoff_ms = BACKOFF_MAX_MS;
	uv_timer_start(&database->reconnect, begin_anew, (uint64_t) delay, 0);
}

/*
 * Learning and listening
 */

static void
refused(const char *why, void *arg)
{
	lose_all(arg, line_names[LINE_LISTEN], why);
}

static void
took_settings(const DatabaseSettings *now, void *arg)
{
	Database *database = arg;

	database->timeout_ms = now->timeout_ms;
	database->has_event_key =
		now->event_key && hex_bytes(now->event_key, database->event_key, EVENT_KEY_SIZE);
	trouble_read_only(&database->troubles, now->read_only);
	if (database == HOME)
		database_events->settings(now);
}

static void
took_apps(const PGresult *rows, void *arg)
{
	if (arg != HOME)
		return;
	if (PQntuples(rows) == 0)
		log_line(LOG_WARNING, "presence.pusher_app is empty: no client can connect");
	database_events->apps(rows);
}

static void
moved(void *arg)
{
	if (arg == HOME)
		database_events->moved();
}

static void
begun_listening(void *arg)
{
	Database *database = arg;

	for (int i = LINE_LISTEN + 1; i < LINES; i++)
		line_open(&database->lines, (LineName) i);
}

static void
found_host(bool found, void *arg)
{
	Database *database = arg;

	if (!database->conninfo)
		return;
	if (found)
		line_open(&database->lines, LINE_LISTEN);
	else
		uv_timer_start(&database->reconnect, begin_anew, (uint64_t) database->backoff_ms, 0);
}

/*
 * Connected: all lines are there, and we hear ourselves.
 */

static void
send_echo(Database *database)
{
	echo_send(&database->echo, line_pg(&database->lines, LINE_BEAT),
			  statement_text(STATEMENT_ECHO, true)->name);
}

static void
check_connected(void *arg)
{
	Database *database = arg;

	if (database->announced || !lines_ready(&database->lines) || !database->learn.listening)
		return;
	if (!database->echo.sent_at)
		send_echo(database);
	if (!echo_is_back(&database->echo))
		return;
	database->backoff_ms = BACKOFF_MIN_MS;
	database->announced = true;
	if (databases_several())
		log_line(LOG_INFO, "database connected: %s, node %s", database->hosts.name,
				 *database->learn.node ? database->learn.node : "(none)");
	else
		log_line(LOG_INFO, "database connected");
	database_events->connected(database);
	database->learn.lineage = LINEAGE_SAME;
}

/*
 * Lines
 */

static void
line_is_open(LineName name, Pg *pg, void *arg)
{
	Database *database = arg;

	if (name != LINE_LISTEN)
		return;
	database_events->begins(database);
	learn_begin(&database->learn, pg);
}

/* One that does not listen is opened anew alone, if the others are there. */
static bool
line_is_lost(LineName name, const char *why, void *arg)
{
	Database *database = arg;

	if (name != LINE_LISTEN && database->announced)
		return true;
	lose_all(database, line_names[name], why);
	return false;
}

static void
notified(const char *channel, const char *payload, void *arg)
{
	Database *database = arg;

	if (strcmp(channel, BUS_CHANNEL) != 0)
		database_events->member_event(database, payload);
	else if (echo_heard(&database->echo, payload))
		check_connected(database);
	else if (database == HOME)
		database_events->bus_event(payload);
}

static void
judged(Statement statement, const char *sqlstate, const char *why, void *arg)
{
	Database *database = arg;

	trouble_judge(&database->troubles, statement, sqlstate, why);
}

/*
 * Time
 */

/* Nothing to join, so that it is known whether something could be. */
static void
probe(Database *database)
{
	static const char *const values[] = {"{}", "{}", "{}", "{}", NULL, "{}"};

	database_ask(database, STATEMENT_JOIN, values, NULL, NULL, NULL);
}

static bool
is_deaf(const Database *database, int64_t now)
{
	const Echo *echo = &database->echo;
	const Pg *beat = line_pg(&database->lines, LINE_BEAT);

	return !echo_is_back(echo) && echo->sent_at && echo->sent_at + ECHO_MS < now && beat &&
		   !pg_oldest(beat);
}

/* Who takes nothing for a while, and is not the only one, is left. */
static bool
should_move(Database *database)
{
	const char *why =
		hosts_several(&database->hosts) ? trouble_for(&database->troubles, TROUBLE_MS) : NULL;

	if (why)
		lose_all(database, line_names[LINE_LISTEN], why);
	return why != NULL;
}

void
database_tick(Database *database, int64_t now)
{
	if (!lines_tick(&database->lines))
		return;
	if (is_deaf(database, now))
	{
		lose_all(database, line_names[LINE_LISTEN],
				 "notifications do not arrive: a pooler that shares "
				 "connections between transactions is in between");
		return;
	}
	if (!database->announced || should_move(database))
		return;
	if (database->echo.sent_at + ECHO_MS < now && line_pg(&database->lines, LINE_BEAT))
		send_echo(database);
	if (database->lines.joined_at + REFRESH_MS < now)
		probe(database);
	if (database->learn.at + REFRESH_MS < now)
		learn_refresh(&database->learn);
}

PGresult *
database_keep(const PGresult *result)
{
	return pg_keep(result);
}

/*
 * Beginning and ending
 */

void
database_init(Database *database, int number, uv_loop_t *loop)
{
	static const LineEvents line_events = {line_is_open, line_is_lost, check_connected, notified,
										   judged};
	static const LearnEvents learn_events = {refused, took_settings, took_apps, moved,
											 begun_listening};

	database->number = number;
	database->timeout_ms = DEFAULT_TIMEOUT_MS;
	snprintf(database->last_loss, sizeof(database->last_loss), "not connected yet");
	uv_timer_init(loop, &database->reconnect);
	database->reconnect.data = database;
	hosts_start(&database->hosts, loop, found_host, database);
	lines_start(&database->lines, loop, &database->hosts, &database->learn, &line_events, database);
	learn_start(&database->learn, &learn_events, database);
}

bool
database_connect(Database *database, const char *conninfo)
{
	bool is_other = database->conninfo != NULL;

	if (is_other && strcmp(conninfo, database->conninfo) == 0)
		return true;
	if (!hosts_change(&database->hosts, conninfo))
		return false;
	database->conninfo = conninfo;
	database->backoff_ms = BACKOFF_MIN_MS;
	uv_timer_start(&database->reconnect, begin_anew, 0, 0);
	if (!is_other)
		return true;
	snprintf(database->last_loss, sizeof(database->last_loss), "--database has changed");
	log_line(LOG_INFO, "%s: all connections are opened anew", database->last_loss);
	close_all(database);
	return true;
}

void
database_leave(Database *database)
{
	if (!database->conninfo)
		return;
	database->conninfo = NULL;
	hosts_stop(&database->hosts);
	uv_timer_stop(&database->reconnect);
	close_all(database);
}

void
database_end(Database *database)
{
	database_leave(database);
	hosts_end(&database->hosts);
	uv_close((uv_handle_t *) &database->reconnect, NULL);
}
