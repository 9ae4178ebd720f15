/*
 * memory_lock.c
 *	  Members in shared memory are locked: who may change the connections of one.
 *
 * To lock a member is to be the changer of his entry. Who is, and also who only reads the
 * connections of a member he has locked, holds a lock on presence.room_presence until
 * the end of the transaction: the extension is not dropped under him.
 *
 * Right after its end, and without anything depending on it, a transaction settles the
 * members that it locked, and wakes the worker if a lease that it began ends earlier than
 * the worker looks.
 *
 * Called by connections_memory.c and memory_read.c.
 */
#include "postgres.h"

#include "memory_lock.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "connections_methods.h"
#include "settings.h"
#include "store.h"

/* A member that this transaction has locked. */
typedef struct LockedMember
{
	uint64 room_hash;
	uint64 member_hash;
} LockedMember;

static struct
{
	LockedMember *members; /* in TopTransactionContext */
	int n;
	int max;
	int64 first_end;   /* monotonic; of the leases begun */
	dlist_head spares; /* of ConnectionEntry: reserved, not yet used */
} locked = {.first_end = PG_INT64_MAX};

DatabaseSlot *
memory_database(void)
{
	DatabaseSlot *slot = shared_use();

	shared_attach();
	return slot;
}

uint64
memory_hash_of_room(text *book_id)
{
	return memory_room_hash(store_room_presence(), book_id);
}

/* With the room's lock held. */
MemberEntry *
memory_find_key(uint64 hash, MemberKey key)
{
	RoomEntry *room = memory_find_room(hash, store_room_presence(), key.book_id);

	return room ? memory_find_member(room, key.user_id) : NULL;
}

/* Room for one more in the list of locked members; may raise. */
static void
prepare_to_remember(void)
{
	if (locked.n < locked.max)
		return;
	if (locked.members == NULL)
	{
		locked.max = 16;
		locked.members =
			MemoryContextAlloc(TopTransactionContext, sizeof(LockedMember) * locked.max);
		return;
	}
	locked.max *= 2;
	locked.members = repalloc_huge(locked.members, sizeof(LockedMember) * (Size) locked.max);
}

static void
remember(MemberEntry *member)
{
	LockedMember last = {member->room->bucket.hash, member->bucket.hash};

	if (locked.n > 0 && memcmp(&locked.members[locked.n - 1], &last, sizeof(last)) == 0)
		return;
	locked.members[locked.n++] = last;
}

pg_noreturn static void
memory_is_full(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory for presence"),
					errdetail("Connections take %d kB, which is presence.memory_limit.",
							  presence_memory_limit),
					errhint("You might need to increase presence.memory_limit.")));
}

/* What transactions left behind is freed, now and then: it costs a look at everything. */
static bool
tidied(void)
{
	static int64 next = 0;
	int64 now = presence_monotonic();

	if (now < next)
		return false;
	next = now + USECS_PER_SEC;
	memory_make_room();
	return true;
}

void
memory_reserve(text *connection_id)
{
	ConnectionEntry *spare = memory_new_connection(connection_id);

	if (spare == NULL && tidied())
		spare = memory_new_connection(connection_id);
	if (spare == NULL)
		memory_is_full();
	dlist_push_tail(&locked.spares, &spare->node);
}

ConnectionEntry *
memory_take_spare(text *connection_id)
{
	dlist_iter iter;

	dlist_foreach (iter, &locked.spares)
	{
		ConnectionEntry *spare = dlist_container(ConnectionEntry, node, iter.cur);

		if (same_name(spare->connection_id, connection_id))
		{
			dlist_delete(&spare->node);
			return spare;
		}
	}
	return NULL;
}

static bool
lock_table(bool wait)
{
	if (wait)
		LockRelationOid(store_room_presence(), RowExclusiveLock);
	else
		return ConditionalLockRelationOid(store_room_presence(), RowExclusiveLock);
	return true;
}

bool
memory_is_held(MemberEntry *member)
{
	dlist_iter iter;

	dlist_foreach (iter, &member->connections)
		if (memory_is_visible(dlist_container(ConnectionEntry, node, iter.cur)))
			return true;
	return false;
}

