/*
 * member.c
 *	  One user in one room: joining and leaving.
 *
 * What makes it atomic: the partial unique index on (user_id, book_id) lets
 * one of any number of concurrent joins insert, and the others wait and
 * find its row; and whoever changes what holds a presence open (a tab more, a
 * tab less, a lease that ended) first locks the row of the presence, so that of two tabs
 * that close at the same instant the second one sees that it is the last.
 *
 * Called by rooms.c and webhook.c, with the store open.
 */
#include "postgres.h"

#include "member.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "events.h"
#include "limits.h"
#include "liveness.h"
#include "presence.h"
#include "store.h"

void
member_tell(EventKind kind, const Member *member, const char *reason, TimestampTz at)
{
	Event event = {.kind = kind,
				   .presence_id = member->id,
				   .user_id = member->user_id,
				   .book_id = member->book_id,
				   .user_info = member->user_info,
				   .is_author = member->is_author,
				   .reason = reason,
				   .at = at};

	event_emit(&event);
}

/* A presence from the last result. */
static void
read_member(text *user_id, text *book_id, Member *member)
{
	SPITupleTable *rows = SPI_tuptable;

	member->user_id = user_id;
	member->book_id = book_id;
	member->id = DatumGetInt64(store_datum(rows, 0, 0));
	member->joined_at = DatumGetTimestampTz(store_datum(rows, 0, 1));
	member->last_active_at = DatumGetTimestampTz(store_datum(rows, 0, 2));
	member->is_author = DatumGetBool(store_datum(rows, 0, 3));
	member->user_info = store_jsonb(rows, 0, 4);
}

/* Locks the open presence, if there is one. */
static bool
lock_member(text *user_id, text *book_id, Member *member)
{
	Datum values[] = {PointerGetDatum(user_id), PointerGetDatum(book_id)};

	if (store_execute(LOCK_PRESENCE, values, NULL) == 0)
		return false;
	read_member(user_id, book_id, member);
	return true;
}

/* Inserts the presence; if the user is a member, locks it and returns false. */
static bool
insert_member(const JoinRequest *join, TimestampTz now, Member *member)
{
	Datum values[] = {PointerGetDatum(join->user_id), PointerGetDatum(join->book_id),
					  TimestampTzGetDatum(now), BoolGetDatum(join->is_author && *join->is_author),
					  PointerGetDatum(join->user_info)};

	if (store_execute(INSERT_PRESENCE, values, join->user_info ? NULL : "    n") == 0)
		return false;
	member->id = DatumGetInt64(store_datum(SPI_tuptable, 0, 0));
	member->user_id = join->user_id;
	member->book_id = join->book_id;
	member->joined_at = now;
	member->last_active_at = now;
	member->is_author = DatumGetBool(values[3]);
	member->user_info = join->user_info;
	return true;
}

/* Ends a presence whose row is locked and whose connections are gone. */
static void
close_member(const Member *member, TimestampTz left_at, const char *reason,
			 TimestampTz last_active_at)
{
	Datum values[] = {PointerGetDatum(member->book_id), Int64GetDatum(member->id),
					  TimestampTzGetDatum(left_at), CStringGetTextDatum(reason),
					  TimestampTzGetDatum(last_active_at)};

	store_execute(CLOSE_PRESENCE, values, NULL);
	member_tell(MEMBER_REMOVED, member, reason,
				DatumGetTimestampTz(store_datum(SPI_tuptable, 0, 0)));
}

/*
 * The presence the user has, locked, or the one this call inserts. One whose last
 * lease ended, and which nobody closed yet, is over: it is closed here.
 */
static bool
find_or_insert_member(const JoinRequest *join, TimestampTz now, Member *member, Liveness *liveness)
{
	for (;;)
	{
		if (insert_member(join, now, member))
		{
			member_tell(MEMBER_ADDED, member, NULL, now);
			return true;
		}
		CHECK_FOR_INTERRUPTS();
		if (!lock_member(join->user_id, join->book_id, member))
			elog(ERROR, "the presence that an insert found is not there");
		*liveness = liveness_of(join->user_id, join->book_id, now);
		if (liveness->rows == 0 || liveness->lease_end > now)
			return false;
		liveness_disconnect(join->user_id, join->book_id, NULL, now);
		close_member(member, liveness->lease_end, liveness->reason, liveness->last_active);
	}
}

