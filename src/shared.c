/*
 * shared.c
 *	  What the processes know of each other: one slot a database.
 *
 * Used by events.c (counters, waking the worker), worker.c and hooks.c (its life) and
 * stats.c. See shared.h for the lock's duty.
 */
#include "postgres.h"

#include "shared.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

SharedState *shared_state = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
	RequestNamedLWLockTranche("presence", 1);
	RequestNamedLWLockTranche("presence_queue", MAX_DATABASES);
}

static void
init_slot(DatabaseSlot *slot, LWLock *queue_lock)
{
	slot->queue_lock = queue_lock;
	pg_atomic_init_u64(&slot->next_wakeup, PG_INT64_MAX);
	pg_atomic_init_u32(&slot->sweep, 0);
	pg_atomic_init_u32(&slot->publish, 0);
	pg_atomic_init_u64(&slot->seq, 0);
	pg_atomic_init_u64(&slot->unpublished, 0);
	pg_atomic_init_u64(&slot->resyncs_wanted, 0);
	pg_atomic_init_u32(&slot->beats_generation, 0);
	pg_atomic_init_u64(&slot->leases_from, 0);
	for (int i = 0; i < NUM_COUNTERS; i++)
		pg_atomic_init_u64(&slot->counters[i], 0);
}

/* Runs again after a crash of any backend, with new memory. */
static void
start_up_memory(void)
{
	bool found;

	if (next_shmem_startup_hook)
		next_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared_state = ShmemInitStruct("presence", sizeof(SharedState), &found);
	if (!found)
	{
		LWLockPadded *queue_locks = GetNamedLWLockTranche("presence_queue");

		memset(shared_state, 0, sizeof(SharedState));
		shared_state->lock = &(GetNamedLWLockTranche("presence"))->lock;
		shared_state->beats_tranche = LWLockNewTrancheId();
		pg_atomic_init_u32(&shared_state->generations, 0);
		for (int i = 0; i < MAX_DATABASES; i++)
			init_slot(&shared_state->slots[i], &queue_locks[i].lock);
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared_state->beats_tranche, "presence_beats");
}

void
shared_init(void)
{
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_up_memory;
}

static DatabaseSlot *
find_slot(Oid dboid)
{
	for (int i = 0; i < MAX_DATABASES; i++)
		if (shared_state->slots[i].dboid == dboid)
			return &shared_state->slots[i];
	return NULL;
}

DatabaseSlot *
shared_find(Oid dboid, bool create)
{
	DatabaseSlot *slot;

	if (shared_state == NULL)
		return NULL;

	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	slot = find_slot(dboid);
	if (slot == NULL && create && (slot = find_slot(InvalidOid)) != NULL)
	{
		slot->dboid = dboid;
		slot->state = WORKER_WANTED;
		slot->since = GetCurrentTimestamp();
	}
	LWLockRelease(shared_state->lock);
	return slot;
}

DatabaseSlot *
shared_use(void)
{
	static DatabaseSlot *mine = NULL;

	if (shared_state == NULL || RecoveryInProgress())
		return NULL;
	if (mine == NULL || mine->dboid != MyDatabaseId)
	{
		mine = shared_find(MyDatabaseId, true);
		shared_wake_launcher();
	}
	return mine;
}

uint32
shared_new_generation(void)
{
	return pg_atomic_add_fetch_u32(&shared_state->generations, 1);
}

void
shared_free(DatabaseSlot *slot)
{
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	slot->dboid = InvalidOid;
	slot->state = WORKER_WANTED;
	slot->no_worker_slot = false;
	slot->holds = 0;
	slot->failures = 0;
	slot->start_after = 0;
	slot->worker_pid = 0;
	slot->worker_latch = NULL;
	slot->last_sweep = 0;
	pg_atomic_write_u64(&slot->next_wakeup, PG_INT64_MAX);
	pg_atomic_write_u32(&slot->sweep, 0);
	pg_atomic_write_u32(&slot->publish, 0);
	slot->queue_handle = DSM_HANDLE_INVALID;
	pg_atomic_write_u64(&slot->seq, 0);
	pg_atomic_write_u64(&slot->unpublished, 0);
	pg_atomic_write_u64(&slot->resyncs_wanted, 0);
	slot->resyncs_sent = 0;
	pg_atomic_write_u32(&slot->beats_generation, 0);
	pg_atomic_write_u64(&slot->leases_from, (uint64) GetCurrentTimestamp());
	LWLockRelease(slot->queue_lock);
	for (int i = 0; i < NUM_COUNTERS; i++)
		pg_atomic_write_u64(&slot->counters[i], 0);
}

/* A latch is part of the shared PGPROC array, so a late wake-up is only spurious. */
void
shared_wake_launcher(void)
{
	Latch *latch = shared_state->launcher_latch;

	if (latch != NULL)
		SetLatch(latch);
}

void
shared_wake_worker(DatabaseSlot *slot)
{
	Latch *latch = slot->worker_latch;

	if (latch != NULL)
		SetLatch(latch);
}
