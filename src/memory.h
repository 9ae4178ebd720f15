/*
 * memory.h
 *	  Rooms, members and connections in shared memory: the entries, and who sees what of them.
 *
 * A room has its members, a member (one user in one room) his connections. A connection is
 * seen as a row is, by the transactions that opened and closed it:
 *
 *	  Only the transaction that a member's entry names as its changer opens and closes
 *	  connections of his. Who wants to, and finds another one running, waits for it.
 *	  When it has ended, whoever comes next settles the entry: what it opened is there
 *	  if it committed, what it closed is there if it did not.
 *
 * Nothing has to happen at the moment of a commit; that the changer itself settles what it
 * changed, right after its end, only saves others the work.
 *
 * A room's lock (memory_lock_of) guards the room, its members and their connections, and the
 * buckets they hang in. Two exceptions: what a heartbeat changes is written atomically
 * with the lock shared, and the heap of deadlines has a lock of its own, taken inside. An
 * entry whose changer runs is not freed, so the changer may keep pointers to it; all others
 * look it up anew each time they take the lock.
 */
#ifndef PRESENCE_MEMORY_H
#define PRESENCE_MEMORY_H

#include "access/transam.h"
#include "storage/itemptr.h"

#include "compat.h"
#include "member_key.h"
#include "ring.h"
#include "shared.h"

typedef struct RoomEntry
{
	BucketNode bucket;
	DatabaseSlot *database;
	Oid relid;           /* of presence.room_presence: that of another extension is another room */
	dlist_head members;  /* of MemberEntry */
	dlist_head changing; /* of MemberEntry whose changer may run */
	int32 nmembers;      /* as of what is settled */
	uint64 version;      /* of the list of members */
	Ring *ring;          /* of the last changes of the list; NULL: nobody asked for them */
	text *book_id;       /* follows */
} RoomEntry;

typedef struct MemberEntry
{
	BucketNode bucket;
	dlist_node room_node;
	dlist_node changing_node;
	RoomEntry *room;
	TransactionId changer;      /* invalid: settled */
	bool is_member;             /* as of what is settled: he has connections */
	TransactionId list_changer; /* if it commits, the room's version grows; or invalid */
	dlist_head connections;
	text *user_id; /* follows */
} MemberEntry;

typedef struct ConnectionEntry
{
	dlist_node node;   /* of the member */
	BucketNode bucket; /* its hash is the handle */
	MemberEntry *member;
	int64 presence_id;
	TransactionId xmin;          /* opened it; FrozenTransactionId: long ago */
	TransactionId xmax;          /* closed it; invalid: nobody */
	TransactionId renewed_by;    /* joined it again, and has not been seen to end; or invalid */
	ItemPointerData row;         /* of the presence, when it was joined */
	char stand_in;               /* 0, or a StandIn (connections.h) */
	int64 ttl;                   /* microseconds */
	pg_atomic_uint64 heard_at;   /* TimestampTz */
	pg_atomic_uint64 heard_mono; /* the same moment, by the monotonic clock */
	pairingheap_node deadline_node;
	int64 look_at;       /* monotonic; not after the end of its lease */
	text *connection_id; /* follows */
} ConnectionEntry;

/* A room's hash, by its database, its extension and its name; tells which lock is its. */
extern uint64 memory_room_hash(Oid relid, text *book_id);
extern LWLock *memory_lock_of(uint64 hash);
extern LWLock *memory_lock_of_handle(int64 handle);
extern LWLock *memory_partition_lock(int partition);

/* With the lock held. */
extern RoomEntry *memory_find_room(uint64 hash, Oid relid, text *book_id);
extern MemberEntry *memory_find_member(RoomEntry *room, text *user_id);
extern ConnectionEntry *memory_find_handle(int64 handle);

/* Whether a connection is there for this transaction; with any lock on the room. */
extern bool memory_is_visible(const ConnectionEntry *connection);

/* Whether another transaction is changing a member; if so, which. */
extern bool memory_is_changing(const MemberEntry *member, TransactionId *changer);

/* With the lock exclusive, all below. */

/* The member's entry, made if it is missing; NULL if memory is full. */
extern MemberEntry *memory_make_member(DatabaseSlot *database, uint64 hash, Oid relid,
									   text *book_id, text *user_id);

/* Makes this transaction the changer of a member who has no other. */
extern void memory_change(MemberEntry *member, TransactionId changer);

/* Resolves what a changer that has ended did. False if the entry, good for nothing, was freed. */
extern bool memory_settle(MemberEntry *member);

/*
 * At the end of the changer: settles what it changed, which somebody else may have done.
 * Takes the lock itself. Raises nothing.
 */
extern void memory_settle_at_end(uint64 room_hash, uint64 member_hash, bool committed);

/* Settles what can be of a room; false if the room was freed. */
extern bool memory_settle_room(RoomEntry *room);

/* A piece for a connection with that name; NULL if memory is full. Needs no lock. */
extern ConnectionEntry *memory_new_connection(text *connection_id);

/* Puts a new connection under a member, with a handle unless it has one. */
extern void memory_open(MemberEntry *member, ConnectionEntry *connection, TransactionId xmin);

/* Closes a connection, for this (sub)transaction's xid. */
extern void memory_close(ConnectionEntry *connection, TransactionId xid);

/* When the heap has a connection looked at; monotonic. */
extern void memory_set_deadline(ConnectionEntry *connection, int64 look_at);

/* Sign of life at a moment. */
extern void memory_hear(ConnectionEntry *connection, TimestampTz at, int64 mono);

/*
 * Of the database's connections that are to be looked at by then, the handle of the first, which
 * is put off until later; 0 if there is none. Needs no lock.
 */
extern int64 memory_take_due(DatabaseSlot *database, int64 mono, int64 later);

/* When the first one is to be looked at; PG_INT64_MAX if there is none. Needs no lock. */
extern int64 memory_next_due(DatabaseSlot *database);

/* Forgets all rooms of a database that is gone. */
extern void memory_forget_database(DatabaseSlot *database);

/* Forgets the rooms of extensions that were dropped from this database. In a transaction. */
extern void memory_forget_dropped(DatabaseSlot *database);

/* Whether a database has no rooms; with all locks. */
extern bool memory_is_empty(const DatabaseSlot *database);

/* Settles all that can be. */
extern void memory_tidy(void);

/* The same where memory is full: rings give way too. */
extern void memory_make_room(void);

static inline int64
memory_handle(const ConnectionEntry *connection)
{
	return (int64) connection->bucket.hash;
}

static inline int64
memory_lease_end_mono(ConnectionEntry *connection)
{
	return (int64) pg_atomic_read_u64(&connection->heard_mono) + connection->ttl;
}

static inline TimestampTz
memory_lease_end(ConnectionEntry *connection)
{
	return (TimestampTz) pg_atomic_read_u64(&connection->heard_at) + connection->ttl;
}

#endif /* PRESENCE_MEMORY_H */
