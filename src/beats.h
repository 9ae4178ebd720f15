/*
 * beats.h
 *	  Heartbeats: who was heard when, in shared memory.
 *
 * A database's beats are what its connections (presence.connection) do most, kept
 * where it costs no write: a hash in dynamic shared memory that grows with the
 * number of connections. The rows stay the truth of which connections there are; a
 * beat knows better when its connection was heard, and so when its lease ends.
 *
 * The worker makes the memory when it starts, and it ends with the worker: each one is
 * a generation. It is loading until it has a beat for every row, and ready from then on,
 * because a transaction that changes the rows changes the beats at its commit. While
 * there is none that is ready, heartbeats are written to the rows. What was heard and
 * not written is lost with the memory, so leases count at least from that moment.
 *
 * Locks and lifetimes. An entry of the hash is guarded by its partition's lock,
 * which dshash takes; what it points to is written by atomic operations. A beat is freed by
 * the worker only, after its entry is gone, and never while it is pinned; a presence's
 * data with the last beat that points to it. A transaction pins, and maps, what it will
 * change before it commits, so that nothing is looked up or allocated at its commit. The
 * worker closes the memory before it unmaps it (before_shmem_exit), under the slot's queue
 * lock, under which others map it.
 */
#ifndef PRESENCE_BEATS_H
#define PRESENCE_BEATS_H

#include "lib/ilist.h"
#include "port/atomics.h"
#include "utils/dsa.h"
#include "utils/timestamp.h"

#include "shared.h"

typedef enum BeatsMode
{
	BEATS_NONE,    /* no memory: the rows are all there is */
	BEATS_LOADING, /* not every row has a beat yet */
	BEATS_READY
} BeatsMode;

typedef enum BeatState
{
	BEAT_NONE,     /* not yet committed */
	BEAT_ACTIVE,   /* a connection */
	BEAT_STAND_IN, /* holds the presence open, but can't be heard (liveness.h) */
	BEAT_GONE
} BeatState;

/* 128 bits of a name, or a number and what it counts. */
typedef struct BeatKey
{
	uint64 high;
	uint64 low;
} BeatKey;

/* What is known of a presence, by all its connections. */
typedef struct Stay
{
	BeatKey key;
	uint32 beats; /* that point here; guarded by the lock of the entry */
	pg_atomic_uint32 connections;
	pg_atomic_uint64 last_active;
} Stay;

typedef struct Beat
{
	BeatKey key; /* of the handle */
	BeatKey name;
	int64 handle;
	dsa_pointer stay;
	uint64 tickets; /* given out; guarded by the lock of the entry */
	pg_atomic_uint32 pins;
	pg_atomic_uint64 word; /* the ticket of the last change << 8 | BeatState */
	pg_atomic_uint64 last_active;
	pg_atomic_uint64 expires;
	pg_atomic_uint64 ttl;
	pg_atomic_uint64 written; /* last_active as it is in the row */
	pg_atomic_flag fresh;     /* clear: the worker does not know of a change */
	dsa_pointer next_fresh;
	int64 instead_of; /* handle that had the name, until this is committed; 0: none */
	struct Due *due;  /* the worker's own: when it looks at this (leases.c) */
} Beat;

/* A room's version; only there once it has changed. */
typedef struct RoomVersion
{
	BeatKey key;
	pg_atomic_uint32 pins;
	pg_atomic_uint64 version;
	pg_atomic_uint64 changed_at;
} RoomVersion;

typedef enum BeatChangeKind
{
	BEAT_OPEN,   /* a connection, or a stand-in, is opened or renewed */
	BEAT_LINGER, /* it becomes a stand-in */
	BEAT_CLOSE,
	BEAT_ROOM /* the room's list changes */
} BeatChangeKind;

/* What a transaction does to the beats once it is committed; times are of TimestampTz. */
typedef struct BeatChange
{
	dlist_node node;
	BeatChangeKind kind;
	int64 handle;
	int64 presence_id;   /* of OPEN */
	text *user_id;       /* of OPEN */
	text *connection_id; /* of OPEN; NULL: a stand-in */
	text *book_id;       /* of OPEN and ROOM */
	TimestampTz last_active;
	TimestampTz expires; /* of OPEN and LINGER */
	int64 ttl;           /* µs */
	/* set by beats_prepare */
	Beat *beat;
	dsa_pointer beat_pointer;
	RoomVersion *room;
	uint64 ticket;
} BeatChange;

extern void beats_init(void);

/* Whether this database's beats can be used here; maps them. */
extern BeatsMode beats_mode(void);

/* A heartbeat; false if there is no such connection, or its lease has ended. Only if ready. */
extern bool beats_touch(int64 handle, TimestampTz now);
extern bool beats_touch_name(text *user_id, text *book_id, text *connection_id, TimestampTz now);

/* What is known of a connection, if there is anything; times are 0 if it was not heard yet. */
extern bool beats_of_connection(int64 handle, TimestampTz *last_active, TimestampTz *expires);

/* What is known of a presence, if there is anything. */
extern bool beats_of_presence(int64 presence_id, int32 *connections, TimestampTz *last_active);

/* Changes whenever the room's list has; to be read before the list is. Only if ready. */
extern int64 beats_room_version(text *book_id);

/* Pins what a change needs, before commit; may raise. Then one of the other two, which don't. */
extern void beats_prepare(BeatChange *change, BeatsMode mode);
extern void beats_finish(BeatChange *change);
extern void beats_cancel(BeatChange *change);

/*
 * For the worker. Its memory is loading after beats_open; rows are loaded by
 * beats_load, which leaves alone what a transaction has changed since.
 */
extern void beats_open(DatabaseSlot *slot);
extern void beats_load(BeatChange *row);
extern void beats_ready(void);

/*
 * Whether the table of connections is not the one of the memory: it was written anew,
 * emptied, or is another one (*other).
 */
extern bool beats_are_stale(bool *other);

/* No lease counts from before now: heartbeats may have been lost. */
extern void beats_lost(DatabaseSlot *slot);

/* Nobody uses the memory any more. Raises nothing; for the worker's exit. */
extern void beats_close(DatabaseSlot *slot);

/* Takes what changed since the last call, one by one; NULL when there is no more. */
extern Beat *beats_take_fresh(void);

/* The beat of a handle, to be used by the worker only, which alone frees it; or NULL. */
extern Beat *beats_find(int64 handle);

/* Frees a beat; false if a transaction is about to change it. */
extern bool beats_forget(Beat *beat);

static inline BeatState
beat_state(Beat *beat)
{
	return (BeatState) (pg_atomic_read_u64(&beat->word) & 0xff);
}

/* The handles of connections that were heard since their row was written. */
extern int64 *beats_heard(int *n);

/* Forgets the versions of rooms that have not changed since. */
extern void beats_forget_rooms(TimestampTz before);

#endif /* PRESENCE_BEATS_H */
