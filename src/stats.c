/*
 * stats.c
 *	  presence.statistics(), which the view presence.stats shows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "liveness.h"
#include "presence.h"
#include "shared.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_statistics);

#define STATISTICS_COLUMNS 10

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
	return slot->no_worker_slot ? "waiting for a worker slot (max_worker_processes)" : "starting";
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
		values[7] = CStringGetTextDatum(state);
		nulls[7] = false;
		return;
	}

	LWLockAcquire(shared_state->lock, LW_SHARED);
	for (int i = 0; i < NUM_COUNTERS; i++)
	{
		values[i] = Int64GetDatum((int64) pg_atomic_read_u64(&slot->counters[i]));
		nulls[i] = false;
	}
	values[6] = Int32GetDatum(slot->worker_pid);
	nulls[6] = slot->worker_pid == 0;
	state = worker_state(slot);
	values[8] = TimestampTzGetDatum(slot->last_sweep);
	nulls[8] = slot->last_sweep == 0;
	values[9] = TimestampTzGetDatum(slot->since);
	nulls[9] = false;
	LWLockRelease(shared_state->lock);

	values[7] = CStringGetTextDatum(state);
	nulls[7] = false;
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
	store_execute(COUNT_OPEN, NULL, NULL);
	values[4] = store_datum(SPI_tuptable, 0, 0);
	nulls[4] = false;
	if (!RecoveryInProgress())
	{
		Datum args[] = {TimestampTzGetDatum(presence_now()), liveness_started()};

		store_execute(COUNT_CONNECTIONS, args, NULL);
		values[5] = store_datum(SPI_tuptable, 0, 0);
		nulls[5] = false;
	}
	store_close(&store);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
