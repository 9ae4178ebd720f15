/*
 * shared.c
 *	  The shared memory of presence: one slot a database, and a bounded area for all of them.
 *
 * What is always true: all of it together takes presence.memory_limit, and never grows, since
 * it is one piece of the main segment, and the area in it what slots, locks and buckets leave
 * (dsa_create_in_place with a size limit). A sixteenth is an area of its own, a reserve for
 * events: who leaves a room is told of also when joins have filled all else. Whoever gets NULL from
 * shared_alloc must leave everything as it was. See shared.h for the lock's duty.
 *
 * Used by memory.c and queue.c (the area), events.c (counters, waking the worker), worker.c,
 * launcher.c and hooks.c (a worker's life) and stats.c.
 */
#include "postgres.h"

#include "shared.h"

#include "access/xlog.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/dsa.h"
#include "utils/memutils.h"

#include "settings.h"

#define BYTES_PER_BUCKET  256 /* of the limit; a large room has all its members in one partition */
#define NUM_TABLES        (sizeof(Tables) / sizeof(Buckets)) /* of a partition */
#define NOTHING_SPARE_FOR (60 * USECS_PER_SEC)
#define MIN_AREA          ((Size) 512 * 1024) /* whatever presence.max_databases takes */
#define MIN_RESERVE       ((Size) 256 * 1024) /* an area takes 64 kB for each size of pieces */

SharedState *shared_state = NULL;

/* This process's way into the areas. */
static dsa_area *area = NULL;
static dsa_area *reserve = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static Size
memory_limit(void)
{
	return (Size) presence_memory_limit * 1024;
}

static Size
max_buckets(void)
{
	return Max(memory_limit() / BYTES_PER_BUCKET / NUM_PARTITIONS, 1);
}

static Size
buckets_size(void)
{
	return sizeof(dlist_head) * NUM_TABLES * NUM_PARTITIONS * max_buckets();
}

static Size
state_size(void)
{
	return MAXALIGN(offsetof(SharedState, slots) + sizeof(DatabaseSlot) * presence_max_databases);
}

static int
database_locks(void)
{
	return 2 * presence_max_databases;
}

/* With the locks, which PostgreSQL keeps elsewhere. */
static Size
overhead(void)
{
	return state_size() + buckets_size() +
		   sizeof(LWLockPadded) * (1 + NUM_PARTITIONS + database_locks());
}

static Size
reserve_size(void)
{
	return MAXALIGN_DOWN(Max(memory_limit() / 16, MIN_RESERVE));
}

static Size
area_size(void)
{
	if (memory_limit() < overhead() + reserve_size() + MIN_AREA)
		return MIN_AREA;
	return MAXALIGN_DOWN(memory_limit() - overhead() - reserve_size());
}

static Size
shared_size(void)
{
	return state_size() + buckets_size() + area_size() + reserve_size();
}

static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("presence", 1);
	RequestNamedLWLockTranche("presence_rooms", NUM_PARTITIONS);
	RequestNamedLWLockTranche("presence_database", database_locks());
}

static void
init_slot(DatabaseSlot *slot, LWLock *queue_lock, LWLock *deadline_lock)
{
	slot->queue_lock = queue_lock;
	slot->deadline_lock = deadline_lock;
	dlist_init(&slot->queue);
	pg_atomic_init_u64(&slot->next_wakeup, PG_INT64_MAX);
	pg_atomic_init_u32(&slot->look, 0);
	pg_atomic_init_u32(&slot->publish, 0);
	pg_atomic_init_u32(&slot->adopted, 0);
	pg_atomic_init_u32(&slot->nrooms, 0);
	pg_atomic_init_u64(&slot->seq, 0);
	pg_atomic_init_u64(&slot->queued, 0);
	pg_atomic_init_u64(&slot->resyncs_wanted, 0);
	pg_atomic_init_u64(&slot->resyncs_sent, 0);
	pg_atomic_init_u32(&slot->orphaned, 0);
	for (int i = 0; i < NUM_COUNTERS; i++)
		pg_atomic_init_u64(&slot->counters[i], 0);
}

