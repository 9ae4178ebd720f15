/*
 * member.c
 *	  What a join and a leave do to one member.
 *
 * What makes it atomic: who changes what holds a presence open (a tab more, a tab
 * less, a lease that ended) locks the member first, so that of two tabs that close at
 * the same instant the second one sees that it is the last. And the partial unique
 * index on (user_id, book_id) lets one of any number of joins insert, whoever else writes
 * into the table.
 *
 * What is always true after a commit: a presence is open if and only if something holds it,
 * and each one has told its listeners once that it began and once that it ended. Rows
 * that people wrote by hand, or a restart left, break the first; they are adopted, or what
 * held them is closed, by whoever comes upon them.
 *
 * Called by rooms.c and webhook.c, with the store open.
 */
#include "postgres.h"

#include "member.h"

#include "catalog/pg_database.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "limits.h"
#include "member_state.h"
#include "presences_write.h"
#include "settings.h"
#include "store.h"

#define MAX_ATTEMPTS 3 /* to insert a presence that neither is there nor can be inserted */

/* Ends a presence; false if there is no row of one. */
static bool
end(const Ending *ending)
{
	Presence closed;

	if (!presence_close(ending, &closed))
		return false;
	member_tell(MEMBER_REMOVED, &closed, ending->reason, closed.left_at);
	return true;
}

/* That of one who leaves. closed: what held it. */
static bool
end_left(MemberKey member, const Liveness *closed, Moment moment)
{
	return end(&(Ending){.member = member,
						 .row = closed->presence.row,
						 .left_at = moment.at,
						 .last_active_at = moment.at,
						 .reason = "left"});
}

/* That of one whose leases have all ended, unnoticed. */
static void
end_ended(MemberKey member, const Liveness *closed, const char *reason, Moment moment)
{
	(void) end(&(Ending){.member = member,
						 .row = closed->presence.row,
						 .left_at = member_lease_end(closed, moment),
						 .last_active_at = closed->last_active,
						 .reason = reason});
}

Presence
member_new_presence(const JoinRequest *join)
{
	return (Presence){.member = join->member,
					  .joined_at = presence_now(),
					  .last_active_at = presence_now(),
					  .open = true,
					  .is_author = join->is_author && *join->is_author,
					  .user_info = join->user_info};
}

/*
 * Of those that give a capacity, one at a time joins a room, so that what it counts is still
 * so when it joins. Held until the end of the transaction. False: the room is full, but he seems to
 * be a member; if that turns out to have ended, it is to be asked again.
 */
static bool
check_capacity(MemberKey member, int32 capacity)
{
	text *book_id = member.book_id;
	uint64 hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(book_id),
									  VARSIZE_ANY_EXHDR(book_id), 0);
	Presence presence;
	LOCKTAG tag;
	int32 count;

	if (capacity == 0)
		return true;
	/* the last number tells it from advisory locks of SQL, which have 1 or 2 there */
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, 3);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	count = member_count(book_id, capacity, true);
	if (count < capacity)
		return true;
	if (!presence_find(member, &presence))
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("room \"%s\" is full", text_to_cstring(book_id)),
						errdetail("It has %d members; the capacity is %d.", count, capacity)));
	return false;
}

/*
 * Whether a locked member has an open presence that goes on. One whose last lease ended, and which
 * nobody closed yet, is closed here; so is what held one that somebody ended by hand.
 */
static bool
find_lasting(MemberKey member, Moment moment, Presence *presence)
{
	Liveness liveness = connections_of(member, moment);
	bool found = presence_find(member, presence);
	bool holds = found && liveness.total > 0 && liveness.presence.id == presence->id;

	if (holds && liveness.alive)
		return true;
	if (holds)
	{
		connections_close(member, NULL, moment);
		end_ended(member, &liveness, member_reason(&liveness), moment);
		return false;
	}
	if (liveness.total > 0)
		connections_close(member, NULL, moment);
	return found;
}

/*
 * The presence the user has, or the one this call inserts (true). The lock may have taken long:
 * what ended meanwhile has ended for all others.
 */
