/*
 * leases.c
 *	  For the worker: which leases end when, without reading them all.
 *
 * A heap, the worker's own, has for each beat a time to look at it. Heartbeats only
 * push a lease on, so that a beat whose time has come and which was heard since goes back
 * into the heap with its new time: one step a lease, not one a heartbeat. Beats that
 * transactions opened, renewed or closed come on the list of fresh ones (beats.h).
 *
 * Until the memory is ready, and it waits for transactions that had begun to write before
 * it was made, the rows are asked, all of them.
 */
#include "postgres.h"

#include "leases.h"

#include "lib/pairingheap.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "beats.h"
#include "events.h"
#include "liveness.h"
#include "members.h"
#include "presence.h"
#include "store.h"

#define BATCH 1000   /* leases a transaction */
#define RETRY 250000 /* µs; what was locked, or is not yet free */

/* A time to look at a beat, which points here as long as it is in the heap. */
typedef struct Due
{
	pairingheap_node node;
	TimestampTz at;
	int64 handle;
} Due;

static MemoryContext context = NULL;
static pairingheap *dues = NULL;

/* Transactions that may have written rows before the memory was made. */
static VirtualTransactionId *writers = NULL;
static TimestampTz opened_at = 0;

/* Of the batch at hand. */
static int64 batch[BATCH];
static int batch_size = 0;

/* Handles that leases_write has still to write, and when it was that they were heard. */
static int64 *unwritten = NULL;
static int nunwritten = 0;
static TimestampTz writing_since = 0;

static int
compare_dues(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	TimestampTz x = pairingheap_const_container(Due, node, a)->at;
	TimestampTz y = pairingheap_const_container(Due, node, b)->at;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void
look_at(Beat *beat, TimestampTz at)
{
	Due *due = beat->due;

	if (due != NULL && due->at <= at)
		return;
	if (due != NULL)
		pairingheap_remove(dues, &due->node);
	else
		due = beat->due = MemoryContextAlloc(context, sizeof(Due));
	due->at = at;
	due->handle = beat->handle;
	pairingheap_add(dues, &due->node);
}

static void
remove_due(Due *due)
{
	pairingheap_remove(dues, &due->node);
	pfree(due);
}

/* Frees a beat, or looks at it again later. */
static void
forget(Beat *beat, TimestampTz retry)
{
	Due *due = beat->due;

	if (!beats_forget(beat))
		look_at(beat, retry);
	else if (due != NULL)
		remove_due(due);
}

/* Whether a beat is of no more use; one of a transaction that is not through yet may be. */
static bool
is_over(Beat *beat)
{
	BeatState state = beat_state(beat);

	return state == BEAT_GONE || state == BEAT_NONE;
}

static void
learn(void)
{
	TimestampTz retry = GetCurrentTimestamp() + RETRY;
	Beat *beat;

	while ((beat = beats_take_fresh()) != NULL)
		if (!is_over(beat))
			look_at(beat, (TimestampTz) pg_atomic_read_u64(&beat->expires));
		else
			forget(beat, retry);
}

/* The beat that is due first, taken out of the heap. */
static Beat *
take_first(void)
{
	Due *due = pairingheap_container(Due, node, pairingheap_first(dues));
	Beat *beat = beats_find(due->handle);

	beat->due = NULL;
	remove_due(due);
	return beat;
}

static TimestampTz
first_due(void)
{
	if (pairingheap_is_empty(dues))
		return PG_INT64_MAX;
	return pairingheap_container(Due, node, pairingheap_first(dues))->at;
}

TimestampTz
leases_next(void)
{
	if (beats_mode() != BEATS_READY)
	{
		TimestampTz next = liveness_next_expiry();

		return writers ? Min(next, GetCurrentTimestamp() + RETRY) : next;
	}
	learn();
	return first_due();
}

/* Takes leases that are over from the heap. */
static void
take_batch(TimestampTz now)
{
	learn();
	batch_size = 0;
	while (batch_size < BATCH && first_due() <= now)
	{
		Beat *beat = take_first();

		if (is_over(beat))
			forget(beat, now + RETRY);
		else if ((TimestampTz) pg_atomic_read_u64(&beat->expires) > now)
			look_at(beat, (TimestampTz) pg_atomic_read_u64(&beat->expires));
		else
			batch[batch_size++] = beat->handle;
	}
}

static ArrayType *
handle_array(const int64 *handles, int n)
{
	Datum *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(handles[i]);
	return DatumGetArrayTypeP(store_bigint_array(values, n));
}

/* Of rows that nobody ends with a presence: it was closed, or they were deleted, by hand. */
static void
drop_strays(ArrayType *handles, TimestampTz now)
{
	Datum drop[] = {TimestampTzGetDatum(now), liveness_leases_from(), PointerGetDatum(handles)};

	store_execute(DROP_STRAYS_HANDLES, drop, NULL);
	liveness_closed(store_execute(GONE_HANDLES, drop + 2, NULL), 0);
}

bool
leases_expire(TimestampTz now)
{
	ArrayType *handles;
	int dropped;

	if (beats_mode() != BEATS_READY)
	{
		members_expire(now, NULL, &dropped);
		return dropped > 0;
	}
	take_batch(now);
	if (batch_size == 0)
		return false;
	handles = handle_array(batch, batch_size);
	members_expire(now, handles, &dropped);
	if (dropped < batch_size)
		drop_strays(handles, now);
	return batch_size == BATCH;
}

void
leases_settle(void)
{
	TimestampTz retry = GetCurrentTimestamp() + RETRY;

	for (int i = 0; i < batch_size; i++)
	{
		Beat *beat = beats_find(batch[i]);

		if (beat != NULL && !is_over(beat))
			look_at(beat, Max(retry, (TimestampTz) pg_atomic_read_u64(&beat->expires)));
	}
	batch_size = 0;
}

/* The transactions that write to the table of connections now. */
static void
remember_writers(void)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	LOCKTAG tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, store_relation("connection"));
	writers = GetLockConflicts(&tag, ShareLock, NULL);
	MemoryContextSwitchTo(old);
}

