/*
 * memory.c
 *	  Rooms, members and connections in shared memory: the entries, and who sees what of them.
 *
 * What is always true:
 *
 *	  - An entry hangs in a bucket of the partition that its room's hash names. A member has
 *		a room, a connection a member; a room without members, and a settled member
 *		without connections, are freed at once.
 *	  - Every connection is in its database's heap of deadlines, at a time that is not
 *		after the end of its lease. Heartbeats only put the end off, so the heap need not know
 *		of them: who takes a connection out too early puts it back with its new time.
 *	  - All xids in a member's connections, but those its changer put there, have ended and are
 *		resolved. So xids do not grow old here: the worker settles what is left.
 *
 * Called by connections_memory.c, which takes the locks. Nothing here raises while an entry is
 * half changed; what may raise at all is the look-up of a transaction's fate.
 */
#include "postgres.h"

#include "memory.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/syscache.h"

#include "settings.h"

uint64
memory_room_hash(Oid relid, text *book_id)
{
	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(book_id),
							   VARSIZE_ANY_EXHDR(book_id),
							   shared_state->hash_seed ^ ((uint64) MyDatabaseId << 32 | relid));
}

static uint64
member_hash(const RoomEntry *room, text *user_id)
{
	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(user_id),
							   VARSIZE_ANY_EXHDR(user_id), room->bucket.hash);
}

/* A hash, or a handle, says its partition with its low bits. */
static int
partition_of(uint64 hash)
{
	return (int) (hash % NUM_PARTITIONS);
}

LWLock *
memory_partition_lock(int partition)
{
	return &shared_state->partition_locks[partition].lock;
}

LWLock *
memory_lock_of(uint64 hash)
{
	return memory_partition_lock(partition_of(hash));
}

LWLock *
memory_lock_of_handle(int64 handle)
{
	return memory_partition_lock(partition_of((uint64) handle));
}

static Tables *
tables_of(uint64 hash)
{
	return &shared_state->partitions[partition_of(hash)].tables;
}

/* Copies a text, with the header of four bytes, to the end of an entry. */
static text *
copy_text(void *to, text *from)
{
	Size len = VARSIZE_ANY_EXHDR(from);

	SET_VARSIZE(to, VARHDRSZ + len);
	memcpy(VARDATA(to), VARDATA_ANY(from), len);
	return to;
}

static Size
text_size(text *value)
{
	return VARHDRSZ + VARSIZE_ANY_EXHDR(value);
}

RoomEntry *
memory_find_room(uint64 hash, Oid relid, text *book_id)
{
	dlist_iter iter;

	dlist_foreach (iter, buckets_find(&tables_of(hash)->rooms, hash))
	{
		RoomEntry *room = dlist_container(RoomEntry, bucket.node, iter.cur);

		if (room->bucket.hash == hash && room->relid == relid &&
			room->database->dboid == MyDatabaseId && same_name(room->book_id, book_id))
			return room;
	}
	return NULL;
}

MemberEntry *
memory_find_member(RoomEntry *room, text *user_id)
{
	uint64 hash = member_hash(room, user_id);
	dlist_iter iter;

	dlist_foreach (iter, buckets_find(&tables_of(room->bucket.hash)->members, hash))
	{
		MemberEntry *member = dlist_container(MemberEntry, bucket.node, iter.cur);

		if (member->bucket.hash == hash && member->room == room &&
			same_name(member->user_id, user_id))
			return member;
	}
	return NULL;
}

ConnectionEntry *
memory_find_handle(int64 handle)
{
	dlist_head *bucket = buckets_find(&tables_of((uint64) handle)->handles, (uint64) handle);
	ConnectionEntry *found = NULL;
	dlist_iter iter;

	dlist_foreach (iter, bucket)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, bucket.node, iter.cur);

		if (memory_handle(connection) != handle)
			continue;
		/* one that was renewed has the same handle: the one to be seen, if there is one */
		found = connection;
		if (memory_is_visible(connection))
			break;
	}
	return found;
}

/* Whether what a transaction did is done for this one. */
static bool
is_done(TransactionId xid)
{
	if (xid == FrozenTransactionId)
		return true;
	if (TransactionIdIsCurrentTransactionId(xid))
		return true;
	return !TransactionIdIsInProgress(xid) && TransactionIdDidCommit(xid);
}

