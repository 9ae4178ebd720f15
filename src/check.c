/*
 * check.c
 *	  presence.check(): what is wrong with an installation, in rows; none: all is well.
 *
 * It is made to be called every minute by what monitors a server: it reads who is here and
 * the catalogs, and nothing of the past. What lasts a moment as a rule (a worker that starts, an
 * event on its way, a lease that has just ended) is no finding before it has lasted.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "utils/fmgrprotos.h"

#include "check_tables.h"
#include "connections.h"
#include "findings.h"
#include "presences.h"
#include "settings.h"
#include "shared.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_check);

#define PATIENCE        (30 * USECS_PER_SEC)
/* The worker looks every 10 seconds; many leases that end together take it longer. */
#define WORKER_PATIENCE (60 * USECS_PER_SEC)

/* Percent of presence.memory_limit; with what pieces are rounded up to, most of it. */
#define MUCH_MEMORY 70

static const char no_memory_hint[] = "Increase presence.memory_limit, and restart the server.";

static void
check_memory(ReturnSetInfo *rsinfo)
{
	int64 used = (int64) pg_atomic_read_u64(&shared_state->bytes_used);
	int64 percent = used * 100 / ((int64) presence_memory_limit * 1024);

	if (pg_atomic_read_u64(&shared_state->spare_from) > (uint64) presence_monotonic())
		finding(rsinfo, FINDING_ERROR, "memory_full",
				"presence.memory_limit has been reached within the last minute: joins are refused.",
				no_memory_hint);
	else if (percent >= MUCH_MEMORY)
		finding(rsinfo, FINDING_WARNING, "memory_filling",
				psprintf(INT64_FORMAT " %% of presence.memory_limit are used.", percent),
				no_memory_hint);
}

static void
check_worker(ReturnSetInfo *rsinfo, DatabaseSlot *slot)
{
	bool held;
	bool impossible; /* to start one */
	int pid;
	int64 silent;

	LWLockAcquire(shared_state->lock, LW_SHARED);
	held = slot->holds > 0;
	impossible = slot->no_worker_slot || shared_state->launcher_pid == 0;
	pid = slot->worker_pid;
	silent = GetCurrentTimestamp() - Max(slot->since, slot->last_sweep);
	LWLockRelease(shared_state->lock);

	if (held || (silent < WORKER_PATIENCE && !(pid == 0 && impossible)))
		return;
	if (pid == 0)
		finding(rsinfo, FINDING_ERROR, "worker_missing",
				"This database has no worker: nobody ends leases.",
				impossible ? "Increase max_worker_processes, and restart the server."
						   : "The server's log says why it ends or does not start.");
	else
		finding(rsinfo, FINDING_ERROR, "worker_stuck",
				psprintf(
					"The worker, process %d, has not been through with the leases for " INT64_FORMAT
					" s.",
					pid, silent / USECS_PER_SEC),
				"The server's log says what fails. It may be stopped, or wait for a disk.");
}

static void
check_event_queue(ReturnSetInfo *rsinfo, DatabaseSlot *slot)
{
	int64 percent;

	LWLockAcquire(slot->queue_lock, LW_SHARED);
	percent = (int64) slot->queue_bytes * 100 / ((int64) presence_event_queue_size * 1024);
	LWLockRelease(slot->queue_lock);
	if (percent >= 50)
		finding(rsinfo, FINDING_WARNING, "event_queue_filling",
				psprintf(INT64_FORMAT " %% of presence.event_queue_size wait to be sent.", percent),
				"Is the worker stuck, or the queue of NOTIFY full? Else increase the setting.");
}

/* PostgreSQL's queue holds gigabytes: a hundredth is more than listeners are behind who read. */
static void
check_notify_queue(ReturnSetInfo *rsinfo)
{
	double usage = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));

	if (usage >= 0.01)
		finding(
			rsinfo, usage >= 0.5 ? FINDING_ERROR : FINDING_WARNING, "notify_queue_filling",
			psprintf("The queue of NOTIFY is %.0f %% full: a session that listens does not read.",
					 usage * 100),
			"End the session that listens and stays in a transaction: look for the oldest "
			"xact_start in pg_stat_activity.");
}

