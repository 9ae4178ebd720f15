/*
 * database.c
 *	  The database: two connections, there or not, and what is asked of it.
 *
 * The listener first reads apps and settings, since these name the channel, then LISTENs, then
 * the database counts as connected. It reads them again every few seconds, which
 * shows as well that it is alive.
 */
#include "database.h"

#include <stdlib.h>

#include "apps.h"
#include "log.h"
#include "metrics.h"
#include "options.h"

#define REFRESH_MS     5000
#define SLOW_MS        3000  /* no answer: degraded */
#define DEAD_MS        15000 /* no answer: connect anew */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

static uv_loop_t *loop;
static const DatabaseEvents *events;
static uv_timer_t reconnect;
static uv_timer_t wake;
static Pg *listener;
static Pg *worker;
static bool listening;
static bool working;
static int backoff_ms = BACKOFF_MIN_MS;
static int64_t refreshed_at;

static const struct
{
	const char *name;
	const char *sql;
} statements[] = {
	{STATEMENT_JOIN, "SELECT id, connection, is_author, user_info FROM presence.join_rooms("
					 "$1::text[], $2::text[], $3::text[], $4::jsonb[], $5::interval)"},
	{STATEMENT_DROP, "SELECT presence.drop_connections($1::bigint[])"},
	{STATEMENT_TOUCH, "SELECT presence.touch($1::bigint[])"},
	{STATEMENT_READ, "SELECT id, book_id, user_id, user_info, is_author FROM presence.online"
					 " WHERE book_id = ANY ($1::text[]) ORDER BY joined_at, id"},
	{STATEMENT_COUNTS, "SELECT book_id, count(*) FROM presence.online GROUP BY book_id"},
	{STATEMENT_COUNT, "SELECT presence.member_count($1)"},
	{STATEMENT_LINGER,
	 "SELECT pg_catalog.set_config(name, GREATEST(setting::int, $1::int)::text, false)"
	 " FROM pg_catalog.pg_settings WHERE name = 'presence.linger'"},
	{STATEMENT_USERS, "SELECT user_id FROM presence.room_members($1)"},
};

bool
database_connected(void)
{
	return listening && working;
}

bool
database_healthy(void)
{
	int64_t now = now_ms();

	return database_connected() && !(pg_oldest(listener) && pg_oldest(listener) + SLOW_MS < now) &&
		   !(pg_oldest(worker) && pg_oldest(worker) + SLOW_MS < now);
}

static void
close_both(void)
{
	bool was_connected = database_connected();
	Pg *both[] = {listener, worker};

	listening = working = false;
	listener = worker = NULL;
	for (int i = 0; i < 2; i++)
		if (both[i])
			pg_close(both[i]);
	if (was_connected)
		events->lost();
}

static void open_both(uv_timer_t *timer);

static void
lost(Pg *pg, const char *why)
{
	int delay = backoff_ms / 2 + (int) (random_u64() % (unsigned) (backoff_ms / 2 + 1));

	log_line(LOG_WARNING, "database lost (%s): %s; next attempt in %d ms",
			 pg == listener ? "listener" : "worker", why, delay);
	metrics.database_losses += database_connected();
	close_both();
	backoff_ms = backoff_ms * 2 < BACKOFF_MAX_MS ? backoff_ms * 2 : BACKOFF_MAX_MS;
	uv_timer_start(&reconnect, open_both, (uint64_t) delay, 0);
}

static void
check_connected(void)
{
	if (!database_connected())
		return;
	backoff_ms = BACKOFF_MIN_MS;
	log_line(LOG_INFO, "database connected");
	events->connected();
}

/*
 * The listener
 */

static void
refuse(const PGresult *result)
{
	lost(listener, PQresultErrorMessage(result));
}

static void
took_listen(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
	{
		refuse(result);
		return;
	}
	listening = true;
	check_connected();
}

static void
listen_to(const char *statement, const char *channel, PgAnswer answer)
{
	char *name = pg_identifier(listener, channel);
	Buf sql = {0};

	buf_addf(&sql, "LISTEN %s", name ? name : "\"\"");
	pg_prepare(listener, statement, sql.data);
	pg_ask(listener, statement, 0, NULL, answer, NULL, NULL);
	buf_free(&sql);
	free(name);
}

static void
took_apps(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
	{
		refuse(result);
		return;
	}
	apps_begin();
	for (int i = 0; i < PQntuples(result); i++)
		apps_row(PQgetvalue(result, i, 0), PQgetvalue(result, i, 1), PQgetvalue(result, i, 2));
	apps_end();
	if (PQntuples(result) == 0 && !listening)
		log_line(LOG_WARNING, "presence.pusher_app is empty: no client can connect");
	events->apps_changed();
}