static bool
find_or_insert(const JoinRequest *join, text *reserve, Presence *presence)
{
	bool checked = false;
	int attempts = 0;

	for (;;)
	{
		LockResult lock = connections_lock(join->member, reserve, true);

		reserve = NULL;
		if ((lock == LOCK_HELD || attempts > 0) &&
			find_lasting(join->member, moment_now(), presence))
			return false;
		if (!checked)
			checked = check_capacity(join->member, join->capacity);
		*presence = member_new_presence(join);
		if (presence_insert(presence))
		{
			member_tell(MEMBER_ADDED, presence, NULL, presence->joined_at);
			return true;
		}
		if (++attempts == MAX_ATTEMPTS)
			store_broken("A row is missing.");
		if (!presence_find(join->member, presence))
			presences_advance_ids();
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
has_user_info(const Presence *presence, Jsonb *user_info)
{
	return presence->user_info &&
		   compareJsonbContainers(&presence->user_info->root, &user_info->root) == 0;
}

/* What a further join says of the member, if it differs. */
static void
update_member(const JoinRequest *join, Presence *presence)
{
	bool info_changes = join->user_info && !has_user_info(presence, join->user_info);
	bool author_changes = join->is_author && *join->is_author != presence->is_author;

	if (join->keep_info || (!info_changes && !author_changes))
		return;
	if (info_changes)
		presence->user_info = join->user_info;
	if (author_changes)
		presence->is_author = *join->is_author;
	presence_update(presence);
	member_tell(MEMBER_UPDATED, presence, NULL, presence_now());
}

Joined
member_join(const JoinRequest *join)
{
	Joined joined = {0};

	joined.added = find_or_insert(join, join->connection_id, &joined.presence);
	if (!joined.added)
	{
		update_member(join, &joined.presence);
		connections_close_stand_ins(join->member);
		joined.presence.last_active_at = Max(joined.presence.last_active_at, presence_now());
	}
	joined.connection = connections_open(join->member, join->connection_id,
										 presence_held(&joined.presence), join->ttl, NO_STAND_IN);
	return joined;
}

/* Pusher says when it ends; a day bounds a message that never comes. */
bool
member_join_unheard(MemberKey member, Jsonb *user_info)
{
	text *nobody = cstring_to_text("");
	JoinRequest join = {.member = member, .user_info = user_info, .ttl = MAX_TTL};
	Presence presence;

	if (!find_or_insert(&join, nobody, &presence))
		return false;
	connections_open(member, nobody, presence_held(&presence), join.ttl, STAND_IN_TIMEOUT);
	return true;
}

/* If his leases had all ended before, unnoticed, it is no member's leave. */
static bool
leave_with_all(MemberKey member, Moment moment)
{
	Liveness closed = connections_close(member, NULL, moment);

	if (closed.total > 0 && !closed.alive)
	{
		end_ended(member, &closed, "timeout", moment);
		return false;
	}
	return end_left(member, &closed, moment);
}

/* One connection goes, and the member with the last one that is alive. */
static bool
leave_with_one(MemberKey member, text *connection_id, Moment moment)
{
	Liveness closed = connections_close(member, connection_id, moment);
	Liveness left;

	if (closed.total == 0)
		return false; /* not one of its connections */
	left = connections_of(member, moment);
	if (left.live > 0)
		return false;
	if (left.total > 0)
	{
		left = connections_close(member, NULL, moment);
		closed.lease_end = Max(closed.lease_end, left.lease_end);
		closed.last_active = Max(closed.last_active, left.last_active);
		closed.alive |= left.alive;
	}
	if (!closed.alive)
	{
		end_ended(member, &closed, "timeout", moment);
		return false;
	}
	return end_left(member, &closed, moment);
}

bool
member_leave(MemberKey member, text *connection_id)
{
	Presence presence;

	/* one who is not there is not locked: nothing would say so when he is not any more */
	if (connections_of(member, moment_now()).total == 0 && !presence_find(member, &presence))
		return false;
	if (connections_lock(member, NULL, true) == LOCK_VACANT && !presence_find(member, &presence))
		return false;
	return connection_id ? leave_with_one(member, connection_id, moment_now())
						 : leave_with_all(member, moment_now());
}
