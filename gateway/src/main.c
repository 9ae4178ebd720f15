/*
 * main.c
 *	  presence-gateway: starts, turns the loop, stops.
 *
 * One thread, one loop (libuv), in which sockets and the connections of libpq hang. What a turn of
 * the loop has gathered goes out at its end: to the database first, so that it works
 * while clients are written to.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "base/systemd.h"
#include "database/database.h"
#include "protocol/api.h"
#include "protocol/api_channels.h"
#include "protocol/bus.h"
#include "protocol/counts.h"
#include "protocol/opening.h"
#include "protocol/protocol.h"
#include "rooms/again.h"
#include "rooms/cache_read.h"
#include "rooms/cache_write.h"
#include "rooms/drop.h"
#include "rooms/event.h"
#include "rooms/list.h"
#include "rooms/place.h"
#include "rooms/reads.h"
#include "rooms/seat.h"
#include "rooms/state.h"
#include "rooms/watchlist.h"
#include "transport/listener.h"
#include "transport/tls.h"
#include "transport/waits.h"
#include "transport/web.h"
#include "webhooks/deliver.h"
#include "webhooks/emit.h"
#include "webhooks/post.h"

#define TICK_MS       500
#define MOVE_MS       50   /* between clients that are moved away */
#define LAST_BYTES_MS 1000 /* that clients have for their goodbye when all are moved */

#define SPARE_CONNECTIONS 256 /* of requests, and of those who have said nothing yet */
#define OWN_FILES         64  /* libpq's, the log's, the loop's */

/* Members stay for so long at least when we stop: their clients come to another gateway. */
#define DRAIN_LINGER_MS 5000

static uv_loop_t *loop;
static uv_prepare_t turn_end;
static uv_idle_t busy; /* while there is work left for the next turn */
static uv_timer_t tick;
static uv_timer_t move;
static uv_timer_t watchdog;
static const int signums[] = {SIGTERM, SIGINT, SIGHUP};
static uv_signal_t signals[sizeof(signums) / sizeof(signums[0])];
static int64_t drain_until; /* ms; 0: not stopping */
static int64_t moved_at;    /* ms; when the last client was */
static int64_t drain_from;
static uint64_t to_move; /* clients there were then */
static bool stopped;

/* Tells clients, if it is otherwise than before. problem: NULL if there is none. */
static void
set_degraded(const Database *database, const char *problem)
{
	bool now = problem != NULL;

	if (rooms_degraded(database) == now)
		return;
	if (now)
		log_line(LOG_WARNING, "degraded: %s", problem);
	else
		log_line(LOG_INFO, "restored%s%s", databases_several() ? ": " : "",
				 databases_several() ? database->hosts.name : "");
	rooms_degrade(database, now);
}

static void
consider_restored(void)
{
	for (Database *database = HOME; database; database = database_next(database))
		if (rooms_degraded(database) && !database_problem(database) && seats_restored(database))
			set_degraded(database, NULL);
}

static void
consider_degraded(void)
{
	for (Database *database = HOME; database; database = database_next(database))
	{
		const char *problem = database_problem(database);

		if (problem)
			set_degraded(database, problem);
	}
}

/*
 * Stopping
 */