bool
member_has_user_info(const Member *member, Jsonb *user_info)
{
	return member->user_info &&
		   compareJsonbContainers(&member->user_info->root, &user_info->root) == 0;
}

/* What a further join says of the member, if it differs. */
static void
update_member(const JoinRequest *join, Member *member, TimestampTz now)
{
	bool info_changes = join->user_info && !member_has_user_info(member, join->user_info);
	bool author_changes = join->is_author && *join->is_author != member->is_author;
	Datum values[4];

	if (!info_changes && !author_changes)
		return;
	if (info_changes)
		member->user_info = join->user_info;
	if (author_changes)
		member->is_author = *join->is_author;

	values[0] = PointerGetDatum(member->book_id);
	values[1] = Int64GetDatum(member->id);
	values[2] = BoolGetDatum(member->is_author);
	values[3] = PointerGetDatum(member->user_info);
	store_execute(UPDATE_MEMBER, values, member->user_info ? NULL : "   n");
	member_tell(MEMBER_UPDATED, member, NULL, now);
}

Joined
member_join(const JoinRequest *join, TimestampTz now)
{
	Joined joined;
	Liveness liveness;

	joined.added = find_or_insert_member(join, now, &joined.member, &liveness);
	if (!joined.added)
	{
		update_member(join, &joined.member, now);
		if (liveness.rows > liveness.connections)
			liveness_drop_stand_ins(join->user_id, join->book_id);
		joined.member.last_active_at = Max(joined.member.last_active_at, now);
	}
	joined.connection = liveness_connect(join->user_id, join->book_id, join->connection_id,
										 joined.member.id, join->ttl, now, NULL);
	return joined;
}

/* Pusher says when it ends; a day bounds a message that never comes. */
bool
member_join_unheard(text *user_id, text *book_id, Jsonb *user_info, TimestampTz now)
{
	JoinRequest join = {
		.user_id = user_id, .book_id = book_id, .user_info = user_info, .ttl = MAX_TTL};
	Member member;
	Liveness liveness;

	if (!find_or_insert_member(&join, now, &member, &liveness))
		return false;
	liveness_connect(user_id, book_id, cstring_to_text(""), member.id, join.ttl, now, "timeout");
	return true;
}

/*
 * All connections go: the presence is closed at once, which locks it as well. If its lease
 * had ended before, unnoticed, it was no member's leave.
 */
static bool
leave_with_all(text *user_id, text *book_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(user_id), PointerGetDatum(book_id), TimestampTzGetDatum(now)};
	Member member;
	Liveness dropped;
	TimestampTz left_at;

	if (store_execute(LEAVE, values, NULL) == 0)
		return false;
	read_member(user_id, book_id, &member);
	left_at = DatumGetTimestampTz(store_datum(SPI_tuptable, 0, 5));
	dropped = liveness_disconnect(user_id, book_id, NULL, now);
	if (dropped.rows > 0 && dropped.lease_end <= now)
	{
		close_member(&member, dropped.lease_end, "timeout", dropped.last_active);
		return false;
	}
	member_tell(MEMBER_REMOVED, &member, "left", left_at);
	return true;
}

/* One connection goes, and the member with the last one that is alive. */
static bool
leave_with_one(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	Member member;
	Liveness dropped;
	Liveness left;

	if (!lock_member(user_id, book_id, &member))
		return false;
	dropped = liveness_disconnect(user_id, book_id, connection_id, now);
	if (dropped.rows == 0)
		return false; /* not one of its connections */
	left = liveness_of(user_id, book_id, now);
	if (left.live > 0)
		return false;
	if (left.rows > 0)
	{
		left = liveness_disconnect(user_id, book_id, NULL, now);
		dropped.lease_end = Max(dropped.lease_end, left.lease_end);
		dropped.last_active = Max(dropped.last_active, left.last_active);
	}
	if (dropped.lease_end <= now)
	{
		close_member(&member, dropped.lease_end, "timeout", dropped.last_active);
		return false;
	}
	close_member(&member, now, "left", now);
	return true;
}

bool
member_leave(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	if (connection_id)
		return leave_with_one(user_id, book_id, connection_id, now);
	return leave_with_all(user_id, book_id, now);
}