/* What was left open long after its last lease. */
static void
check_leases(ReturnSetInfo *rsinfo)
{
	TimestampTz now = GetCurrentTimestamp();
	int64 late = 0;
	int64 n;
	Liveness *sums = connections_sums(moment_now(), &n);

	for (int64 i = 0; i < n; i++)
		late += !sums[i].alive && now - sums[i].lease_end > PATIENCE;
	if (late > 0)
		finding(rsinfo, FINDING_ERROR, "leases_not_ended",
				psprintf(INT64_FORMAT
						 " presences are open, though their leases ended more than half a "
						 "minute ago: listeners are not told.",
						 late),
				shared_use() ? "A transaction holds them, or a trigger or constraint refuses: the "
							   "server's log says."
							 : "Nobody calls presence.sweep(): have it called every few seconds.");
}

/* Open presences that nothing holds: the worker, or a sweep, gives them a lease. */
static void
check_orphans(ReturnSetInfo *rsinfo, DatabaseSlot *slot)
{
	static Statement orphans = {
		.sql = "SELECT pg_catalog.count(*) FROM presence.room_presence AS p"
			   " WHERE p.left_at IS NULL AND p.last_active_at OPERATOR(pg_catalog.<)"
			   " (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)"
			   " '2 minutes'::pg_catalog.interval)"
			   " AND NOT (p.id OPERATOR(pg_catalog.=) ANY"
			   " (SELECT l.presence_id FROM presence.liveness_list() AS l))",
		.args = "",
		.columns = "i"};
	int64 n;

	if (presences_come_by_replication() || (slot != NULL && !pg_atomic_read_u32(&slot->adopted)))
		return;
	(void) store_execute(&orphans, NULL, NULL);
	n = DatumGetInt64(store_value());
	if (n > 0)
		finding(rsinfo, FINDING_WARNING, "orphans",
				psprintf(INT64_FORMAT " open presences have no lease: they do not end.", n),
				slot ? "The worker gives them one within a minute, unless it fails: see its log."
					 : "Nobody calls presence.sweep(): have it called every few seconds.");
}

/* How connections are kept, and who ends leases. slot: NULL, this database has none. */
static void
check_server(ReturnSetInfo *rsinfo, DatabaseSlot *slot)
{
	if (shared_state == NULL)
	{
		finding(rsinfo, FINDING_NOTICE, "not_preloaded",
				"presence is not in shared_preload_libraries: connections are rows of a table, and "
				"nobody ends leases but who calls presence.sweep().",
				"Preload it if you can, else have presence.sweep() called every few seconds.");
		return;
	}
	check_memory(rsinfo);
	if (slot == NULL)
	{
		finding(rsinfo, FINDING_ERROR, "database_not_served",
				"Too many databases use presence: this one has no worker, and its connections are "
				"rows of a table.",
				"Increase presence.max_databases, and restart the server; until then have "
				"presence.sweep() called every few seconds.");
		return;
	}
	check_worker(rsinfo, slot);
	check_event_queue(rsinfo, slot);
}

/* check() */
Datum
presence_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	DatabaseSlot *slot = shared_use();
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.check()");
	check_schema(rsinfo);
	if (RecoveryInProgress())
		finding(rsinfo, FINDING_NOTICE, "standby",
				"This server is a standby: connections, leases and events are its primary's.",
				"Check the primary.");
	else
	{
		check_server(rsinfo, slot);
		check_notify_queue(rsinfo);
		check_leases(rsinfo);
		check_orphans(rsinfo, slot);
		check_rows(rsinfo);
	}
	store_close(&store);
	return (Datum) 0;
}
