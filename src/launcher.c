/*
 * launcher.c
 *	  The process that starts the workers: one a server, in no database.
 *
 * With the server's start, or a standby's promotion, it sends a worker into
 * each database in turn; one that finds no extension there ends itself.
 * Later it starts the workers that backends ask for by creating a slot (shared.c), and again
 * those that died. Workers are registered never to be restarted by the
 * postmaster, who would do so for ever in a database that was dropped.
 *
 * Also here: what other processes ask of a worker's life (worker_hold and so on).
 */
#include "postgres.h"

#include "worker.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "memory.h"
#include "settings.h"
#include "queue.h"
#include "shared.h"

#define RETRY             (10 * USECS_PER_SEC) /* after no worker could be started */
#define VISIT             (100 * 1000)         /* microseconds; a visitor tells of its end, too */
#define HOLD_STEP_MS      10
#define HOLD_TERMINATE_MS 2000 /* a worker that waits for a lock is terminated then */

void
worker_init(void)
{
	BackgroundWorker launcher = {.bgw_flags =
									 BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
								 .bgw_start_time = BgWorkerStart_RecoveryFinished,
								 .bgw_restart_time = 5};

	strlcpy(launcher.bgw_library_name, "presence", sizeof(launcher.bgw_library_name));
	strlcpy(launcher.bgw_function_name, "presence_launcher_main",
			sizeof(launcher.bgw_function_name));
	strlcpy(launcher.bgw_name, "presence launcher", BGW_MAXLEN);
	strlcpy(launcher.bgw_type, "presence launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&launcher);
}

static void
forget_launcher(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	shared_state->launcher_latch = NULL;
	shared_state->launcher_pid = 0;
}

/* Databases that one could connect to, but templates, in TopMemoryContext. */
static List *
all_databases(void)
{
	List *dboids = NIL;
	Relation rel;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate)
		{
			MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

			dboids = lappend_oid(dboids, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return dboids;
}

static bool
register_worker(Oid dboid, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = {.bgw_flags =
								   BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_RecoveryFinished,
							   .bgw_restart_time = BGW_NEVER_RESTART,
							   .bgw_notify_pid = MyProcPid,
							   .bgw_main_arg = ObjectIdGetDatum(dboid)};

	strlcpy(worker.bgw_library_name, "presence", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "presence_worker_main", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, BGW_MAXLEN, "presence worker for database %u", dboid);
	strlcpy(worker.bgw_type, "presence worker", BGW_MAXLEN);
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* Whether one could connect to the database; a worker that can't would fail for ever. */
static bool
accepts_connections(Oid dboid)
{
	HeapTuple tuple;
	bool accepts = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		/* -2: a DROP DATABASE was interrupted */
		accepts = database->datallowconn && database->datconnlimit != -2;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	return accepts;
}

/* A slot whose worker is to be started now, or NULL; *again: when to look again (monotonic). */
static DatabaseSlot *
next_due(Oid *dboid, int64 *again)
{
	int64 now = presence_monotonic();
	DatabaseSlot *due = NULL;

	*again = PG_INT64_MAX;
	LWLockAcquire(shared_state->lock, LW_SHARED);
	for (int i = 0; i < presence_max_databases; i++)
	{
		DatabaseSlot *slot = &shared_state->slots[i];

		if (!OidIsValid(slot->dboid) || slot->holds > 0 || slot->state == WORKER_RUNNING)
			continue;
		*again = Min(*again, slot->start_after);
		/* one that has been starting for so long has failed to */
		if (due == NULL && slot->start_after <= now)
		{
			due = slot;
			*dboid = slot->dboid;
		}
	}
	LWLockRelease(shared_state->lock);
	return due;
}

static void
start_worker(DatabaseSlot *slot, Oid dboid)
{
	bool possible = accepts_connections(dboid);
	bool warn = false;

	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	if (slot->dboid == dboid && slot->holds == 0 && slot->state != WORKER_RUNNING)
	{
		bool registered = possible && register_worker(dboid, NULL);

		warn = possible && !registered && !slot->no_worker_slot;
		slot->no_worker_slot = !registered;
		slot->state = registered ? WORKER_STARTING : WORKER_WANTED;
		slot->start_after = presence_monotonic() + RETRY;
	}
	LWLockRelease(shared_state->lock);
	if (warn)
		ereport(WARNING, (errmsg("could not start a presence worker for database %u", dboid),
						  errhint("You might need to increase max_worker_processes.")));
}

/*
 * The databases that nobody has looked into since the server's start. A worker is sent into one
 * after the other; it takes a slot if it finds the extension, and ends if it does not.
 */
static struct
{
	List *databases;
	BackgroundWorkerHandle *handle; /* of the one that is there */
	Oid dboid;
	int64 next; /* monotonic; no worker could be had before */
} visit;

static bool
has_worker(Oid dboid)
{
	DatabaseSlot *slot = shared_find(dboid, false);

	return slot != NULL && slot->worker_pid != 0;
}

/* True while the visitor is neither gone nor at home. */
static bool
is_visiting(void)
{
	pid_t pid;

	if (visit.handle == NULL)
		return false;
	if (GetBackgroundWorkerPid(visit.handle, &pid) != BGWH_STOPPED && !has_worker(visit.dboid))
		return true;
	pfree(visit.handle);
	visit.handle = NULL;
	return false;
}

/* Goes on with the visits; when to look again. */
static int64
visit_next(void)
{
	MemoryContext old;
	bool registered;

	if (is_visiting())
		return presence_monotonic() + VISIT;
	if (visit.databases == NIL || presence_monotonic() < visit.next)
		return visit.databases == NIL ? PG_INT64_MAX : visit.next;
	visit.dboid = linitial_oid(visit.databases);
	if (!has_worker(visit.dboid) && accepts_connections(visit.dboid))
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		registered = register_worker(visit.dboid, &visit.handle);
		MemoryContextSwitchTo(old);
		if (!registered)
		{
			visit.handle = NULL;
			visit.next = presence_monotonic() + RETRY;
			return visit.next;
		}
	}
	visit.databases = list_delete_first(visit.databases);
	return 0;
}

static void
sleep_until(int64 when)
{
	int64 ms = when == PG_INT64_MAX ? -1 : (when - presence_monotonic()) / 1000 + 1;

	if (ms == 0 || (when != PG_INT64_MAX && ms < 0))
		return;
	WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (ms >= 0 ? WL_TIMEOUT : 0), (long) ms,
			  PG_WAIT_EXTENSION);
}

void
presence_launcher_main(Datum arg pg_attribute_unused())
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	on_shmem_exit(forget_launcher, 0);
	shared_state->launcher_latch = MyLatch;
	shared_state->launcher_pid = MyProcPid;
	visit.databases = all_databases();

	for (;;)
	{
		DatabaseSlot *due;
		Oid dboid = InvalidOid;
		int64 again;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}

		due = next_due(&dboid, &again);
		if (due != NULL)
			start_worker(due, dboid);
		else
			sleep_until(Min(again, visit_next()));
	}
}

