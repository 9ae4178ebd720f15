/*
 * members.c
 *	  Many members at once: joins, closed sockets, ended leases, emptied rooms, forgotten users.
 *
 * The same as for one (member.c): lock the members, in the order of book_id and user_id so that
 * two calls can't wait for each other, change what holds them, and write the rows of a call
 * together. A join that is not plain (who is there already, or comes twice) is
 * done by itself.
 *
 * Called by rooms.c, upkeep.c, webhook.c and the worker, with the store open.
 */
#include "postgres.h"

#include "members.h"

#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "member.h"
#include "member_state.h"
#include "presences_write.h"
#include "settings.h"
#include "shards.h"
#include "store.h"

static int
compare_text(text *a, text *b)
{
	return varstr_cmp(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b),
					  C_COLLATION_OID);
}

static int
compare_members(const MemberKey *a, const MemberKey *b)
{
	int by_book = compare_text(a->book_id, b->book_id);

	return by_book ? by_book : compare_text(a->user_id, b->user_id);
}

/* All presences that were closed tell so. */
static int
tell_removed(const Presences *closed)
{
	for (int i = 0; i < closed->n; i++)
		member_tell(MEMBER_REMOVED, &closed->list[i], closed->list[i].leave_reason,
					closed->list[i].left_at);
	return closed->n;
}

/* Joins, by room, user, and as given. */
static int
compare_joins(const void *a, const void *b, void *arg)
{
	const JoinRequest *joins = arg;
	int i = *(const int *) a;
	int j = *(const int *) b;
	int by_member = compare_members(&joins[i].member, &joins[j].member);

	return by_member ? by_member : i - j;
}

static int *
sort_joins(const JoinRequest *joins, int n)
{
	int *order = palloc(sizeof(int) * Max(n, 1));

	for (int i = 0; i < n; i++)
		order[i] = i;
	qsort_arg(order, n, sizeof(int), compare_joins, unconstify(JoinRequest *, joins));
	return order;
}

/* The first joins of members who are not there yet. */
typedef struct NewMembers
{
	int n;
	int *joins;
	Presence *presences;
	bool *inserted;
} NewMembers;

/* Locks all members; who is busy, and is to be skipped, is marked in all his joins. */
static NewMembers
lock_members(const JoinRequest *joins, const int *order, int n, bool skip_locked, Joined *joined)
{
	NewMembers new = {.joins = palloc(sizeof(int) * Max(n, 1)),
					  .presences = palloc(sizeof(Presence) * Max(n, 1)),
					  .inserted = palloc(sizeof(bool) * Max(n, 1))};

	for (int i = 0; i < n; i++)
	{
		const JoinRequest *join = &joins[order[i]];
		LockResult lock;

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && compare_members(&joins[order[i - 1]].member, &join->member) == 0)
		{
			joined[order[i]].busy = joined[order[i - 1]].busy;
			continue;
		}
		lock = connections_lock(join->member, join->connection_id, !skip_locked);
		joined[order[i]].busy = lock == LOCK_BUSY;
		if (lock != LOCK_VACANT)
			continue;
		new.joins[new.n] = order[i];
		new.presences[new.n++] = member_new_presence(join);
	}
	return new;
}

static void
open_new(const JoinRequest *join, const Presence *presence, Joined *joined)
{
	member_tell(MEMBER_ADDED, presence, NULL, presence->joined_at);
	*joined =
		(Joined){.presence = *presence,
				 .connection = connections_open(join->member, join->connection_id,
												presence_held(presence), join->ttl, NO_STAND_IN),
				 .added = true};
}

void
members_join(const JoinRequest *joins, int n, bool skip_locked, Joined *joined)
{
	int *order = sort_joins(joins, n);
	NewMembers new;

	memset(joined, 0, sizeof(Joined) * n);
	new = lock_members(joins, order, n, skip_locked, joined);
	presences_insert(new.presences, new.n, new.inserted);
	for (int i = 0; i < new.n; i++)
		if (new.inserted[i])
			open_new(&joins[new.joins[i]], &new.presences[i], &joined[new.joins[i]]);
	for (int i = 0; i < n; i++)
		if (!joined[order[i]].added && !joined[order[i]].busy)
			joined[order[i]] = member_join(&joins[order[i]]);
}

static int
compare_connections(const void *a, const void *b)
{
	return compare_members(&((const Connection *) a)->member, &((const Connection *) b)->member);
}

/* What is left of a member's connections after some were closed; true if that is nobody. */
static bool
has_ended(const Liveness *closed, MemberKey member, Moment moment, Ending *ending)
{
	Liveness left = connections_of(member, moment);

	if (closed->total == 0 || left.alive)
		return false;
	if (left.total > 0)
		connections_close(member, NULL, moment);
	*ending = (Ending){.member = member,
					   .row = closed->presence.row,
					   .left_at = moment.at,
					   .last_active_at = moment.at,
					   .reason = "left"};
	if (!closed->alive)
	{
		ending->left_at = member_lease_end(closed, moment);
		ending->last_active_at = closed->last_active;
		ending->reason = member_reason(closed);
	}
	return true;
}

/* Closes the connections of one member, from..to-1, and says whether he goes with them. */
static bool
drop_some(const Connection *connections, int from, int to, int64 linger, Ending *ending)
{
	MemberKey member = connections[from].member;
	Moment moment = moment_now();
	Liveness before;
	bool dropped = false;

	(void) connections_lock(member, NULL, true);
	before = connections_of(member, moment);
	for (int i = from; i < to; i++)
		dropped |= connections_drop(&connections[i], linger);
	if (!dropped)
		return false;
	return has_ended(&before, member, moment, ending);
}

