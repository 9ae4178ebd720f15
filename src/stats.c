/*
 * stats.c
 *	  presence.statistics(), which the view presence.stats shows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "connections.h"
#include "settings.h"
#include "presences.h"
#include "shared.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_statistics);
PG_FUNCTION_INFO_V1(presence_memory);

/* Columns of presence.statistics(); the first ones are those of CounterId. */
enum
{
	QUEUED = NUM_COUNTERS,
	RESYNCS,
	MEMBERS,
	CONNECTIONS,
	WORKER_PID,
	WORKER_STATE,
	LAST_SWEEP,
	SINCE,
	STATISTICS_COLUMNS
};

/* In words, for people. The lock must be held. */
static const char *
worker_state(const DatabaseSlot *slot)
{
	if (slot->holds > 0)
		return "stopped for a command on the database";
	switch (slot->state)
	{
		case WORKER_RUNNING:
			return "running";
		case WORKER_STARTING:
			return "starting";
		case WORKER_WANTED:
			break;
	}
	if (shared_state->launcher_pid == 0)
		return "none: the launcher does not run (max_worker_processes)";
	return slot->no_worker_slot ? "waiting for a worker slot (max_worker_processes)" : "starting";
}

static void
set(Datum *values, bool *nulls, int column, Datum value)
{
	values[column] = value;
	nulls[column] = false;
}

/* Columns from shared memory; they stay NULL where there is none. */
static void
shared_values(Datum *values, bool *nulls)
{
	DatabaseSlot *slot = shared_use();
	const char *state;

	if (slot == NULL)
	{
		state = RecoveryInProgress()   ? "none on a standby"
				: shared_state == NULL ? "none: presence is not in shared_preload_libraries"
									   : "none: too many databases use presence";
		set(values, nulls, WORKER_STATE, CStringGetTextDatum(state));
		return;
	}

	LWLockAcquire(shared_state->lock, LW_SHARED);
	for (int i = 0; i < NUM_COUNTERS; i++)
		set(values, nulls, i, Int64GetDatum((int64) pg_atomic_read_u64(&slot->counters[i])));
	set(values, nulls, QUEUED, Int64GetDatum((int64) pg_atomic_read_u64(&slot->queued)));
	set(values, nulls, RESYNCS, Int64GetDatum((int64) pg_atomic_read_u64(&slot->resyncs_sent)));
	if (slot->worker_pid != 0)
		set(values, nulls, WORKER_PID, Int32GetDatum(slot->worker_pid));
	state = worker_state(slot);
	if (slot->last_sweep != 0)
		set(values, nulls, LAST_SWEEP, TimestampTzGetDatum(slot->last_sweep));
	set(values, nulls, SINCE, TimestampTzGetDatum(slot->since));
	LWLockRelease(shared_state->lock);

	set(values, nulls, WORKER_STATE, CStringGetTextDatum(state));
}

Datum
presence_statistics(PG_FUNCTION_ARGS)
{
	Datum values[STATISTICS_COLUMNS];
	bool nulls[STATISTICS_COLUMNS];
	TupleDesc tupdesc;
	Store store;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, true, sizeof(nulls));
	shared_values(values, nulls);

	store_open(&store, STORE_READ, "presence.statistics()");
	set(values, nulls, MEMBERS, Int64GetDatum(presences_count_all()));
	if (!RecoveryInProgress())
		set(values, nulls, CONNECTIONS, Int64GetDatum(connections_count(moment_now())));
	store_close(&store);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* memory(): bytes in use by all databases, and the limit */
Datum
presence_memory(PG_FUNCTION_ARGS)
{
	Datum values[2] = {0};
	bool nulls[2] = {true, true};
	TupleDesc tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (shared_state != NULL)
	{
		set(values, nulls, 0, Int64GetDatum((int64) pg_atomic_read_u64(&shared_state->bytes_used)));
		set(values, nulls, 1, Int64GetDatum((int64) presence_memory_limit * 1024));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
