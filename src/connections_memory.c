/*
 * connections_memory.c
 *	  Connections in shared memory, where presence is in shared_preload_libraries: what changes
 *	  them.
 *
 * Takes the locks that memory.h asks for; the caller has locked the member (memory_lock.h). What
 * only reads is in memory_read.c.
 */
#include "postgres.h"

#include "connections_methods.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "memory_changes.h"
#include "memory_lock.h"
#include "memory_read.h"
#include "settings.h"
#include "store.h"

#define RETRY (500 * 1000) /* microseconds; what was ended, or locked, is looked at again */

/* The member's entry, which this transaction has locked; with the room's lock held. */
static MemberEntry *
locked_member(uint64 hash, MemberKey key)
{
	MemberEntry *member = memory_find_key(hash, key);

	if (member == NULL)
		elog(ERROR, "the member is not locked");
	return member;
}

/* Whether a renewal leaves the connection as it is, but for the sign of life. */
static bool
stays(const ConnectionEntry *connection, HeldPresence presence, int64 ttl)
{
	return connection->presence_id == presence.id && connection->ttl == ttl;
}

/* Whether a join finds its connection, and needs no piece for another. The member is locked. */
static bool
is_renewal(uint64 hash, MemberKey key, text *connection_id, HeldPresence presence, int64 ttl)
{
	ConnectionEntry *connection;
	bool renews;

	LWLockAcquire(memory_lock_of(hash), LW_SHARED);
	connection = memory_find_connection(locked_member(hash, key), connection_id);
	renews = connection != NULL && stays(connection, presence, ttl);
	LWLockRelease(memory_lock_of(hash));
	return renews;
}

static int64
open_connection(MemberKey key, text *connection_id, HeldPresence presence, int64 ttl,
				StandIn stand_in)
{
	TransactionId mine = GetCurrentTransactionId();
	uint64 hash = memory_hash_of_room(key.book_id);
	int64 mono = presence_monotonic();
	ConnectionEntry *connection = memory_take_spare(connection_id);
	ConnectionEntry *old = NULL;
	MemberEntry *member;
	int64 handle;

	if (connection == NULL &&
		(stand_in != NO_STAND_IN || !is_renewal(hash, key, connection_id, presence, ttl)))
	{
		memory_reserve(connection_id);
		connection = memory_take_spare(connection_id);
	}
	LWLockAcquire(memory_lock_of(hash), LW_EXCLUSIVE);
	member = locked_member(hash, key);
	if (stand_in == NO_STAND_IN)
		old = memory_find_connection(member, connection_id);
	if (old != NULL && stays(old, presence, ttl))
	{
		memory_hear(old, presence_now(), mono);
		old->renewed_by = mine;
		if (connection != NULL)
			memory_keep_spare(connection);
		handle = memory_handle(old);
	}
	else if (connection == NULL)
		elog(ERROR, "a locked member has lost its connection");
	else
	{
		connection->presence_id = presence.id;
		connection->row = presence.row;
		connection->ttl = ttl;
		connection->stand_in = (char) stand_in;
		memory_hear(connection, presence_now(), mono);
		if (old != NULL && old->presence_id == presence.id)
			connection->bucket.hash = old->bucket.hash;
		if (old != NULL)
			memory_close(old, mine);
		memory_open(member, connection, mine);
		handle = memory_handle(connection);
	}
	LWLockRelease(memory_lock_of(hash));
	memory_begin_lease_until(mono + ttl);
	return handle;
}

/* Which connections of a member are to be closed. */
typedef struct Choice
{
	text *connection_id; /* that one */
	int64 handle;        /* or that one */
	bool stand_ins;      /* or these */
	bool ended;          /* or whose lease has ended; or all */
} Choice;

static bool
is_chosen(const Choice *choice, ConnectionEntry *connection, Moment moment)
{
	if (choice->stand_ins)
		return connection->stand_in != NO_STAND_IN;
	if (choice->ended)
		return memory_is_over(connection, moment);
	if (choice->handle != 0)
		return connection->stand_in == NO_STAND_IN && memory_handle(connection) == choice->handle;
	if (choice->connection_id != NULL)
		return connection->stand_in == NO_STAND_IN &&
			   same_name(connection->connection_id, choice->connection_id);
	return true;
}