bool
memory_is_visible(const ConnectionEntry *connection)
{
	if (!is_done(connection->xmin))
		return false;
	return !TransactionIdIsValid(connection->xmax) || !is_done(connection->xmax);
}

bool
memory_is_changing(const MemberEntry *member, TransactionId *changer)
{
	*changer = member->changer;
	return TransactionIdIsValid(member->changer) &&
		   !TransactionIdIsCurrentTransactionId(member->changer) &&
		   TransactionIdIsInProgress(member->changer);
}

static RoomEntry *
make_room(DatabaseSlot *database, uint64 hash, Oid relid, text *book_id)
{
	RoomEntry *room = shared_alloc(MAXALIGN(sizeof(RoomEntry)) + text_size(book_id));

	if (room == NULL)
		return NULL;
	memset(room, 0, sizeof(RoomEntry));
	room->bucket.hash = hash;
	room->database = database;
	room->relid = relid;
	dlist_init(&room->members);
	dlist_init(&room->changing);
	room->version = pg_atomic_fetch_add_u64(&shared_state->next_version, 1);
	room->book_id = copy_text((char *) room + MAXALIGN(sizeof(RoomEntry)), book_id);
	buckets_add(&tables_of(hash)->rooms, &room->bucket);
	pg_atomic_fetch_add_u32(&database->nrooms, 1);
	return room;
}

static bool
free_empty_room(RoomEntry *room)
{
	if (!dlist_is_empty(&room->members))
		return false;
	buckets_remove(&tables_of(room->bucket.hash)->rooms, &room->bucket);
	pg_atomic_fetch_sub_u32(&room->database->nrooms, 1);
	ring_free(room->ring);
	shared_free(room);
	return true;
}

static MemberEntry *
add_member(RoomEntry *room, text *user_id)
{
	MemberEntry *member = shared_alloc(MAXALIGN(sizeof(MemberEntry)) + text_size(user_id));

	if (member == NULL)
		return NULL;
	memset(member, 0, sizeof(MemberEntry));
	member->room = room;
	member->bucket.hash = member_hash(room, user_id);
	dlist_init(&member->connections);
	member->user_id = copy_text((char *) member + MAXALIGN(sizeof(MemberEntry)), user_id);
	buckets_add(&tables_of(room->bucket.hash)->members, &member->bucket);
	dlist_push_tail(&room->members, &member->room_node);
	return member;
}

static void
free_member(MemberEntry *member)
{
	buckets_remove(&tables_of(member->room->bucket.hash)->members, &member->bucket);
	dlist_delete(&member->room_node);
	shared_free(member);
}

MemberEntry *
memory_make_member(DatabaseSlot *database, uint64 hash, Oid relid, text *book_id, text *user_id)
{
	RoomEntry *room = memory_find_room(hash, relid, book_id);
	MemberEntry *member = room ? memory_find_member(room, user_id) : NULL;

	if (member != NULL)
		return member;
	if (room == NULL)
		room = make_room(database, hash, relid, book_id);
	if (room == NULL)
		return NULL;
	member = add_member(room, user_id);
	if (member == NULL)
		free_empty_room(room);
	return member;
}

void
memory_change(MemberEntry *member, TransactionId changer)
{
	Assert(!TransactionIdIsValid(member->changer));
	member->changer = changer;
	member->list_changer = InvalidTransactionId;
	dlist_push_tail(&member->room->changing, &member->changing_node);
}

/*
 * The heap's root is in the slot, but not what compares, whose address may differ between
 * processes.
 */
static int
compare_deadlines(const pairingheap_node *a, const pairingheap_node *b,
				  void *arg pg_attribute_unused())
{
	int64 x = pairingheap_const_container(ConnectionEntry, deadline_node, a)->look_at;
	int64 y = pairingheap_const_container(ConnectionEntry, deadline_node, b)->look_at;

	return x < y ? 1 : x > y ? -1 : 0;
}

static pairingheap
heap_of(const DatabaseSlot *database)
{
	return (pairingheap){.ph_compare = compare_deadlines, .ph_root = database->deadlines};
}

