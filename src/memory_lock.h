/*
 * memory_lock.h
 *	  Members in shared memory are locked: who may change the connections of one.
 */
#ifndef PRESENCE_MEMORY_LOCK_H
#define PRESENCE_MEMORY_LOCK_H

#include "liveness.h"
#include "memory.h"

/* This database's slot, with the area attached. */
extern DatabaseSlot *memory_database(void);

/* The hash of a room of the extension as it is. */
extern uint64 memory_hash_of_room(text *book_id);

/* A member's entry, or NULL; with the room's lock held. */
extern MemberEntry *memory_find_key(uint64 hash, MemberKey key);

/* Whether something holds him there, as this transaction sees it; with the lock held. */
extern bool memory_is_held(MemberEntry *member);

/* The connection of a member with that name which this transaction sees; with the lock held. */
extern ConnectionEntry *memory_find_connection(MemberEntry *member, text *connection_id);

/* connections_lock. */
extern LockResult memory_lock_member(MemberKey key, text *connection_id, bool wait);

/* Pieces for connections: reserved, taken by their name (NULL: none), given back. */
extern void memory_reserve(text *connection_id);
extern ConnectionEntry *memory_take_spare(text *connection_id);
extern void memory_keep_spare(ConnectionEntry *spare);
extern bool memory_same_name(const ConnectionEntry *connection, text *connection_id);

/* This transaction begins a lease that ends then (monotonic). */
extern void memory_begin_lease_until(int64 mono);

#endif /* PRESENCE_MEMORY_LOCK_H */
