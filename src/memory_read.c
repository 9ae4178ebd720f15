/*
 * memory_read.c
 *	  What is read of connections in shared memory: of a member, of a room, of all.
 *
 * Takes the locks that memory.h asks for. What is asked of a room is answered after what has
 * ended there was settled.
 *
 * Called by connections_memory.c.
 */
#include "postgres.h"

#include "memory_read.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "memory_lock.h"
#include "settings.h"
#include "store.h"

/*
 * Whether a lease has ended. At a moment that somebody named the clock decides, unless it
 * was set since the connection was heard.
 */
bool
memory_is_over(ConnectionEntry *connection, Moment moment)
{
	int64 heard_skew = (int64) pg_atomic_read_u64(&connection->heard_at) -
					   (int64) pg_atomic_read_u64(&connection->heard_mono);
	int64 skew = moment.at - moment.mono;

	if (moment.by_clock && Max(heard_skew - skew, skew - heard_skew) < CLOCK_SKEW)
		return memory_lease_end(connection) <= moment.at;
	return memory_lease_end_mono(connection) <= moment.mono;
}

void
memory_add_to(Liveness *liveness, ConnectionEntry *connection, Moment moment)
{
	liveness_add(liveness, (HeldPresence){connection->presence_id, connection->row},
				 (StandIn) connection->stand_in,
				 (TimestampTz) pg_atomic_read_u64(&connection->heard_at),
				 memory_lease_end(connection), memory_is_over(connection, moment));
}

static Liveness
sum_up(MemberEntry *member, Moment moment)
{
	Liveness liveness = {0};
	dlist_iter iter;

	dlist_foreach (iter, &member->connections)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, node, iter.cur);

		if (memory_is_visible(connection))
			memory_add_to(&liveness, connection, moment);
	}
	return liveness;
}

Liveness
memory_liveness_of(MemberKey key, Moment moment)
{
	uint64 hash = memory_hash_of_room(key.book_id);
	Liveness liveness = {0};
	MemberEntry *member;

	memory_database();
	LWLockAcquire(memory_lock_of(hash), LW_SHARED);
	member = memory_find_key(hash, key);
	if (member != NULL)
		liveness = sum_up(member, moment);
	LWLockRelease(memory_lock_of(hash));
	return liveness;
}

bool
memory_is_of_this_extension(RoomEntry *room)
{
	return room->database->dboid == MyDatabaseId && room->relid == store_room_presence();
}

text *
memory_copy_text(text *value)
{
	return cstring_to_text_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

Connection
memory_describe(ConnectionEntry *entry)
{
	return (Connection){.handle = memory_handle(entry),
						.presence = {entry->presence_id, entry->row},
						.member = {memory_copy_text(entry->member->user_id),
								   memory_copy_text(entry->member->room->book_id)},
						.connection_id = memory_copy_text(entry->connection_id),
						.ttl = entry->ttl,
						.last_active = (TimestampTz) pg_atomic_read_u64(&entry->heard_at),
						.lease_end = memory_lease_end(entry),
						.over = memory_lease_end_mono(entry) <= presence_monotonic(),
						.stand_in = (StandIn) entry->stand_in};
}

/* Calls a function for each member of this extension's rooms, the room's lock held. */
typedef void (*MemberFunction)(MemberEntry *member, void *arg);

static void
for_bucket(dlist_head *rooms, MemberFunction function, void *arg)
{
	dlist_iter of_bucket;

	dlist_foreach (of_bucket, rooms)
	{
		RoomEntry *room = dlist_container(RoomEntry, bucket.node, of_bucket.cur);
		dlist_iter of_room;

		if (memory_is_of_this_extension(room))
			dlist_foreach (of_room, &room->members)
				function(dlist_container(MemberEntry, room_node, of_room.cur), arg);
	}
}

static void
for_all(MemberFunction function, void *arg)
{
	(void) store_room_presence();
	for (int partition = 0; partition < NUM_PARTITIONS; partition++)
	{
		LWLock *lock = memory_partition_lock(partition);
		const Buckets *rooms = &shared_state->partitions[partition].tables.rooms;

		LWLockAcquire(lock, LW_SHARED);
		for (uint32 i = 0; i < rooms->n; i++)
			for_bucket(&rooms->heads[i], function, arg);
		LWLockRelease(lock);
		CHECK_FOR_INTERRUPTS();
	}
}

typedef struct ConnectionList
{
	Connection *list;
	int64 n;
	int64 max;
} ConnectionList;

static void
append_connections(MemberEntry *member, void *arg)
{
	ConnectionList *to = arg;
	dlist_iter iter;

	dlist_foreach (iter, &member->connections)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, node, iter.cur);

		if (!memory_is_visible(connection))
			continue;
		if (to->n == to->max)
			to->list = repalloc_huge(to->list, sizeof(Connection) * (Size) (to->max *= 2));
		to->list[to->n++] = memory_describe(connection);
	}
}

Connection *
memory_all_connections(int64 *n)
{
	ConnectionList all = {.list = palloc(sizeof(Connection) * 64), .max = 64};

	for_all(append_connections, &all);
	*n = all.n;
	return all.list;
}