static void
move_in_heap(DatabaseSlot *database, ConnectionEntry *connection, bool remove, int64 look_at)
{
	pairingheap heap;

	LWLockAcquire(database->deadline_lock, LW_EXCLUSIVE);
	heap = heap_of(database);
	if (remove)
		pairingheap_remove(&heap, &connection->deadline_node);
	if (look_at != 0)
	{
		connection->look_at = look_at;
		pairingheap_add(&heap, &connection->deadline_node);
	}
	database->deadlines = heap.ph_root;
	LWLockRelease(database->deadline_lock);
}

static void
free_connection(ConnectionEntry *connection)
{
	move_in_heap(connection->member->room->database, connection, true, 0);
	dlist_delete(&connection->node);
	buckets_remove(&tables_of(connection->bucket.hash)->handles, &connection->bucket);
	shared_free(connection);
}

void
memory_close(ConnectionEntry *connection, TransactionId xid)
{
	/* what this very subtransaction opened comes back with no rollback */
	if (connection->xmin == xid)
		free_connection(connection);
	else
		connection->xmax = xid;
}

void
memory_set_deadline(ConnectionEntry *connection, int64 look_at)
{
	move_in_heap(connection->member->room->database, connection, true, look_at);
}

static void
rise_to(pg_atomic_uint64 *value, uint64 to)
{
	uint64 was = pg_atomic_read_u64(value);

	while (was < to && !pg_atomic_compare_exchange_u64(value, &was, to))
		;
}

void
memory_hear(ConnectionEntry *connection, TimestampTz at, int64 mono)
{
	rise_to(&connection->heard_mono, (uint64) mono);
	/* the clock may have stepped back, and then it is the later moment all the same */
	pg_atomic_write_u64(&connection->heard_at, (uint64) at);
}

/* The transaction that joined it is committed. A lease counts from there, if that took long. */
static void
begin_lease(ConnectionEntry *connection)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now - (TimestampTz) pg_atomic_read_u64(&connection->heard_at) > SLOW_COMMIT)
		memory_hear(connection, now, presence_monotonic());
}

/* Whose end it is: at its own end, a transaction's xids are still current. */
typedef enum EndOf
{
	END_OF_OTHERS,
	OWN_COMMIT,
	OWN_ABORT
} EndOf;

static bool
has_ended(TransactionId xid, EndOf end)
{
	if (end != END_OF_OTHERS && TransactionIdIsCurrentTransactionId(xid))
		return true;
	return !TransactionIdIsInProgress(xid);
}

/* Of one that has ended. */
static bool
did_commit(TransactionId xid, EndOf end)
{
	if (end != END_OF_OTHERS && TransactionIdIsCurrentTransactionId(xid))
		return end == OWN_COMMIT;
	return TransactionIdDidCommit(xid);
}

static void
settle_connection(ConnectionEntry *connection, EndOf end)
{
	if (connection->xmin != FrozenTransactionId)
	{
		if (!did_commit(connection->xmin, end))
		{
			free_connection(connection);
			return;
		}
		connection->xmin = FrozenTransactionId;
		begin_lease(connection);
	}
	if (TransactionIdIsValid(connection->renewed_by))
	{
		if (did_commit(connection->renewed_by, end))
			begin_lease(connection);
		connection->renewed_by = InvalidTransactionId;
	}
	if (!TransactionIdIsValid(connection->xmax))
		return;
	if (did_commit(connection->xmax, end))
		free_connection(connection);
	else
		connection->xmax = InvalidTransactionId;
}

static void
count_change(RoomEntry *room, text *user_id)
{
	room->version = pg_atomic_fetch_add_u64(&shared_state->next_version, 1);
	if (room->ring != NULL)
		ring_add(room->ring, room->version, user_id);
}

/* Whether no lease that others know of holds him: reads leave him out, though he is a member. */
static bool
is_lapsed(MemberEntry *member)
{
	int64 now = presence_monotonic();
	dlist_iter iter;

	dlist_foreach (iter, &member->connections)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, node, iter.cur);

		if (connection->xmin == FrozenTransactionId && memory_lease_end_mono(connection) > now)
			return false;
	}
	return true;
}