static void
init_tables(dlist_head *heads)
{
	Size max = max_buckets();

	for (int i = 0; i < NUM_PARTITIONS; i++, heads += NUM_TABLES * max)
	{
		Tables *tables = &shared_state->partitions[i].tables;

		buckets_init(&tables->rooms, heads, max);
		buckets_init(&tables->members, heads + max, max);
		buckets_init(&tables->handles, heads + 2 * max, max);
	}
}

/*
 * Versions and handles begin with the clock, and grow slower than it: none of before a restart
 * is given again. A handle counts in units of 16 microseconds, so that it stays below 2^53 with
 * the partition's 6 bits, which JavaScript's numbers hold.
 */
static void
init_state(char *at)
{
	LWLockPadded *locks = GetNamedLWLockTranche("presence_database");

	memset(shared_state, 0, state_size());
	at += state_size();
	shared_state->lock = &GetNamedLWLockTranche("presence")->lock;
	shared_state->partition_locks = GetNamedLWLockTranche("presence_rooms");
	shared_state->hash_seed = pg_prng_uint64(&pg_global_prng_state);
	shared_state->started_at = GetCurrentTimestamp();
	shared_state->started_mono = presence_monotonic();
	pg_atomic_init_u64(&shared_state->next_handle, (uint64) shared_state->started_at / 16);
	pg_atomic_init_u64(&shared_state->next_version, (uint64) shared_state->started_at);
	pg_atomic_init_u64(&shared_state->bytes_used, overhead());
	pg_atomic_init_u64(&shared_state->spare_from, 0);
	init_tables((dlist_head *) at);
	shared_state->area = at + buckets_size();
	shared_state->reserve = (char *) shared_state->area + area_size();
	for (int i = 0; i < presence_max_databases; i++)
		init_slot(&shared_state->slots[i], &locks[2 * i].lock, &locks[2 * i + 1].lock);
}

static void
init_area(void *place, Size size)
{
	dsa_area *created = dsa_create_in_place(place, size, shared_state->area_tranche, NULL);

	dsa_pin(created);
	dsa_set_size_limit(created, size);
	dsa_detach(created);
}

/* Runs again after a crash of any backend, with new memory. */
static void
start_up_memory(void)
{
	bool found;

	if (next_shmem_startup_hook)
		next_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared_state = ShmemInitStruct("presence", shared_size(), &found);
	if (!found)
	{
		init_state((char *) shared_state);
		shared_state->area_tranche = LWLockNewTrancheId();
		init_area(shared_state->area, area_size());
		init_area(shared_state->reserve, reserve_size());
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared_state->area_tranche, "presence_memory");
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
	for (int i = 0; i < presence_max_databases; i++)
		if (shared_state->slots[i].dboid == dboid)
			return &shared_state->slots[i];
	return NULL;
}

/* In the list of those that are held without a slot, one place; false: there is none. */
static bool
replace_held(Oid from, Oid to)
{
	for (int i = 0; i < MAX_HELD; i++)
	{
		if (shared_state->held[i] != from)
			continue;
		shared_state->held[i] = to;
		return true;
	}
	return false;
}

/*
 * Once a database went without a slot, its connections are in its table, and stay there until
 * the restart; to know which ones those are, no database gets a slot any more.
 */
static DatabaseSlot *
new_slot(Oid dboid)
{
	DatabaseSlot *slot = shared_state->slots_exhausted ? NULL : find_slot(InvalidOid);

	if (slot == NULL)
	{
		shared_state->slots_exhausted = true;
		return NULL;
	}
	slot->dboid = dboid;
	slot->state = WORKER_WANTED;
	slot->since = GetCurrentTimestamp();
	while (replace_held(dboid, InvalidOid))
		slot->holds++;
	return slot;
}

DatabaseSlot *
shared_find(Oid dboid, bool create)
{
	DatabaseSlot *slot;

	if (shared_state == NULL)
		return NULL;

	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	slot = find_slot(dboid);
	if (slot == NULL && create)
		slot = new_slot(dboid);
	LWLockRelease(shared_state->lock);
	return slot;
}

/* The launcher, which looks into all databases after a start, may be about to give it a slot. */
void
shared_hold(Oid dboid)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	slot = find_slot(dboid);
	if (slot != NULL)
		slot->holds++;
	else
		(void) replace_held(InvalidOid, dboid);
	LWLockRelease(shared_state->lock);
}

