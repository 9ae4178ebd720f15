/*
 * worker.c
 *	  The worker of a database: ends what expires.
 *
 * It sleeps until the next lease ends, or until a transaction commits that has an
 * earlier one (next_wakeup in its slot). To sleep without a lock and miss
 * nothing, it says "wake me for anything" before it looks, and when it will
 * look next only after: what commits in between sets its latch.
 *
 * It ends itself when a command needs the database to itself (holds), and when
 * the extension is gone; the launcher starts it again. Signals: SIGTERM ends it at
 * once, also where it waits for a lock; SIGHUP reads the configuration.
 */
#include "postgres.h"

#include "worker.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "beats.h"
#include "leases.h"
#include "liveness.h"
#include "presence.h"
#include "publisher.h"
#include "queue.h"
#include "shared.h"
#include "store.h"
#include "upkeep.h"

#define MIN_SLEEP_MS   250   /* leases that end within it are one sweep */
#define NAP_US         1000  /* after events were sent: what comes meanwhile goes together */
#define MAX_SLEEP_MS   60000 /* the extension may have gone without a word */
#define RESTART_MS     1000  /* after an exit; doubled with each that follows without a sweep */
#define MAX_FAILURES   6
#define WRITE_EVERY_MS 300000
#define PURGE_EVERY_MS 60000 /* history_retention: one step, or a whole pass ended */

static DatabaseSlot *slot;

/*
 * At any exit, and after the process has left the database (callbacks run in the
 * reverse of their order): the slot tells the launcher to start the next worker.
 */
static void
leave_slot(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	if (slot->worker_pid == MyProcPid)
	{
		slot->worker_pid = 0;
		slot->worker_latch = NULL;
		slot->state = WORKER_WANTED;
		slot->start_after =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RESTART_MS << slot->failures);
		slot->failures = Min(slot->failures + 1, MAX_FAILURES);
	}
	LWLockRelease(shared_state->lock);
	shared_wake_launcher();
}

/* Before the memory that others map is unmapped here. */
static void
close_memory(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	queue_close(slot);
	beats_close(slot);
}

/* False if the database has a worker already, or must not have one now. */
static bool
take_slot(Oid dboid)
{
	bool taken = false;

	slot = shared_find(dboid, false);
	if (slot == NULL)
		return false;
	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	if (slot->dboid == dboid && slot->worker_pid == 0)
	{
		if (slot->holds > 0)
			slot->state = WORKER_WANTED;
		else
		{
			slot->state = WORKER_RUNNING;
			slot->worker_pid = MyProcPid;
			slot->worker_latch = MyLatch;
			taken = true;
		}
	}
	LWLockRelease(shared_state->lock);
	if (taken)
	{
		on_shmem_exit(leave_slot, 0);
		before_shmem_exit(close_memory, 0);
		shared_wake_launcher(); /* it starts one after the other */
	}
	return taken;
}

/*
 * The settings of the database and of the role are for its users. A value they
 * give to these would hurt: no statement may be cut off, nor write nothing.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"transaction_timeout", "0"}, /* since 17 */
		{"idle_in_transaction_session_timeout", "0"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static void
serve_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
	if (slot->holds > 0)
	{
		publisher_run(slot);
		proc_exit(0);
	}
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		pg_atomic_write_u32(&slot->sweep, 1); /* as new settings may have it */
	}
}

static void
begin_work(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "presence: ending what has expired");
}

