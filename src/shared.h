/*
 * shared.h
 *	  What the processes know of each other: one slot a database.
 *
 * Only there with shared_preload_libraries = 'presence'; without, there are
 * no slots and no worker, and every function below says so or does nothing.
 *
 * The lock guards which database a slot is for, the worker's state, pid and latch,
 * and the holds. Counters and next_wakeup are atomics, written without it. A
 * slot is found under the lock and then used without: its memory stays, and
 * who finds that it changed database meanwhile has only woken a stranger.
 */
#ifndef PRESENCE_SHARED_H
#define PRESENCE_SHARED_H

#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define MAX_DATABASES 128

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
	int failures;        /* workers that ended one after the other without a sweep */
	TimestampTz start_after;
	pid_t worker_pid; /* 0: none */
	Latch *worker_latch;
	TimestampTz last_sweep;       /* 0: none yet */
	TimestampTz since;            /* of the counters */
	pg_atomic_uint64 next_wakeup; /* TimestampTz; when the worker looks again by itself */
	pg_atomic_uint32 sweep;       /* a lease ends before next_wakeup */
	pg_atomic_uint32 publish;     /* there are events to publish */
	pg_atomic_uint64 counters[NUM_COUNTERS];

	/* events on their way (queue.h, publisher.h) */
	LWLock *queue_lock;      /* guards these two and the ring */
	dsm_handle queue_handle; /* DSM_HANDLE_INVALID: no worker publishes */
	uint32 queue_generation;
	pg_atomic_uint64 seq; /* of the last event published */
	pg_atomic_uint64 unpublished;
	pg_atomic_uint64 resyncs_wanted;
	uint64 resyncs_sent; /* how many of those are; written by the worker */

	/* heartbeats (beats.h); the queue's lock guards the handle, and writes of the generation */
	dsm_handle beats_handle;
	pg_atomic_uint32 beats_generation; /* of the memory there is; 0: none */
	pg_atomic_uint64 leases_from; /* TimestampTz; no lease counts from before, as beats were lost */
} DatabaseSlot;

typedef struct SharedState
{
	LWLock *lock;
	Latch *launcher_latch;
	pid_t launcher_pid;
	int beats_tranche; /* of the locks in the memory of beats */
	pg_atomic_uint32
		generations; /* of rings and beats, of all databases; so that none is like another */
	DatabaseSlot slots[MAX_DATABASES];
} SharedState;

/* NULL without preload. */
extern SharedState *shared_state;

extern void shared_init(void);

/* The slot of a database; without create, NULL where there is none. */
extern DatabaseSlot *shared_find(Oid dboid, bool create);

/* This database's slot; asks for a worker if it has none. NULL without preload. */
extern DatabaseSlot *shared_use(void);

/* A number that no ring and no memory of beats has. */
extern uint32 shared_new_generation(void);

/* Frees a slot. The lock must be held exclusively. */
extern void shared_free(DatabaseSlot *slot);

extern void shared_wake_launcher(void);
extern void shared_wake_worker(DatabaseSlot *slot);

#endif /* PRESENCE_SHARED_H */