/* True once the worker's process is gone; asks it to end, and more strongly after a while. */
static bool
worker_is_gone(Oid dboid, int waited_ms)
{
	DatabaseSlot *slot = shared_find(dboid, false);
	bool gone;

	if (slot == NULL)
		return true;
	LWLockAcquire(shared_state->lock, LW_SHARED);
	gone = slot->dboid != dboid || slot->state == WORKER_WANTED ||
		   (slot->state == WORKER_STARTING && slot->start_after <= presence_monotonic());
	if (!gone)
	{
		shared_wake_worker(slot);
		if (waited_ms >= HOLD_TERMINATE_MS && slot->worker_pid != 0)
			kill(slot->worker_pid, SIGTERM);
	}
	LWLockRelease(shared_state->lock);
	return gone;
}

void
worker_hold(Oid dboid)
{
	if (shared_state == NULL)
		return;
	shared_hold(dboid);
	for (int waited_ms = 0; !worker_is_gone(dboid, waited_ms); waited_ms += HOLD_STEP_MS)
	{
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, HOLD_STEP_MS,
				  PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
worker_release(Oid dboid)
{
	if (shared_state == NULL)
		return;
	shared_release(dboid);
	shared_wake_launcher();
}

/* With all partitions locked nobody finds a room, or makes one. */
static bool
free_slot(DatabaseSlot *slot, Oid dboid)
{
	bool free;

	shared_attach();
	for (int i = 0; i < NUM_PARTITIONS; i++)
		LWLockAcquire(memory_partition_lock(i), LW_EXCLUSIVE);
	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	free = slot->dboid == dboid && memory_is_empty(slot);
	if (free)
	{
		queue_clear(slot);
		shared_free_slot(slot);
	}
	LWLockRelease(shared_state->lock);
	for (int i = NUM_PARTITIONS - 1; i >= 0; i--)
		LWLockRelease(memory_partition_lock(i));
	return free;
}

bool
worker_let_go(Oid dboid)
{
	DatabaseSlot *slot = shared_find(dboid, false);

	return slot == NULL || free_slot(slot, dboid);
}

void
worker_forget(Oid dboid)
{
	DatabaseSlot *slot = shared_find(dboid, false);

	if (slot == NULL)
	{
		worker_release(dboid);
		return;
	}
	memory_forget_database(slot);
	(void) free_slot(slot, dboid);
}

void
worker_look(Oid dboid)
{
	if (shared_find(dboid, true) != NULL)
		shared_wake_launcher();
}
