/*
 * connections.c
 *	  What holds presences open: which of the two implementations it is.
 *
 * A database with a slot in shared memory has its connections there, one without has them in
 * its table; a slot is given at the first use, or not until the server's restart (shared.c).
 */
#include "postgres.h"

#include "connections.h"

#include "connections_methods.h"
#include "shared.h"

static const ConnectionMethods *
methods(void)
{
	return shared_use() ? &connections_in_memory : &connections_in_table;
}

void
connections_init(void)
{
	connections_memory_init();
	connections_table_init();
}

LockResult
connections_lock(MemberKey member, text *connection_id, bool wait)
{
	return methods()->lock(member, connection_id, wait);
}

Liveness
connections_of(MemberKey member, Moment moment)
{
	return methods()->of(member, moment);
}

int64
connections_open(MemberKey member, text *connection_id, HeldPresence presence, int64 ttl,
				 StandIn stand_in)
{
	return methods()->open(member, connection_id, presence, ttl, stand_in);
}

Liveness
connections_close(MemberKey member, text *connection_id, Moment moment)
{
	return methods()->close(member, connection_id, moment);
}

void
connections_close_stand_ins(MemberKey member)
{
	methods()->close_stand_ins(member);
}

Liveness
connections_close_ended(MemberKey member, Moment moment)
{
	return methods()->close_ended(member, moment);
}

bool
connections_drop(const Connection *connection, int64 linger)
{
	return methods()->drop(connection, linger);
}

bool
connections_touch(MemberKey member, text *connection_id)
{
	return methods()->touch(member, connection_id);
}

Datum
connections_touch_many(ArrayType *handles)
{
	return methods()->touch_many(handles);
}

Connection *
connections_by_handles(ArrayType *handles, int *n)
{
	return methods()->by_handles(handles, n);
}

MemberKey *
connections_ended(Moment moment, int max, int *n, bool *more)
{
	return methods()->ended(moment, max, n, more);
}

void
connections_adopt(MemberKey member, HeldPresence presence, int64 lease)
{
	methods()->adopt(member, presence, lease);
}

Connection *
connections_all(int64 *n)
{
	return methods()->all(n);
}

Liveness *
connections_sums(Moment moment, int64 *n)
{
	return methods()->sums(moment, n);
}

int64
connections_count(Moment moment)
{
	return methods()->count(moment);
}

RoomView *
connections_view_room(text *book_id)
{
	return methods()->view_room(book_id);
}

Liveness
connections_in_view(RoomView *view, text *user_id, int64 presence_id)
{
	return methods()->in_view(view, user_id, presence_id);
}

bool
connections_member_count(text *book_id, int32 *count)
{
	return methods()->member_count(book_id, count);
}

bool
connections_room_version(text *book_id, int64 *version)
{
	return methods()->room_version(book_id, version);
}

bool
connections_room_changes(text *book_id, const int64 *known, RoomChanges *changes)
{
	return methods()->room_changes(book_id, known, changes);
}

void
connections_list_changes(MemberKey member)
{
	methods()->list_changes(member);
}