static void
end_work(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/*
 * Keeps DROP EXTENSION out until the end of the transaction; false if it was faster.
 */
static bool
lock_extension(void)
{
	Oid extension = get_extension_oid("presence", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return get_extension_oid("presence", true) == extension;
}

/* In a transaction of its own; ends the process if there is no extension. */
static void
with_extension(void)
{
	begin_work();
	if (lock_extension())
		return;
	end_work();
	ereport(DEBUG1, (errmsg_internal("no extension presence in database %u", MyDatabaseId)));
	worker_forget(MyDatabaseId);
	proc_exit(0);
}

/*
 * Gives what has no connection one lease: after a crash or a restore, and now
 * and then, for what somebody did to the tables by hand.
 */
static void
adopt(void)
{
	static TimestampTz next = 0;
	Store store;

	if (GetCurrentTimestamp() < next)
		return;
	with_extension();
	store_open(&store, STORE_WRITE, "presence worker");
	liveness_adopt(presence_now());
	store_close(&store);
	if (next == 0)
		ereport(LOG, (errmsg("presence worker started for database \"%s\"",
							 get_database_name(MyDatabaseId))));
	end_work();
	next = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_SLEEP_MS);
}

/* Ends what has expired, a batch a transaction; returns when the next lease ends. */
static TimestampTz
sweep(void)
{
	TimestampTz next;
	bool more;
	Store store;

	do
	{
		with_extension();
		store_open(&store, STORE_WRITE, "presence worker");
		leases_look(slot);
		more = leases_expire(presence_now());
		next = more ? 0 : leases_next();
		store_close(&store);
		end_work();
		leases_settle();
		serve_interrupts();
		publisher_run(slot);
	} while (more);
	slot->last_sweep = GetCurrentTimestamp();
	slot->failures = 0;
	return next;
}

/* Lets the tables know, now and then, who was heard when. */
static void
write_beats(void)
{
	static TimestampTz next = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool more = next != 0;
	Store store;

	if (now < next)
		return;
	next = TimestampTzPlusMilliseconds(now, WRITE_EVERY_MS);
	while (more)
	{
		with_extension();
		store_open(&store, STORE_WRITE, "presence worker");
		more = leases_write();
		store_close(&store);
		end_work();
		leases_written();
		serve_interrupts();
		publisher_run(slot);
	}
	leases_forget_rooms(now);
}

/* presence.history_retention: some blocks now, the next ones another time. */
static TimestampTz
purge(TimestampTz due)
{
	static uint32 block = 0;
	TimestampTz now = GetCurrentTimestamp();
	Store store;

	if (presence_history_retention == 0)
		return PG_INT64_MAX;
	if (now < due && due != PG_INT64_MAX)
		return due;
	with_extension();
	store_open(&store, STORE_WRITE, "presence worker");
	block = upkeep_purge_blocks(block, now);
	store_close(&store);
	end_work();
	return TimestampTzPlusMilliseconds(now, block == 0 ? PURGE_EVERY_MS : MIN_SLEEP_MS);
}

static void
sleep_until(TimestampTz when)
{
	long ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), when) + 1;

	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(ms, MAX_SLEEP_MS),
			  PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/*
 * The first step finds out whether there is anything to do here. Events are sent
 * whenever a commit sets the latch; sweeps keep a distance, so that leases that end
 * together are one.
 */
static void
work(void)
{
	TimestampTz next_sweep;
	TimestampTz soonest_sweep;
	TimestampTz next_purge = 0;

	for (;;)
	{
		pg_atomic_write_u64(&slot->next_wakeup, PG_INT64_MAX);
		pg_atomic_write_u32(&slot->sweep, 0);
		pg_memory_barrier();
		adopt();
		if (!publisher_is_me())
			publisher_start(slot);
		next_sweep = sweep();
		write_beats();
		next_purge = purge(next_purge);
		soonest_sweep = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MIN_SLEEP_MS);
		next_sweep = Min(Max(Min(next_sweep, next_purge), soonest_sweep),
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), MAX_SLEEP_MS));
		pg_atomic_write_u64(&slot->next_wakeup, next_sweep);

		while (GetCurrentTimestamp() < next_sweep)
		{
			serve_interrupts();
			if (publisher_run(slot))
				pg_usleep(NAP_US);
			if (pg_atomic_read_u32(&slot->sweep))
				next_sweep = soonest_sweep;
			/* what waits for a lock uses the same latch: the flag tells what it swallowed */
			if (!pg_atomic_read_u32(&slot->publish))
				sleep_until(next_sweep);
		}
		serve_interrupts();
		publisher_run(slot);
	}
}

void
presence_worker_main(Datum arg)
{
	Oid dboid = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	if (!take_slot(dboid))
		proc_exit(0);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	override_settings();
	work();
}