static void
took_settings(const PGresult *result, bool ok, void *arg)
{
	bool moved;

	(void) arg;
	if (!ok || PQntuples(result) != 1)
	{
		refuse(result);
		return;
	}
	moved = settings_set(PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
						 atoi(PQgetvalue(result, 0, 2)));
	if (listening && moved)
		lost(listener, "presence.channel or presence.channel_prefix has changed");
	else if (!listening)
	{
		listen_to("listen events", settings.events_channel, NULL);
		listen_to("listen bus", BUS_CHANNEL, took_listen);
	}
}

/* The apps first: that call loads the library, which defines the settings. */
static void
refresh(void)
{
	refreshed_at = now_ms();
	pg_ask(listener, "apps", 0, NULL, took_apps, NULL, NULL);
	pg_ask(listener, "settings", 0, NULL, took_settings, NULL, NULL);
}

static void
prepare_listener(void)
{
	pg_prepare(listener, "session",
			   "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
			   " pg_catalog.set_config('synchronous_commit', 'off', false),"
			   " pg_catalog.set_config('idle_session_timeout', '0', false)");
	pg_ask(listener, "session", 0, NULL, NULL, NULL, NULL);
	pg_prepare(listener, "apps", "SELECT app_id, key, secret FROM presence.pusher_apps()");
	pg_prepare(listener, "settings",
			   "SELECT pg_catalog.current_setting('presence.channel_prefix'),"
			   " pg_catalog.current_setting('presence.channel'), setting"
			   " FROM pg_catalog.pg_settings WHERE name = 'presence.timeout'");
	pg_prepare(listener, "notify",
			   "SELECT pg_catalog.pg_notify('" BUS_CHANNEL "', payload)"
			   " FROM pg_catalog.unnest($1::pg_catalog.text[]) AS payload");
	refresh();
}

/*
 * The worker
 */

static void
took_session(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
	{
		lost(worker, PQresultErrorMessage(result));
		return;
	}
	working = true;
	check_connected();
}

static void
prepare_worker(void)
{
	pg_prepare(worker, "session",
			   "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
			   " pg_catalog.set_config('idle_session_timeout', '0', false)");
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		pg_prepare(worker, statements[i].name, statements[i].sql);
	pg_ask(worker, "session", 0, NULL, took_session, NULL, NULL);
}

static void
connected(Pg *pg)
{
	if (pg == listener)
		prepare_listener();
	else
		prepare_worker();
}

static void
notified(const char *channel, const char *payload)
{
	if (strcmp(channel, BUS_CHANNEL) == 0)
		events->bus_event(payload);
	else
		events->member_event(payload);
}

static void
open_both(uv_timer_t *timer)
{
	static const PgEvents pg_events = {connected, lost, notified};

	(void) timer;
	listener = pg_open(loop, "listener", options.database, &pg_events);
	worker = pg_open(loop, "worker", options.database, &pg_events);
}

static void
do_nothing(uv_timer_t *timer)
{
	(void) timer;
}

void
database_start(uv_loop_t *loop_, const DatabaseEvents *events_)
{
	loop = loop_;
	events = events_;
	uv_timer_init(loop, &reconnect);
	uv_timer_init(loop, &wake);
	open_both(NULL);
}

void
database_stop(void)
{
	uv_timer_stop(&reconnect);
	close_both();
	uv_close((uv_handle_t *) &reconnect, NULL);
	uv_close((uv_handle_t *) &wake, NULL);
}

void
database_ask(const char *statement, int nvalues, const char *const *values, PgAnswer answer,
			 PgForgotten forgotten, void *arg)
{
	if (worker && working)
		pg_ask(worker, statement, nvalues, values, answer, forgotten, arg);
	else if (forgotten)
		forgotten(arg);
}

void
database_notify(const char *payloads, PgAnswer answer, PgForgotten forgotten)
{
	const char *values[] = {payloads};

	pg_ask(listener, "notify", 1, values, answer, forgotten, NULL);
}

void
database_flush(void)
{
	if (listener)
		pg_flush(listener);
	if (worker)
		pg_flush(worker);
}

void
database_tick(void)
{
	int64_t now = now_ms();
	Pg *both[] = {listener, worker};

	for (int i = 0; i < 2; i++)
		if (both[i] && pg_oldest(both[i]) && pg_oldest(both[i]) + DEAD_MS < now)
		{
			lost(both[i], "no answer");
			return;
		}
	if (database_connected() && refreshed_at + REFRESH_MS < now)
		refresh();
}

void
database_wake_in(int ms)
{
	if (ms < 1)
		ms = 1;
	uv_timer_start(&wake, do_nothing, (uint64_t) ms, 0);
}