ConnectionEntry *
memory_find_connection(MemberEntry *member, text *connection_id)
{
	dlist_iter iter;

	dlist_foreach (iter, &member->connections)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, node, iter.cur);

		if (connection->stand_in == NO_STAND_IN &&
			same_name(connection->connection_id, connection_id) && memory_is_visible(connection))
			return connection;
	}
	return NULL;
}

typedef enum Attempt
{
	ATTEMPT_LOCKED,
	ATTEMPT_BUSY,
	ATTEMPT_FULL
} Attempt;

/* What was found of a member when he was locked. */
typedef struct Found
{
	bool held;
	bool connection; /* that of the name */
} Found;

/* Makes this transaction the changer, unless another one is. connection_id: NULL, or a name. */
static Attempt
try_lock(MemberKey key, text *connection_id, TransactionId mine, TransactionId *changer,
		 Found *found)
{
	uint64 hash = memory_hash_of_room(key.book_id);
	Oid relid = store_room_presence();
	LWLock *lock = memory_lock_of(hash);
	Attempt attempt = ATTEMPT_FULL;
	MemberEntry *member;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	while ((member = memory_make_member(memory_database(), hash, relid, key.book_id, key.user_id)))
	{
		attempt = ATTEMPT_BUSY;
		if (memory_is_changing(member, changer))
			break;
		if (TransactionIdIsValid(*changer) && !TransactionIdIsCurrentTransactionId(*changer) &&
			!memory_settle(member))
			continue;
		if (!TransactionIdIsValid(member->changer))
			memory_change(member, mine);
		remember(member);
		found->held = memory_is_held(member);
		found->connection =
			connection_id != NULL && memory_find_connection(member, connection_id) != NULL;
		attempt = ATTEMPT_LOCKED;
		break;
	}
	LWLockRelease(lock);
	return attempt;
}

LockResult
memory_lock_member(MemberKey key, text *connection_id, bool wait)
{
	TransactionId mine = GetCurrentTransactionId();
	Found found = {false};

	memory_database();
	if (!lock_table(wait))
		return LOCK_BUSY;
	prepare_to_remember();
	for (;;)
	{
		TransactionId changer;
		Attempt attempt = try_lock(key, connection_id, mine, &changer, &found);

		if (attempt == ATTEMPT_LOCKED)
			break;
		if (attempt == ATTEMPT_FULL && !tidied())
			memory_is_full();
		if (attempt == ATTEMPT_BUSY && !wait)
			return LOCK_BUSY;
		if (attempt == ATTEMPT_BUSY)
			XactLockTableWait(changer, NULL, NULL, XLTW_None);
		CHECK_FOR_INTERRUPTS();
	}
	if (connection_id != NULL && !found.connection)
		memory_reserve(connection_id);
	return found.held ? LOCK_HELD : LOCK_VACANT;
}

static void
wake_worker(void)
{
	DatabaseSlot *slot = shared_use();

	if (slot == NULL || (uint64) locked.first_end >= pg_atomic_read_u64(&slot->next_wakeup))
		return;
	pg_atomic_write_u32(&slot->look, 1);
	shared_wake_worker(slot);
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	while (!dlist_is_empty(&locked.spares))
		shared_free(dlist_container(ConnectionEntry, node, dlist_pop_head_node(&locked.spares)));
	if (event != XACT_EVENT_PREPARE)
		for (int i = 0; i < locked.n; i++)
			memory_settle_at_end(locked.members[i].room_hash, locked.members[i].member_hash,
								 event == XACT_EVENT_COMMIT);
	if (locked.first_end != PG_INT64_MAX && event == XACT_EVENT_COMMIT)
		wake_worker();
	locked.members = NULL;
	locked.n = locked.max = 0;
	locked.first_end = PG_INT64_MAX;
}

void
memory_keep_spare(ConnectionEntry *spare)
{
	dlist_push_tail(&locked.spares, &spare->node);
}

void
memory_begin_lease_until(int64 mono)
{
	locked.first_end = Min(locked.first_end, mono);
}

void
connections_memory_init(void)
{
	dlist_init(&locked.spares);
	RegisterXactCallback(at_transaction_end, NULL);
}
