/*
 * main.c
 *	  presence-gateway: starts, turns the loop, stops.
 *
 * One thread, one loop (libuv), into which libwebsockets and the two connections of libpq
 * hang themselves. What a turn of the loop has gathered goes out at its end: to the
 * database first, so that it works while clients are written to.
 */
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "apps.h"
#include "bus.h"
#include "database.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "protocol.h"
#include "room.h"
#include "seat.h"
#include "server.h"
#include "socket.h"

#define TICK_MS 500

/* Members stay for so long at least when we stop: their clients come to another gateway. */
#define DRAIN_LINGER_MS "5000"

static uv_loop_t *loop;
static uv_prepare_t turn_end;
static uv_timer_t tick;
static uv_signal_t signals[2];
static int64_t drain_until; /* ms; 0: not stopping */
static int64_t touched_at;
static bool degraded; /* clients were told so */
static bool stopped;

static void
set_degraded(bool now)
{
	if (degraded == now)
		return;
	degraded = now;
	log_line(now ? LOG_WARNING : LOG_INFO, now ? "degraded" : "restored");
	rooms_tell(now ? BYTES("presence:degraded") : BYTES("presence:restored"));
}

static void
close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void
stop(void)
{
	if (stopped)
		return;
	stopped = true;
	log_line(LOG_INFO, "stopped, %llu clients left", (unsigned long long) metrics.sockets);
	database_stop();
	close_handle((uv_handle_t *) &turn_end);
	close_handle((uv_handle_t *) &tick);
	for (int i = 0; i < 2; i++)
		close_handle((uv_handle_t *) &signals[i]);
	server_stop();
	uv_stop(loop);
}

static void
on_turn_end(uv_prepare_t *prepare)
{
	(void) prepare;
	seats_flush();
	rooms_flush();
	bus_flush();
	database_flush();
	if (degraded && database_healthy() && seats_restored())
		set_degraded(false);
	sockets_flush();
	if (drain_until && metrics.sockets == 0 && (!seats_dropping() || !database_connected()))
		stop();
}

static void
on_tick(uv_timer_t *timer)
{
	int64_t now = now_ms();

	(void) timer;
	database_tick();
	sockets_tick();
	if (!database_healthy() && apps_known)
		set_degraded(true);
	if (now - touched_at >= settings.timeout_ms / 3)
	{
		touched_at = now;
		seats_touch();
	}
	if (drain_until && now >= drain_until)
		stop();
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	(void) handle;
	if (drain_until) /* once more: at once */
	{
		stop();
		return;
	}
	log_line(LOG_INFO, "stopping on signal %d, %llu clients are told", signum,
			 (unsigned long long) metrics.sockets);
	drain_until = now_ms() + options.drain_ms;
	database_ask(STATEMENT_LINGER, 1, (const char *const[]){DRAIN_LINGER_MS}, NULL, NULL, NULL);
	server_drain();
}

static void
on_connected(void)
{
	touched_at = now_ms();
	seats_rejoin();
}

static void
on_lost(void)
{
	bus_lost();
	if (!stopped)
		set_degraded(true);
}

int
main(int argc, char **argv)
{
	static const DatabaseEvents events = {.connected = on_connected,
										  .lost = on_lost,
										  .apps_changed = protocol_apps_changed,
										  .member_event = room_event,
										  .bus_event = bus_notified};

	options_parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	loop = uv_default_loop();
	protocol_init();
	seats_init();
	uv_prepare_init(loop, &turn_end);
	uv_prepare_start(&turn_end, on_turn_end);
	uv_timer_init(loop, &tick);
	uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
	for (int i = 0; i < 2; i++)
	{
		uv_signal_init(loop, &signals[i]);
		uv_signal_start(&signals[i], on_signal, i == 0 ? SIGTERM : SIGINT);
	}
	if (!server_start(loop))
		return 1;
	database_start(loop, &events);
	uv_run(loop, UV_RUN_DEFAULT);
	while (server_closing())
		uv_run(loop, UV_RUN_NOWAIT);
	uv_loop_close(loop);
	return 0;
}