/* The member is in the room as his connections say, and the list is another one. */
static void
count_member(MemberEntry *member, EndOf end, bool was_lapsed)
{
	bool is_member = !dlist_is_empty(&member->connections);

	if (is_member != member->is_member || (was_lapsed && !is_lapsed(member)) ||
		(TransactionIdIsValid(member->list_changer) && did_commit(member->list_changer, end)))
		count_change(member->room, member->user_id);
	member->room->nmembers += (int) is_member - (int) member->is_member;
	member->is_member = is_member;
}

/* Leaves the room, which may be empty then, to the caller. False if the member was freed. */
static bool
settle(MemberEntry *member, EndOf end)
{
	dlist_mutable_iter iter;
	bool was_lapsed;

	if (TransactionIdIsValid(member->changer))
	{
		if (!has_ended(member->changer, end))
			return true;
		was_lapsed = member->is_member && is_lapsed(member);
		dlist_foreach_modify (iter, &member->connections)
			settle_connection(dlist_container(ConnectionEntry, node, iter.cur), end);
		count_member(member, end, was_lapsed);
		member->changer = InvalidTransactionId;
		dlist_delete(&member->changing_node);
	}
	if (!dlist_is_empty(&member->connections))
		return true;
	free_member(member);
	return false;
}

static bool
settle_with_room(MemberEntry *member, EndOf end)
{
	RoomEntry *room = member->room;

	if (settle(member, end))
		return true;
	(void) free_empty_room(room);
	return false;
}

bool
memory_settle(MemberEntry *member)
{
	return settle_with_room(member, END_OF_OTHERS);
}

bool
memory_settle_room(RoomEntry *room)
{
	TransactionId running = InvalidTransactionId;
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &room->changing)
	{
		MemberEntry *member = dlist_container(MemberEntry, changing_node, iter.cur);

		if (member->changer == running)
			continue;
		if (has_ended(member->changer, END_OF_OTHERS))
			(void) settle(member, END_OF_OTHERS);
		else
			running = member->changer;
	}
	return !free_empty_room(room);
}

void
memory_settle_at_end(uint64 room_hash, uint64 member_hash, bool committed)
{
	dlist_mutable_iter iter;

	LWLockAcquire(memory_lock_of(room_hash), LW_EXCLUSIVE);
	dlist_foreach_modify (iter, buckets_find(&tables_of(room_hash)->members, member_hash))
	{
		MemberEntry *member = dlist_container(MemberEntry, bucket.node, iter.cur);

		if (member->bucket.hash == member_hash && member->room->bucket.hash == room_hash)
			(void) settle_with_room(member, committed ? OWN_COMMIT : OWN_ABORT);
	}
	LWLockRelease(memory_lock_of(room_hash));
}

ConnectionEntry *
memory_new_connection(text *connection_id)
{
	ConnectionEntry *connection =
		shared_alloc(MAXALIGN(sizeof(ConnectionEntry)) + text_size(connection_id));

	if (connection == NULL)
		return NULL;
	memset(connection, 0, sizeof(ConnectionEntry));
	pg_atomic_init_u64(&connection->heard_at, 0);
	pg_atomic_init_u64(&connection->heard_mono, 0);
	connection->connection_id =
		copy_text((char *) connection + MAXALIGN(sizeof(ConnectionEntry)), connection_id);
	return connection;
}

void
memory_open(MemberEntry *member, ConnectionEntry *connection, TransactionId xmin)
{
	uint64 room_hash = member->room->bucket.hash;

	if (memory_handle(connection) == 0)
		connection->bucket.hash =
			pg_atomic_fetch_add_u64(&shared_state->next_handle, 1) * NUM_PARTITIONS +
			(uint64) partition_of(room_hash);
	connection->member = member;
	connection->xmin = xmin;
	connection->xmax = InvalidTransactionId;
	dlist_push_tail(&member->connections, &connection->node);
	buckets_add(&tables_of(room_hash)->handles, &connection->bucket);
	move_in_heap(member->room->database, connection, false, memory_lease_end_mono(connection));
}

int64
memory_take_due(DatabaseSlot *database, int64 mono, int64 later)
{
	int64 handle = 0;
	pairingheap heap;

	LWLockAcquire(database->deadline_lock, LW_EXCLUSIVE);
	heap = heap_of(database);
	if (!pairingheap_is_empty(&heap))
	{
		ConnectionEntry *first =
			pairingheap_container(ConnectionEntry, deadline_node, pairingheap_first(&heap));

		if (first->look_at <= mono)
		{
			pairingheap_remove_first(&heap);
			first->look_at = later;
			pairingheap_add(&heap, &first->deadline_node);
			handle = memory_handle(first);
		}
	}
	database->deadlines = heap.ph_root;
	LWLockRelease(database->deadline_lock);
	return handle;
}

