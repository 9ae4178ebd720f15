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

#define HANDLES_A_CALL 1000

void (*beat_on_lost)(Seat *seat);

/*
 * Of one database. A round is a call for each thousand; well_at: when the last one began that went
 * well as a whole.
 */
typedef struct Beats
{
	Seat *by_handle;
	int64_t beaten_at; /* ms */
	int shortest_ms;   /* lease; 0: of none */
	unsigned round;
	int calls_left;   /* of the round */
	bool well;        /* it is so far */
	int64_t well_at;  /* ms */
	int64_t taken_at; /* ms; when the last call was answered well; 0: none was */
} Beats;

/* A call under way. */
typedef struct Call
{
	Beats *beats;
	unsigned round;
} Call;

static Beats all[MAX_DATABASES];

static Beats *
beats_of(const Database *database)
{
	return &all[database->number];
}

void
beat_hold(Seat *seat, int64_t handle, int lease_ms)
{
	Beats *beats;

	if (!seat->handle && !handle)
		return;
	beats = beats_of(seat->room->database);
	if (seat->handle)
	{
		HASH_DEL(beats->by_handle, seat);
		if (beats->well_at > seat->alive_at)
			seat->alive_at = beats->well_at;
	}
	seat->handle = handle;
	if (!handle)
		return;
	seat->lease_ms = lease_ms;
	seat->alive_at = now_ms();
	HASH_ADD(hh, beats->by_handle, handle, sizeof(seat->handle), seat);
	if (lease_ms < beats->shortest_ms)
		beats->shortest_ms = lease_ms;
}

static void
end_call(Call *call, bool well)
{
	Beats *beats = call->beats;

	if (call->round == beats->round)
	{
		beats->well = beats->well && well;
		if (--beats->calls_left == 0 && beats->well)
			beats->well_at = beats->beaten_at;
	}
	free(call);
}

/* {1,2,3} are the handles that the database does not know: their seats join again. */
static void
lose_unknown(Beats *beats, const char *text)
{
	while (*text == '{' || *text == ',')
	{
		char *end;
		int64_t handle = strtoll(text + 1, &end, 10);
		Seat *seat;

		if (end == text + 1)
			break;
		text = end;
		HASH_FIND(hh, beats->by_handle, &handle, sizeof(handle), seat);
		if (!seat)
			continue;
		beat_hold(seat, 0, 0);
		beat_on_lost(seat);
	}
}

/* Of the database that has waited for longest. */
static void
note_last_beat(void)
{
	metrics.last_beat = 0;
	for (const Database *database = HOME; database; database = database_next(database))
	{
		int64_t taken_at = beats_of(database)->taken_at;

		if (taken_at && (!metrics.last_beat || taken_at < metrics.last_beat))
			metrics.last_beat = taken_at;
	}
}

static void
beat_answered(const PGresult *result, bool ok, void *arg)
{
	Call *call = arg;

	if (!ok)
	{
		metrics.beat_failures++;
		log_line(LOG_ERROR, "heartbeats fail: %s", PQresultErrorMessage(result));
	}
	else
	{
		call->beats->taken_at = now_ms();
		note_last_beat();
		lose_unknown(call->beats, PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	}
	end_call(call, ok);
}

static void
beat_forgotten(void *arg)
{
	metrics.beat_failures++;
	end_call(arg, false);
}

static void
beat_send(Database *database, Buf *handles)
{
	Call *call = xcalloc(1, sizeof(Call));
	const char *values[1];

	call->beats = beats_of(database);
	call->round = call->beats->round;
	buf_addc(handles, '}');
	values[0] = handles->data;
	metrics.beats++;
	database_ask(database, STATEMENT_TOUCH, values, beat_answered, beat_forgotten, call);
	buf_free(handles);
}

static void
beat_send_all(Database *database)
{
	Beats *beats = beats_of(database);
	Buf handles = {0};
	int n = 0;

	beats->round++;
	beats->calls_left = (int) (HASH_COUNT(beats->by_handle) + HANDLES_A_CALL - 1) / HANDLES_A_CALL;
	beats->well = true;
	beats->shortest_ms = database->timeout_ms;
	for (const Seat *seat = beats->by_handle; seat; seat = seat->hh.next)
	{
		if (seat->lease_ms < beats->shortest_ms)
			beats->shortest_ms = seat->lease_ms;
		buf_addf(&handles, "%c%lld", n == 0 ? '{' : ',', (long long) seat->handle);
		if (++n < HANDLES_A_CALL && seat->hh.next)
			continue;
		beat_send(database, &handles);
		n = 0;
	}
}

void
beats_start(const Database *database)
{
	Beats *beats = beats_of(database);

	beats->beaten_at = now_ms();
	beats->shortest_ms = database->timeout_ms;
}

void
beats_tick(void)
{
	int64_t now = now_ms();

	for (Database *database = HOME; database; database = database_next(database))
	{
		Beats *beats = beats_of(database);

		if (!database_connected(database) || now - beats->beaten_at < beats->shortest_ms / 3)
			continue;
		beats->beaten_at = now;
		beat_send_all(database);
	}
}