typedef struct SumList
{
	Moment moment;
	Liveness *list;
	int64 n;
	int64 max;
} SumList;

static void
append_sum(MemberEntry *member, void *arg)
{
	SumList *to = arg;

	if (to->n == to->max)
		to->list = repalloc_huge(to->list, sizeof(Liveness) * (Size) (to->max *= 2));
	to->list[to->n] = sum_up(member, to->moment);
	to->n += to->list[to->n].total > 0;
}

Liveness *
memory_all_sums(Moment moment, int64 *n)
{
	SumList all = {.moment = moment, .list = palloc(sizeof(Liveness) * 64), .max = 64};

	for_all(append_sum, &all);
	*n = all.n;
	return all.list;
}

typedef struct LiveCount
{
	Moment moment;
	int64 n;
} LiveCount;

static void
add_live(MemberEntry *member, void *arg)
{
	LiveCount *count = arg;

	count->n += sum_up(member, count->moment).live;
}

int64
memory_count_live(Moment moment)
{
	LiveCount count = {.moment = moment};

	for_all(add_live, &count);
	return count.n;
}

struct RoomView
{
	text *book_id;
	Moment moment;
};

RoomView *
memory_view_room(text *book_id)
{
	RoomView *view = palloc(sizeof(RoomView));

	*view = (RoomView){book_id, moment_now()};
	return view;
}

Liveness
memory_in_view(RoomView *view, text *user_id, int64 presence_id)
{
	Liveness liveness = memory_liveness_of((MemberKey){user_id, view->book_id}, view->moment);

	if (liveness.presence.id != presence_id)
		liveness = (Liveness){0};
	return liveness;
}

static bool
is_changed_by_me(RoomEntry *room)
{
	dlist_iter iter;

	dlist_foreach (iter, &room->changing)
		if (TransactionIdIsCurrentTransactionId(
				dlist_container(MemberEntry, changing_node, iter.cur)->changer))
			return true;
	return false;
}

void
memory_ask_room(text *book_id, RoomQuestion question, void *answer)
{
	uint64 hash = memory_hash_of_room(book_id);
	LWLock *lock = memory_lock_of(hash);
	RoomEntry *room;

	LWLockAcquire(lock, LW_SHARED);
	room = memory_find_room(hash, store_room_presence(), book_id);
	if (room != NULL && !dlist_is_empty(&room->changing))
	{
		LWLockRelease(lock);
		LWLockAcquire(lock, LW_EXCLUSIVE);
		room = memory_find_room(hash, store_room_presence(), book_id);
		if (room != NULL && !memory_settle_room(room))
			room = NULL;
	}
	question(room, room != NULL && is_changed_by_me(room), answer);
	LWLockRelease(lock);
}

/* What this transaction changes, beside what is settled. */
static int32
change_by_me(RoomEntry *room)
{
	int32 change = 0;
	dlist_iter iter;

	dlist_foreach (iter, &room->changing)
	{
		MemberEntry *member = dlist_container(MemberEntry, changing_node, iter.cur);

		if (TransactionIdIsCurrentTransactionId(member->changer))
			change += (int32) memory_is_held(member) - (int32) member->is_member;
	}
	return change;
}

static int32
count_one_by_one(RoomEntry *room)
{
	Moment moment = moment_now();
	int32 count = 0;
	dlist_iter iter;

	dlist_foreach (iter, &room->members)
		count += sum_up(dlist_container(MemberEntry, room_node, iter.cur), moment).alive;
	return count;
}

typedef struct CountAnswer
{
	bool late; /* the worker is: leases that ended are not all closed */
	int32 count;
} CountAnswer;

static void
answer_count(RoomEntry *room, bool mine, void *answer)
{
	CountAnswer *to = answer;

	if (room == NULL)
		to->count = 0;
	else if (to->late)
		to->count = count_one_by_one(room);
	else
		to->count = room->nmembers + (mine ? change_by_me(room) : 0);
}

bool
memory_is_adopted(void)
{
	return pg_atomic_read_u32(&memory_database()->adopted) != 0;
}

bool
memory_member_count(text *book_id, int32 *count)
{
	CountAnswer answer = {.late = memory_next_due(memory_database()) <
								  presence_monotonic() - USECS_PER_SEC};

	if (!memory_is_adopted() || IsolationUsesXactSnapshot())
		return false;
	memory_ask_room(book_id, answer_count, &answer);
	*count = answer.count;
	return true;
}

typedef struct VersionAnswer
{
	bool counted;
	int64 version;
} VersionAnswer;

static void
answer_version(RoomEntry *room, bool mine, void *answer)
{
	VersionAnswer *to = answer;

	to->counted = !mine;
	to->version = room ? (int64) room->version : 0;
}

bool
memory_room_version(text *book_id, int64 *version)
{
	VersionAnswer answer = {0};

	if (!memory_is_adopted())
		return false;
	memory_ask_room(book_id, answer_version, &answer);
	*version = answer.version;
	return answer.counted;
}