int64
memory_next_due(DatabaseSlot *database)
{
	int64 next = PG_INT64_MAX;

	LWLockAcquire(database->deadline_lock, LW_SHARED);
	if (database->deadlines != NULL)
		next = pairingheap_container(ConnectionEntry, deadline_node, database->deadlines)->look_at;
	LWLockRelease(database->deadline_lock);
	return next;
}

/* Calls a function for each room of all databases, with its lock exclusive. */
typedef void (*RoomFunction)(RoomEntry *room, void *arg);

static void
for_all_rooms(RoomFunction function, void *arg)
{
	shared_attach();
	for (int partition = 0; partition < NUM_PARTITIONS; partition++)
	{
		const Buckets *rooms = &shared_state->partitions[partition].tables.rooms;

		LWLockAcquire(memory_partition_lock(partition), LW_EXCLUSIVE);
		for (uint32 i = 0; i < rooms->n; i++)
		{
			dlist_mutable_iter iter;

			dlist_foreach_modify (iter, &rooms->heads[i])
				function(dlist_container(RoomEntry, bucket.node, iter.cur), arg);
		}
		LWLockRelease(memory_partition_lock(partition));
	}
}

/* Its members' changers, if there are any, have ended. */
static void
forget_room(RoomEntry *room)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &room->members)
	{
		MemberEntry *member = dlist_container(MemberEntry, room_node, iter.cur);
		dlist_mutable_iter of_member;

		dlist_foreach_modify (of_member, &member->connections)
			free_connection(dlist_container(ConnectionEntry, node, of_member.cur));
		free_member(member);
	}
	(void) free_empty_room(room);
}

static void
forget_if_of_database(RoomEntry *room, void *database)
{
	if (room->database == database)
		forget_room(room);
}

void
memory_forget_database(DatabaseSlot *database)
{
	for_all_rooms(forget_if_of_database, database);
}

/* An extension whose rooms are there, with none of them being changed. */
typedef struct Extension
{
	DatabaseSlot *database;
	Oid relid;   /* of presence.room_presence */
	Oid but[16]; /* that are still there */
	int nbut;
} Extension;

static void
find_other(RoomEntry *room, void *arg)
{
	Extension *extension = arg;

	if (room->database != extension->database || OidIsValid(extension->relid))
		return;
	for (int i = 0; i < extension->nbut; i++)
		if (extension->but[i] == room->relid)
			return;
	if (memory_settle_room(room) && dlist_is_empty(&room->changing))
		extension->relid = room->relid;
}

static void
forget_if_of_extension(RoomEntry *room, void *arg)
{
	Extension *extension = arg;

	if (room->database == extension->database && room->relid == extension->relid)
		forget_room(room);
}

/*
 * What was found in a room that nobody is changing is committed, so that its table is in the
 * catalogs, or was dropped since: then whoever would change the room has lost it already.
 */
void
memory_forget_dropped(DatabaseSlot *database)
{
	Extension extension = {.database = database};

	while (extension.nbut < (int) lengthof(extension.but))
	{
		extension.relid = InvalidOid;
		for_all_rooms(find_other, &extension);
		if (!OidIsValid(extension.relid))
			break;
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(extension.relid)))
			extension.but[extension.nbut++] = extension.relid;
		else
			for_all_rooms(forget_if_of_extension, &extension);
	}
}

bool
memory_is_empty(const DatabaseSlot *database)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &database->nrooms)) == 0;
}

static void
settle_if_possible(RoomEntry *room, void *arg pg_attribute_unused())
{
	(void) memory_settle_room(room);
}

void
memory_tidy(void)
{
	for_all_rooms(settle_if_possible, NULL);
}

static void
give_way(RoomEntry *room, void *arg pg_attribute_unused())
{
	ring_free(room->ring);
	room->ring = NULL;
	(void) memory_settle_room(room);
}

void
memory_make_room(void)
{
	shared_was_full();
	for_all_rooms(give_way, NULL);
}