static Liveness
close_chosen(MemberKey key, Choice choice, Moment moment)
{
	TransactionId mine = GetCurrentTransactionId();
	uint64 hash = memory_hash_of_room(key.book_id);
	Liveness closed = {0};
	MemberEntry *member;
	dlist_mutable_iter iter;

	LWLockAcquire(memory_lock_of(hash), LW_EXCLUSIVE);
	member = locked_member(hash, key);
	dlist_foreach_modify (iter, &member->connections)
	{
		ConnectionEntry *connection = dlist_container(ConnectionEntry, node, iter.cur);

		if (!is_chosen(&choice, connection, moment) || !memory_is_visible(connection))
			continue;
		memory_add_to(&closed, connection, moment);
		memory_close(connection, mine);
	}
	LWLockRelease(memory_lock_of(hash));
	return closed;
}

static Liveness
close_connection(MemberKey key, text *connection_id, Moment moment)
{
	return close_chosen(key, (Choice){.connection_id = connection_id}, moment);
}

static void
close_stand_ins(MemberKey key)
{
	(void) close_chosen(key, (Choice){.stand_ins = true}, (Moment){0});
}

static Liveness
close_ended(MemberKey key, Moment moment)
{
	return close_chosen(key, (Choice){.ended = true}, moment);
}

/* Where memory is full, nothing lingers. */
static void
add_stand_in(MemberKey key, ConnectionEntry *stand_in, const Connection *closed, int64 linger)
{
	uint64 hash = memory_hash_of_room(key.book_id);
	TransactionId mine = GetCurrentTransactionId();
	int64 mono = presence_monotonic();

	if (stand_in == NULL)
		return;
	stand_in->presence_id = closed->presence.id;
	stand_in->row = closed->presence.row;
	stand_in->ttl = linger;
	stand_in->stand_in = STAND_IN_LEFT;
	memory_hear(stand_in, presence_now(), mono);
	LWLockAcquire(memory_lock_of(hash), LW_EXCLUSIVE);
	memory_open(locked_member(hash, key), stand_in, mine);
	LWLockRelease(memory_lock_of(hash));
	memory_begin_lease_until(mono + linger);
}

static bool
drop_connection(const Connection *connection, int64 linger)
{
	MemberKey key = connection->member;
	Liveness closed = close_chosen(key, (Choice){.handle = connection->handle}, (Moment){0});

	if (closed.total == 0)
		return false;
	if (linger > 0)
		add_stand_in(key, memory_new_connection(connection->connection_id), connection, linger);
	return true;
}

/* With the room's lock held. */
static bool
hear(ConnectionEntry *connection, Moment moment)
{
	if (connection == NULL || connection->stand_in != NO_STAND_IN ||
		!memory_is_visible(connection) || memory_lease_end_mono(connection) <= moment.mono)
		return false;
	memory_hear(connection, moment.at, moment.mono);
	return true;
}

static Moment
moment_of_beat(void)
{
	return (Moment){.at = presence_now(), .mono = presence_monotonic()};
}

static bool
touch(MemberKey key, text *connection_id)
{
	uint64 hash = memory_hash_of_room(key.book_id);
	Moment moment = moment_of_beat();
	MemberEntry *member;
	bool heard = false;

	LWLockAcquire(memory_lock_of(hash), LW_SHARED);
	member = memory_find_key(hash, key);
	if (member != NULL)
		heard = hear(memory_find_connection(member, connection_id), moment);
	LWLockRelease(memory_lock_of(hash));
	return heard;
}

static bool
touch_handle(int64 handle, Moment moment)
{
	LWLock *lock = memory_lock_of_handle(handle);
	ConnectionEntry *connection;
	bool heard;

	LWLockAcquire(lock, LW_SHARED);
	connection = memory_find_handle(handle);
	heard = connection && memory_is_of_this_extension(connection->member->room) &&
			hear(connection, moment);
	LWLockRelease(lock);
	return heard;
}

static Datum
touch_many(ArrayType *handles)
{
	int64 *handle = (int64 *) ARR_DATA_PTR(handles);
	int n = ArrayGetNItems(ARR_NDIM(handles), ARR_DIMS(handles));
	Datum *unknown = palloc(sizeof(Datum) * Max(n, 1));
	Moment moment = moment_of_beat();
	int nunknown = 0;

	(void) store_room_presence(); /* not looked up with a lock held */
	for (int i = 0; i < n; i++)
		if (!touch_handle(handle[i], moment))
			unknown[nunknown++] = Int64GetDatum(handle[i]);
	return store_bigint_array(unknown, nunknown);
}