void
shared_release(Oid dboid)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	slot = find_slot(dboid);
	if (slot == NULL)
		(void) replace_held(dboid, InvalidOid);
	else if (slot->holds > 0)
	{
		slot->holds--;
		slot->start_after = 0;
	}
	LWLockRelease(shared_state->lock);
}

DatabaseSlot *
shared_use(void)
{
	static DatabaseSlot *mine = NULL;
	static bool none = false;

	if (shared_state == NULL || none || RecoveryInProgress())
		return NULL;
	if (mine == NULL || mine->dboid != MyDatabaseId)
	{
		mine = shared_find(MyDatabaseId, true);
		none = mine == NULL;
		shared_wake_launcher();
	}
	return mine;
}

void
shared_free_slot(DatabaseSlot *slot)
{
	slot->dboid = InvalidOid;
	slot->state = WORKER_WANTED;
	slot->no_worker_slot = false;
	slot->holds = 0;
	slot->start_after = 0;
	slot->worker_pid = 0;
	slot->worker_latch = NULL;
	slot->last_sweep = 0;
	pg_atomic_write_u64(&slot->next_wakeup, PG_INT64_MAX);
	pg_atomic_write_u32(&slot->look, 0);
	pg_atomic_write_u32(&slot->publish, 0);
	pg_atomic_write_u32(&slot->adopted, 0);
	pg_atomic_write_u64(&slot->seq, 0);
	pg_atomic_write_u64(&slot->resyncs_wanted, 0);
	pg_atomic_write_u64(&slot->resyncs_sent, 0);
	pg_atomic_write_u32(&slot->orphaned, 0);
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

static dsa_area *
attach_area(void *place)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	dsa_area *attached = dsa_attach_in_place(place, NULL);

	dsa_pin_mapping(attached);
	on_shmem_exit(dsa_on_shmem_exit_release_in_place, PointerGetDatum(place));
	MemoryContextSwitchTo(old);
	return attached;
}

/* Before each piece of memory: what frees it. */
typedef struct PieceHeader
{
	dsa_pointer pointer;
	Size size;
} PieceHeader;

StaticAssertDecl(sizeof(PieceHeader) == MAXALIGN(sizeof(PieceHeader)), "pieces are aligned");

/* size: with the header. */
static void *
alloc_in(dsa_area *from, Size size)
{
	dsa_pointer pointer = dsa_allocate_extended(from, size, DSA_ALLOC_NO_OOM);
	PieceHeader *header;

	if (!DsaPointerIsValid(pointer))
		return NULL;
	header = dsa_get_address(from, pointer);
	header->pointer = pointer;
	header->size = size;
	pg_atomic_fetch_add_u64(&shared_state->bytes_used, (int64) size);
	return header + 1;
}

void *
shared_alloc(Size size)
{
	return alloc_in(area, size + sizeof(PieceHeader));
}

/* The reserve has few sizes, of which each takes a block of it. */
static Size
reserve_piece(Size size)
{
	if (size <= 512)
		return 512;
	return size <= 2048 ? 2048 : Max(size, 8192);
}

void *
shared_alloc_event(Size size)
{
	void *piece = shared_alloc(size);

	return piece ? piece : alloc_in(reserve, reserve_piece(size + sizeof(PieceHeader)));
}

static bool
is_in_reserve(void *memory)
{
	return (char *) memory >= (char *) shared_state->reserve;
}

void *
shared_alloc_spare(Size size)
{
	if (pg_atomic_read_u64(&shared_state->bytes_used) + size > memory_limit() / 4 * 3 ||
		pg_atomic_read_u64(&shared_state->spare_from) > (uint64) presence_monotonic())
		return NULL;
	return shared_alloc(size);
}

void
shared_was_full(void)
{
	pg_atomic_write_u64(&shared_state->spare_from,
						(uint64) presence_monotonic() + NOTHING_SPARE_FOR);
}

void
shared_free(void *memory)
{
	PieceHeader *header = (PieceHeader *) memory - 1;

	pg_atomic_fetch_sub_u64(&shared_state->bytes_used, (int64) header->size);
	dsa_free(is_in_reserve(memory) ? reserve : area, header->pointer);
}

void
shared_attach(void)
{
	if (area == NULL)
		area = attach_area(shared_state->area);
	if (reserve == NULL)
		reserve = attach_area(shared_state->reserve);
}