int
members_drop(ArrayType *handles)
{
	int64 linger = (int64) presence_linger * 1000;
	int n;
	Connection *connections = connections_by_handles(handles, &n);
	Ending *endings = palloc(sizeof(Ending) * Max(n, 1));
	int nendings = 0;
	Presences closed;

	qsort(connections, n, sizeof(Connection), compare_connections);
	for (int from = 0, to; from < n; from = to)
	{
		for (to = from + 1;
			 to < n && compare_connections(&connections[from], &connections[to]) == 0; to++)
			;
		if (drop_some(connections, from, to, linger, &endings[nendings]))
			nendings++;
	}
	if (nendings == 0)
		return 0;
	closed = presences_close(endings, nendings, false);
	return tell_removed(&closed);
}

static int
compare_presences(const void *a, const void *b)
{
	return compare_members(&((const Presence *) a)->member, &((const Presence *) b)->member);
}

/* In their order. */
static void
lock_all(const Presences *presences)
{
	qsort(presences->list, presences->n, sizeof(Presence), compare_presences);
	for (int i = 0; i < presences->n; i++)
		(void) connections_lock(presences->list[i].member, NULL, true);
}

int
members_empty_room(text *book_id)
{
	Moment moment = moment_now();
	Presences presences = presences_of_room(book_id, true);
	Ending *endings = palloc(sizeof(Ending) * Max(presences.n, 1));
	Presences closed;

	lock_all(&presences);
	for (int i = 0; i < presences.n; i++)
	{
		MemberKey member = presences.list[i].member;

		(void) connections_close(member, NULL, moment);
		endings[i] = (Ending){
			.member = member, .left_at = moment.at, .last_active_at = moment.at, .reason = "left"};
	}
	closed = presences_close(endings, presences.n, false);
	return tell_removed(&closed);
}

static int
compare_keys(const void *a, const void *b)
{
	return compare_members(a, b);
}

/* Whose row somebody holds locked stays, and is looked at again. */
static void
keep_unclosed(const Ending *endings, int n)
{
	for (int i = 0; i < n; i++)
	{
		Presence presence;

		if (presence_find(endings[i].member, &presence))
			connections_adopt(endings[i].member, presence_held(&presence), USECS_PER_SEC);
	}
}

int
members_expire(MemberKey *members, int n, Moment moment)
{
	Ending *endings = palloc(sizeof(Ending) * Max(n, 1));
	int nendings = 0;
	Presences closed;

	qsort(members, n, sizeof(MemberKey), compare_keys);
	for (int i = 0; i < n; i++)
	{
		Liveness ended;

		if (i > 0 && compare_members(&members[i - 1], &members[i]) == 0)
			continue;
		if (connections_lock(members[i], NULL, false) == LOCK_BUSY)
			continue;
		ended = connections_close_ended(members[i], moment);
		if (has_ended(&ended, members[i], moment, &endings[nendings]))
			nendings++;
	}
	if (nendings == 0)
		return 0;
	closed = presences_close(endings, nendings, true);
	(void) tell_removed(&closed);
	if (closed.n < nendings)
		keep_unclosed(endings, nendings);
	return closed.n;
}

/* Those whose rooms are on another node. */
static void
end_moved(const Presences *presences, bool *busy)
{
	Moment moment = moment_now();
	Ending *endings = palloc(sizeof(Ending) * Max(presences->n, 1));
	int n = 0;
	Presences closed;

	for (int i = 0; i < presences->n; i++)
	{
		MemberKey member = presences->list[i].member;

		if (shards_is_here(member.book_id))
			continue;
		if (connections_lock(member, NULL, false) == LOCK_BUSY)
		{
			*busy = true;
			continue;
		}
		(void) connections_close(member, NULL, moment);
		endings[n++] = (Ending){.member = member,
								.left_at = moment.at,
								.last_active_at = moment.at,
								.reason = "timeout"};
	}
	if (n == 0)
		return;
	closed = presences_close(endings, n, true);
	(void) tell_removed(&closed);
}

bool
members_adopt(MemberKey *after, int limit, int64 lease, bool *busy)
{
	Presences presences = presences_after(*after, limit);

	if (shards_there())
		end_moved(&presences, busy);
	for (int i = 0; i < presences.n; i++)
	{
		MemberKey member = presences.list[i].member;
		Presence presence;

		if (!shards_is_here(member.book_id))
			continue;
		if (connections_of(member, moment_now()).total > 0)
			continue;
		if (connections_lock(member, NULL, false) == LOCK_BUSY)
			*busy = true;
		else if (connections_of(member, moment_now()).total == 0 &&
				 presence_find(member, &presence))
			connections_adopt(member, presence_held(&presence), lease);
	}
	if (presences.n > 0)
		*after = presences.list[presences.n - 1].member;
	return presences.n < limit;
}

/* Of presences that were deleted. */
static void
tell_forgotten(const Presences *forgotten)
{
	for (int i = 0; i < forgotten->n; i++)
	{
		MemberKey member = forgotten->list[i].member;

		(void) connections_lock(member, NULL, true);
		(void) connections_close(member, NULL, moment_now());
		member_tell(MEMBER_REMOVED, &forgotten->list[i], "removed", presence_now());
	}
}

typedef Presences (*ForgetFunction)(text *id, int64 *forgotten);

/* open: those to be locked before; who came since is locked when he is told of. */
static int64
forget(Presences open, ForgetFunction function, text *id)
{
	int64 forgotten;

	lock_all(&open);
	open = function(id, &forgotten);
	tell_forgotten(&open);
	return forgotten;
}

int64
members_forget_user(text *user_id)
{
	return forget(presences_of_user(user_id, true), presences_forget_user, user_id);
}

int64
members_forget_book(text *book_id)
{
	return forget(presences_of_room(book_id, true), presences_forget_book, book_id);
}