static bool
writers_are_gone(void)
{
	while (VirtualTransactionIdIsValid(*writers))
	{
		if (!VirtualXactLock(*writers, false))
			return false;
		writers++;
	}
	return true;
}

static void
load(void)
{
	Datum values[] = {liveness_leases_from()};
	uint64 nrows = store_execute(LOAD_CONNECTIONS, values, NULL);
	SPITupleTable *rows = SPI_tuptable;
	TimestampTz now = GetCurrentTimestamp();

	for (uint64 i = 0; i < nrows; i++)
	{
		bool stand_in = DatumGetBool(store_datum(rows, i, 8));
		const Interval *interval = DatumGetIntervalP(store_datum(rows, i, 5));
		int64 ttl = interval->time + interval->day * USECS_PER_DAY;
		TimestampTz expires = DatumGetTimestampTz(store_datum(rows, i, 7));

		/* a heartbeat that came while it was loading may be in neither */
		if (!stand_in && now - opened_at > RETRY)
			expires = Max(expires, now + ttl);

		beats_load(&(BeatChange){.kind = BEAT_OPEN,
								 .handle = DatumGetInt64(store_datum(rows, i, 0)),
								 .presence_id = DatumGetInt64(store_datum(rows, i, 1)),
								 .user_id = DatumGetTextPP(store_datum(rows, i, 2)),
								 .book_id = DatumGetTextPP(store_datum(rows, i, 3)),
								 .connection_id =
									 stand_in ? NULL : DatumGetTextPP(store_datum(rows, i, 4)),
								 .ttl = ttl,
								 .last_active = DatumGetTimestampTz(store_datum(rows, i, 6)),
								 .expires = expires});
	}
}

static void
start(DatabaseSlot *slot)
{
	MemoryContext old;

	if (context == NULL)
		context =
			AllocSetContextCreate(TopMemoryContext, "presence leases", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(context);
	batch_size = 0;
	unwritten = NULL;
	nunwritten = 0;
	old = MemoryContextSwitchTo(context);
	dues = pairingheap_allocate(compare_dues, NULL);
	MemoryContextSwitchTo(old);
	beats_open(slot);
	opened_at = GetCurrentTimestamp();
	remember_writers();
}

/* The same table in another file: what was heard goes with it, as far as it can. */
static void
move(DatabaseSlot *slot)
{
	int n;
	int64 *handles = beats_heard(&n);

	liveness_write(handles, n);
	start(slot);
	beats_lost(slot);
}

void
leases_look(DatabaseSlot *slot)
{
	bool other;

	if (dues == NULL)
		start(slot);
	else if (beats_are_stale(&other))
	{
		if (other)
			start(slot);
		else
			move(slot);
	}
	if (writers == NULL || !writers_are_gone())
		return;
	writers = NULL;
	load();
	beats_ready();
}

bool
leases_write(void)
{
	MemoryContext old;
	Datum values[1];
	uint64 nrows;

	batch_size = 0;
	if (beats_mode() != BEATS_READY)
		return false;
	if (nunwritten == 0)
	{
		writing_since = GetCurrentTimestamp();
		old = MemoryContextSwitchTo(context);
		if (unwritten != NULL)
			pfree(unwritten);
		unwritten = beats_heard(&nunwritten);
		MemoryContextSwitchTo(old);
	}
	nrows = Min(nunwritten, BATCH);
	nunwritten -= (int) nrows;
	nrows = liveness_write(unwritten + nunwritten, (int) nrows);
	for (uint64 i = 0; i < nrows; i++)
		batch[batch_size++] = DatumGetInt64(store_datum(SPI_tuptable, i, 0));
	values[0] = PointerGetDatum(handle_array(batch, batch_size));
	store_execute(WRITE_PRESENCES, values, NULL);
	return nunwritten > 0;
}

void
leases_written(void)
{
	for (int i = 0; i < batch_size; i++)
	{
		Beat *beat = beats_find(batch[i]);

		if (beat != NULL && (TimestampTz) pg_atomic_read_u64(&beat->written) < writing_since)
			pg_atomic_write_u64(&beat->written, (uint64) writing_since);
	}
	batch_size = 0;
}

void
leases_forget_rooms(TimestampTz now)
{
	if (dues != NULL)
		beats_forget_rooms(now - USECS_PER_HOUR);
}