static Connection *
by_handles(ArrayType *handles, int *n)
{
	int64 *handle = (int64 *) ARR_DATA_PTR(handles);
	int nhandles = ArrayGetNItems(ARR_NDIM(handles), ARR_DIMS(handles));
	Connection *found = palloc(sizeof(Connection) * Max(nhandles, 1));

	*n = 0;
	for (int i = 0; i < nhandles; i++)
	{
		LWLock *lock = memory_lock_of_handle(handle[i]);
		ConnectionEntry *entry;

		LWLockAcquire(lock, LW_SHARED);
		entry = memory_find_handle(handle[i]);
		if (entry && entry->stand_in == NO_STAND_IN &&
			memory_is_of_this_extension(entry->member->room))
			found[(*n)++] = memory_describe(entry);
		LWLockRelease(lock);
	}
	return found;
}

/* Takes those that are due out of their order in the heap. */
static int
take_due(Moment moment, int64 **handles, int max)
{
	int64 limit = moment.mono + (moment.by_clock ? CLOCK_SKEW : 0);
	int size = 64;
	int n = 0;

	*handles = palloc(sizeof(int64) * size);
	while (n < max)
	{
		int64 handle = memory_take_due(memory_database(), limit, limit + 1);

		if (handle == 0)
			break;
		if (n == size)
			*handles = repalloc_huge(*handles, sizeof(int64) * (Size) (size *= 2));
		(*handles)[n++] = handle;
	}
	return n;
}

/* Looks at one: sets when it is looked at again, and says whether its lease has ended. */
static bool
look_at(int64 handle, Moment moment, MemberKey *key)
{
	LWLock *lock = memory_lock_of_handle(handle);
	int64 now = presence_monotonic();
	ConnectionEntry *connection;
	bool ended = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	connection = memory_find_handle(handle);
	if (connection != NULL && memory_settle(connection->member))
		connection = memory_find_handle(handle);
	else
		connection = NULL;
	if (connection != NULL)
	{
		bool visible = memory_is_visible(connection);

		ended = visible && memory_is_over(connection, moment);
		if (ended || !visible || memory_lease_end_mono(connection) <= now)
			memory_set_deadline(connection, now + RETRY);
		else
			memory_set_deadline(connection, memory_lease_end_mono(connection));
		if (ended)
			*key = (MemberKey){memory_copy_text(connection->member->user_id),
							   memory_copy_text(connection->member->room->book_id)};
		ended = ended && memory_is_of_this_extension(connection->member->room);
	}
	LWLockRelease(lock);
	return ended;
}

static MemberKey *
ended_members(Moment moment, int max, int *n, bool *more)
{
	int64 *handles;
	int taken = take_due(moment, &handles, max);
	MemberKey *keys = palloc(sizeof(MemberKey) * Max(taken, 1));

	*n = 0;
	*more = taken == max;
	for (int i = 0; i < taken; i++)
		if (look_at(handles[i], moment, &keys[*n]))
			(*n)++;
	return keys;
}

static void
adopt(MemberKey key, HeldPresence presence, int64 lease)
{
	(void) open_connection(key, cstring_to_text(""), presence, lease, STAND_IN_TIMEOUT);
}

/* The first one counts that is not rolled back: if that one commits, so do the later ones. */
static void
list_changes(MemberKey key)
{
	TransactionId mine = GetCurrentTransactionId();
	uint64 hash = memory_hash_of_room(key.book_id);
	MemberEntry *member;

	LWLockAcquire(memory_lock_of(hash), LW_EXCLUSIVE);
	member = memory_find_key(hash, key);
	if (member != NULL && (!TransactionIdIsValid(member->list_changer) ||
						   !TransactionIdIsCurrentTransactionId(member->list_changer)))
		member->list_changer = mine;
	LWLockRelease(memory_lock_of(hash));
}

const ConnectionMethods connections_in_memory = {
	.lock = memory_lock_member,
	.of = memory_liveness_of,
	.open = open_connection,
	.close = close_connection,
	.close_stand_ins = close_stand_ins,
	.close_ended = close_ended,
	.drop = drop_connection,
	.touch = touch,
	.touch_many = touch_many,
	.by_handles = by_handles,
	.ended = ended_members,
	.adopt = adopt,
	.all = memory_all_connections,
	.sums = memory_all_sums,
	.count = memory_count_live,
	.view_room = memory_view_room,
	.in_view = memory_in_view,
	.member_count = memory_member_count,
	.room_version = memory_room_version,
	.room_changes = memory_room_changes,
	.list_changes = list_changes,
};
