/*
 * shared.h
 *	  The shared memory of presence: one slot a database, and a bounded area for all of them.
 *
 * Only there with shared_preload_libraries = 'presence'; without, shared_state is NULL.
 * It is a part of the server's main segment, so that it is at one address in every process,
 * needs no /dev/shm, and lives as long as the server, whoever ends. Pointers in it are pointers.
 *
 * The lock guards which database a slot is for, its worker's state, pid and latch, and the
 * holds. Counters, next_wakeup and the flags are atomics, written without it. A slot is found
 * under the lock and used without: its memory stays, and a slot given to another database
 * in between gets a wake-up it did not need, or a resync.
 */
#ifndef PRESENCE_SHARED_H
#define PRESENCE_SHARED_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "buckets.h"

/* Rooms are spread over so many parts of the memory, each with a lock of its own. */
#define NUM_PARTITIONS (1 << PARTITION_BITS)

/* So many commands at a time may need databases for themselves that have no slot yet. */
#define MAX_HELD 32

typedef enum WorkerState
{
	WORKER_WANTED,   /* the launcher is to start it, after start_after */
	WORKER_STARTING, /* registered, at start_after */
	WORKER_RUNNING
} WorkerState;

typedef enum CounterId
{
	COUNT_JOINS,
	COUNT_LEAVES,
	COUNT_TIMEOUTS,
	COUNT_EVENTS,
	NUM_COUNTERS
} CounterId;

typedef struct DatabaseSlot
{
	Oid dboid; /* invalid: a free slot */
	WorkerState state;
	bool no_worker_slot; /* max_worker_processes was reached at the last try */
	int holds;           /* commands that need the database without a worker */
	int64 start_after;   /* monotonic; the worker is not started before */
	pid_t worker_pid;    /* 0: none */
	Latch *worker_latch;
	TimestampTz last_sweep; /* 0: none yet */
	TimestampTz since;      /* of the counters */
	pg_atomic_uint64 counters[NUM_COUNTERS];
	pg_atomic_uint64 next_wakeup; /* monotonic; when the worker looks again by itself */
	pg_atomic_uint32 look;        /* a lease ends before next_wakeup */
	pg_atomic_uint32 publish;     /* there are events to publish */
	pg_atomic_uint32 adopted;     /* all open presences are in memory; none comes by replication */

	/* rooms in memory, and the leases by their end (memory.c) */
	pg_atomic_uint32 nrooms;
	LWLock *deadline_lock;
	pairingheap_node *deadlines; /* root of a heap of ConnectionEntry */

	/* events on their way (queue.c); guarded by queue_lock, but for the atomics */
	LWLock *queue_lock;
	dlist_head queue;
	Size queue_bytes;
	pg_atomic_uint64 seq; /* of the last event published */
	pg_atomic_uint64 queued;
	pg_atomic_uint64 resyncs_wanted;
	pg_atomic_uint64 resyncs_sent; /* how many of those are; written by who publishes */
	pg_atomic_uint32 orphaned; /* a worker ended by no wish of ours: listeners may miss events */
} DatabaseSlot;

/* What is where in a partition, guarded by its lock (memory.c). */
typedef struct Tables
{
	Buckets rooms;
	Buckets members;
	Buckets handles;
} Tables;

typedef union PaddedTables
{
	Tables tables;
	char pad[PG_CACHE_LINE_SIZE];
} PaddedTables;

typedef struct SharedState
{
	LWLock *lock;
	Latch *launcher_latch;
	pid_t launcher_pid;
	Oid held[MAX_HELD];   /* databases without a slot that commands need without a worker */
	bool slots_exhausted; /* a database found no slot: until the restart none gets one */
	uint64 hash_seed;
	TimestampTz started_at; /* of this memory */
	int64 started_mono;
	pg_atomic_uint64 next_handle;
	pg_atomic_uint64 next_version; /* of a room's list */
	pg_atomic_uint64 bytes_used;   /* of presence.memory_limit */
	pg_atomic_uint64 spare_from;   /* monotonic; until then nothing is spare, since it was full */
	void *area;                    /* where the dsa_area is */
	void *reserve;                 /* and a smaller one, for events alone */
	int area_tranche;
	LWLockPadded *partition_locks; /* NUM_PARTITIONS; memory.c */
	PaddedTables partitions[NUM_PARTITIONS];
	DatabaseSlot slots[FLEXIBLE_ARRAY_MEMBER];
} SharedState;

/* NULL without preload. */
extern SharedState *shared_state;

extern void shared_init(void);

/* The slot of a database; without create, NULL where there is none. */
extern DatabaseSlot *shared_find(Oid dboid, bool create);

/* This database's slot; asks for a worker if it has none. NULL without preload. */
extern DatabaseSlot *shared_use(void);

/* A command needs a database without a worker, from now on, and no more. */
extern void shared_hold(Oid dboid);
extern void shared_release(Oid dboid);

/* Frees a slot, whose queue and deadlines are empty. The lock must be held exclusively. */
extern void shared_free_slot(DatabaseSlot *slot);

extern void shared_wake_launcher(void);
extern void shared_wake_worker(DatabaseSlot *slot);

/* Before the first use of the area in a process; may raise. */
extern void shared_attach(void);

/* Memory of the area; NULL if it is full. Raises nothing. */
extern void *shared_alloc(Size size);

/*
 * The same for what one can do without: NULL as well if more than three quarters are in use, or
 * it was full a moment ago.
 */
extern void *shared_alloc_spare(Size size);
extern void shared_was_full(void);

/* The same for an event, for which there is a reserve where the area is full. */
extern void *shared_alloc_event(Size size);
extern void shared_free(void *memory);

#endif /* PRESENCE_SHARED_H */
