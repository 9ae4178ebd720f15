/*
 * beat.c
 *	  Heartbeats: one call keeps the connections of thousands of seats alive.
 *
 * A connection keeps the lease that it was joined with, whatever presence.timeout is now: the
 * shortest one sets the pace.
 */
#include "rooms/beat.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metrics.h"
#include "database/database.h"

#define HANDLES_A_CALL 1000

void (*beat_on_lost)(Seat *seat);

static Seat *by_handle;
static int64_t beaten_at; /* ms */
static int shortest_ms = 25000;

/* A round is a call for each thousand; when the last one began that went well as a whole. */
static unsigned round_number;
static int round_left;
static bool round_well;
static int64_t well_at; /* ms */

void
beat_hold(Seat *seat, int64_t handle, int lease_ms)
{
	if (seat->handle)
	{
		HASH_DEL(by_handle, seat);
		if (well_at > seat->alive_at)
			seat->alive_at = well_at;
	}
	seat->handle = handle;
	if (!handle)
		return;
	seat->lease_ms = lease_ms;
	seat->alive_at = now_ms();
	HASH_ADD(hh, by_handle, handle, sizeof(seat->handle), seat);
	if (lease_ms < shortest_ms)
		shortest_ms = lease_ms;
}

/* A call of that round is over. */
static void
end_call(void *number, bool well)
{
	if ((unsigned) (uintptr_t) number != round_number)
		return;
	round_well = round_well && well;
	if (--round_left == 0 && round_well)
		well_at = beaten_at;
}

/* {1,2,3} are the handles that the database does not know: their seats join again. */
static void
lose_unknown(const char *text)
{
	while (*text == '{' || *text == ',')
	{
		char *end;
		int64_t handle = strtoll(text + 1, &end, 10);
		Seat *seat;

		if (end == text + 1)
			break;
		text = end;
		HASH_FIND(hh, by_handle, &handle, sizeof(handle), seat);
		if (!seat)
			continue;
		beat_hold(seat, 0, 0);
		beat_on_lost(seat);
	}
}

static void
beat_answered(const PGresult *result, bool ok, void *arg)
{
	if (!ok)
	{
		metrics.beat_failures++;
		log_line(LOG_ERROR, "heartbeats fail: %s", PQresultErrorMessage(result));
	}
	else
	{
		metrics.last_beat = now_ms();
		lose_unknown(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	}
	end_call(arg, ok);
}

static void
beat_forgotten(void *arg)
{
	metrics.beat_failures++;
	end_call(arg, false);
}

static void
beat_send(Buf *handles)
{
	const char *values[1];

	buf_addc(handles, '}');
	values[0] = handles->data;
	metrics.beats++;
	database_ask(STATEMENT_TOUCH, values, beat_answered, beat_forgotten,
				 (void *) (uintptr_t) round_number);
	buf_free(handles);
}

static void
beat_send_all(void)
{
	Buf handles = {0};
	int n = 0;

	round_number++;
	round_left = (int) (HASH_COUNT(by_handle) + HANDLES_A_CALL - 1) / HANDLES_A_CALL;
	round_well = true;
	shortest_ms = settings.timeout_ms;
	for (const Seat *seat = by_handle; seat; seat = seat->hh.next)
	{
		if (seat->lease_ms < shortest_ms)
			shortest_ms = seat->lease_ms;
		buf_addf(&handles, "%c%lld", n == 0 ? '{' : ',', (long long) seat->handle);
		if (++n < HANDLES_A_CALL && seat->hh.next)
			continue;
		beat_send(&handles);
		n = 0;
	}
}

void
beats_start(void)
{
	beaten_at = now_ms();
	shortest_ms = settings.timeout_ms;
}

void
beats_tick(void)
{
	int64_t now = now_ms();

	if (!database_connected() || now - beaten_at < shortest_ms / 3)
		return;
	beaten_at = now;
	beat_send_all();
}