static void
close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* One more, once nobody hears of it, would end us as if something were wrong. */
static void
close_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signums) / sizeof(signums[0]); i++)
		sigaddset(&set, signums[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		close_handle((uv_handle_t *) &signals[i]);
}

static void
stop(void)
{
	if (stopped)
		return;
	stopped = true;
	log_line(LOG_INFO, "stopped, %llu clients left", (unsigned long long) metrics.sockets);
	posts_stop();
	databases_stop();
	deliver_end();
	conns_close_all();
	listeners_end();
	close_handle((uv_handle_t *) &turn_end);
	close_handle((uv_handle_t *) &busy);
	close_handle((uv_handle_t *) &tick);
	close_handle((uv_handle_t *) &move);
	close_handle((uv_handle_t *) &watchdog);
	close_signals();
	uv_stop(loop);
}

/* Some each time, so that they do not all come to another gateway at once: done after four fifths.
 */
static void
move_clients(uv_timer_t *timer)
{
	int64_t now = now_ms();
	uint64_t gone = to_move > metrics.sockets ? to_move - metrics.sockets : 0;
	uint64_t due =
		1 + to_move * (uint64_t) (now - drain_from) * 5 / 4 / (unsigned) options.drain_ms;

	(void) timer;
	if (metrics.sockets > 0)
		moved_at = now;
	if (due > gone)
		sockets_move_away((unsigned) (due - gone));
	conns_end_idle();
}

static void
begin_drain(int signum)
{
	log_line(LOG_INFO, "stopping on signal %d, %llu clients are moved away", signum,
			 (unsigned long long) metrics.sockets);
	systemd_tell("STOPPING=1");
	listeners_stop();
	opening_drain();
	api_drain();
	drops_linger(DRAIN_LINGER_MS);
	states_drain();
	deliver_drain();
	moved_at = drain_from = now_ms();
	drain_until = drain_from + options.drain_ms + LAST_BYTES_MS;
	to_move = metrics.sockets;
	uv_timer_start(&move, move_clients, 0, MOVE_MS);
}

static bool
is_drained(void)
{
	bool pending = states_pending() || emit_pending() || deliver_pending();

	if (metrics.sockets > 0 || drops_pending() || (pending && database_connected(HOME)))
		return false;
	return conns_open() == 0 || moved_at + LAST_BYTES_MS < now_ms();
}

static void
reload(void)
{
	systemd_tell("RELOADING=1");
	if (options_reload() && tls_load())
		log_line(LOG_INFO, "options and certificate read again");
	databases_reload();
	listeners_allow((unsigned) options.max_sockets + SPARE_CONNECTIONS);
	systemd_tell("READY=1");
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	(void) handle;
	if (signum == SIGHUP)
		reload();
	else if (drain_until) /* once more: at once */
		stop();
	else
		begin_drain(signum);
}

/*
 * Turns of the loop
 */

static void
do_nothing(uv_idle_t *idle)
{
	(void) idle;
}

static void
measure_turn(void)
{
	static uint64_t last;
	static uint64_t last_idle;
	static int64_t last_cpu;
	uint64_t now = uv_hrtime();
	uint64_t idle = uv_metrics_idle_time(loop);
	int64_t cpu = thread_us();

	if (last)
		metrics_loop_turn((int64_t) (now - last - (idle - last_idle)) / 1000, cpu - last_cpu);
	last = now;
	last_idle = idle;
	last_cpu = cpu;
}

static void
on_turn_end(uv_prepare_t *prepare)
{
	bool more;

	(void) prepare;
	measure_turn();
	events_flush();
	places_flush();
	seats_flush();
	reads_flush();
	api_channels_flush();
	watchlist_flush();
	cache_writes_flush();
	cache_reads_flush();
	states_flush();
	counts_flush();
	emit_flush();
	deliver_flush();
	bus_flush();
	databases_flush();
	consider_restored();
	more = conns_flush();
	if (more || reads_busy() || api_channels_busy())
		uv_idle_start(&busy, do_nothing);
	else
		uv_idle_stop(&busy);
	if (drain_until && is_drained())
		stop();
}

static void
on_tick(uv_timer_t *timer)
{
	(void) timer;
	databases_tick();
	seats_tick();
	sockets_tick();
	conns_tick();
	bus_tick();
	cache_tick();
	counts_tick();
	lists_tick();
	if (apps_known())
		consider_degraded();
	if (drain_until && now_ms() >= drain_until)
		stop();
}

static void
on_watchdog(uv_timer_t *timer)
{
	(void) timer;
	systemd_tell("WATCHDOG=1");
}

/*
 * What the database tells
 */

static void
on_connected(Database *database)
{
	seats_rejoin(database);
	watchlist_unsure();
	deliver_restart(database);
	if (database != HOME)
		return;
	states_restart();
	counts_restart();
}

static void
on_lost(Database *database)
{
	if (database == HOME)
		bus_lost();
	if (!stopped)
		set_degraded(database, database_problem(database));
}

static void
take_settings(const DatabaseSettings *now)
{
	free(settings.channel_prefix);
	settings.channel_prefix = xstrdup(now->channel_prefix);
}

static void
take_apps(const PGresult *rows)
{
	apps_begin();
	for (int i = 0; i < PQntuples(rows); i++)
		apps_row(PQgetvalue(rows, i, 0));
	apps_end();
	rooms_relist();
	protocol_apps_changed();
}

/*
 * Starting
 */

/* As many files as connections and the rest need, if the system lets us; else fewer connections. */
static unsigned
limit_files(void)
{
	unsigned connections = (unsigned) options.max_sockets + SPARE_CONNECTIONS;
	rlim_t wanted = (rlim_t) connections + OWN_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return connections;
	if (limit.rlim_cur < wanted)
		limit.rlim_cur =
			limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted)
		return connections;
	log_line(LOG_WARNING, "the system allows %llu files, too few for %d clients",
			 (unsigned long long) limit.rlim_cur, options.max_sockets);
	return limit.rlim_cur > 2 * OWN_FILES ? (unsigned) limit.rlim_cur - OWN_FILES
										  : (unsigned) limit.rlim_cur / 2;
}

static void
start_handles(void)
{
	uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
	uv_prepare_init(loop, &turn_end);
	uv_prepare_start(&turn_end, on_turn_end);
	uv_idle_init(loop, &busy);
	uv_timer_init(loop, &tick);
	uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
	uv_timer_init(loop, &move);
	uv_timer_init(loop, &watchdog);
	if (systemd_watchdog_ms() > 0)
		uv_timer_start(&watchdog, on_watchdog, 0, (uint64_t) systemd_watchdog_ms());
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
	{
		uv_signal_init(loop, &signals[i]);
		uv_signal_start(&signals[i], on_signal, signums[i]);
	}
}

int
main(int argc, char **argv)
{
	static const DatabaseEvents events = {.begins = events_restart,
										  .connected = on_connected,
										  .lost = on_lost,
										  .settings = take_settings,
										  .apps = take_apps,
										  .moved = rooms_doubt_all,
										  .member_event = event_notified,
										  .bus_event = bus_notified};
	static const WebHandler handler = {.begins = api_begins,
									   .complete = api_complete,
									   .upgrades = opening_upgrades,
									   .opened = opening_opened,
									   .message = protocol_message,
									   .too_large = protocol_too_large,
									   .heard = protocol_heard,
									   .closed = protocol_closed};

	options_parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	loop = uv_default_loop();
	protocol_init();
	apps_on_counted = states_restart;
	event_on_apps = deliver_anew;
	seats_init();
	cache_init();
	start_handles();
	web_handler = &handler;
	listener_handler = &web_connection;
	conns_start(loop);
	posts_start(loop);
	listeners_allow(limit_files());
	if (!tls_load() || !listeners_start(loop) || !databases_start(loop, &events))
		return 1;
	systemd_tell("READY=1");
	uv_run(loop, UV_RUN_DEFAULT);
	for (int turns = 0; turns < 10; turns++) /* what is closed is freed */
		uv_run(loop, UV_RUN_NOWAIT);
	tls_end();
	uv_loop_close(loop);
	return 0;
}
