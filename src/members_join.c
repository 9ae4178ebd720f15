/*
 * members_join.c
 *	  Many joins at once: what member.c does for one, in five statements for all.
 *
 * Sorted by room and user, the requests are groups, each one user in one
 * room. A group whose presence can be inserted, or is there and alive, has its
 * connections opened with all others'. What is left (a presence that is
 * over, another user_info, one connection twice) is done one by one after that.
 *
 * Presences are inserted, or locked where they are, in the order of the groups,
 * so that two calls can't wait for each other.
 *
 * Called by rooms.c, with the store open.
 */
#include "postgres.h"

#include "members.h"

#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "events.h"
#include "liveness.h"
#include "presence.h"
#include "store.h"

#define MAX_GROUP 16 /* connections of a group that are looked through for one twice */

/* One user in one room. */
typedef struct JoinGroup
{
	int first; /* in the order of the batch */
	int n;
	Member member;
	bool inserted;
	bool found; /* inserted, or there and alive */
} JoinGroup;

typedef struct JoinBatch
{
	const JoinRequest *joins;
	int n;
	int *order; /* of joins, by room, user, and as given */
	JoinGroup *groups;
	int ngroups;
} JoinBatch;

static int
compare_text(text *a, text *b)
{
	return varstr_cmp(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b),
					  C_COLLATION_OID);
}

static int
compare_presences(const JoinRequest *a, const JoinRequest *b)
{
	int by_book = compare_text(a->book_id, b->book_id);

	return by_book ? by_book : compare_text(a->user_id, b->user_id);
}

static int
compare_joins(const void *a, const void *b, void *arg)
{
	const JoinRequest *joins = arg;
	int i = *(const int *) a;
	int j = *(const int *) b;
	int by_presence = compare_presences(&joins[i], &joins[j]);

	return by_presence ? by_presence : i - j;
}

static const JoinRequest *
request(const JoinBatch *batch, int i)
{
	return &batch->joins[batch->order[i]];
}

static void
make_groups(JoinBatch *batch)
{
	batch->order = palloc(sizeof(int) * batch->n);
	batch->groups = palloc0(sizeof(JoinGroup) * batch->n);
	for (int i = 0; i < batch->n; i++)
		batch->order[i] = i;
	qsort_arg(batch->order, batch->n, sizeof(int), compare_joins,
			  unconstify(JoinRequest *, batch->joins));
	for (int i = 0; i < batch->n; i++)
	{
		if (i == 0 || compare_presences(request(batch, i - 1), request(batch, i)) != 0)
			batch->groups[batch->ngroups++].first = i;
		batch->groups[batch->ngroups - 1].n++;
	}
}

/* The users and rooms of some groups, as arrays. */
typedef struct Pairs
{
	int n;
	JoinGroup **groups;
	Datum user_ids;
	Datum book_ids;
} Pairs;

typedef bool (*GroupFilter)(const JoinGroup *group);

static bool
any_group(const JoinGroup *group pg_attribute_unused())
{
	return true;
}

static bool
not_inserted(const JoinGroup *group)
{
	return !group->inserted;
}

static bool
found_before(const JoinGroup *group)
{
	return group->found && !group->inserted;
}

static Pairs
pairs_of(const JoinBatch *batch, GroupFilter filter)
{
	Pairs pairs = {.groups = palloc(sizeof(JoinGroup *) * batch->ngroups)};
	Datum *user_ids = palloc(sizeof(Datum) * batch->ngroups);
	Datum *book_ids = palloc(sizeof(Datum) * batch->ngroups);

	for (int i = 0; i < batch->ngroups; i++)
	{
		const JoinRequest *first = request(batch, batch->groups[i].first);

		if (!filter(&batch->groups[i]))
			continue;
		user_ids[pairs.n] = PointerGetDatum(first->user_id);
		book_ids[pairs.n] = PointerGetDatum(first->book_id);
		pairs.groups[pairs.n++] = &batch->groups[i];
	}
	pairs.user_ids = store_text_array(user_ids, pairs.n);
	pairs.book_ids = store_text_array(book_ids, pairs.n);
	return pairs;
}

/*
 * The result is in the order of the groups, with some of them missing: the group
 * of its next row, if that is this one.
 */
static bool
row_is_of(SPITupleTable *rows, uint64 nrows, uint64 row, const JoinRequest *first)
{
	return row < nrows &&
		   compare_text(DatumGetTextPP(store_datum(rows, row, 1)), first->book_id) == 0 &&
		   compare_text(DatumGetTextPP(store_datum(rows, row, 0)), first->user_id) == 0;
}

/* Locks those it does not insert. */
static void
insert_members(JoinBatch *batch, TimestampTz now)
{
	Pairs pairs = pairs_of(batch, any_group);
	Datum *user_infos = palloc(sizeof(Datum) * pairs.n);
	Datum values[] = {pairs.user_ids, pairs.book_ids, TimestampTzGetDatum(now), 0};
	SPITupleTable *rows;
	uint64 nrows;
	uint64 row = 0;

	for (int i = 0; i < pairs.n; i++)
		user_infos[i] = PointerGetDatum(request(batch, pairs.groups[i]->first)->user_info);
	values[3] = store_jsonb_array(user_infos, pairs.n);
	nrows = store_execute(INSERT_MANY, values, NULL);
	rows = SPI_tuptable;

	for (int i = 0; i < pairs.n; i++)
	{
		JoinGroup *group = pairs.groups[i];
		const JoinRequest *first = request(batch, group->first);

		if (!row_is_of(rows, nrows, row, first))
			continue;
		group->member = (Member){.id = DatumGetInt64(store_datum(rows, row, 2)),
								 .user_id = first->user_id,
								 .book_id = first->book_id,
								 .joined_at = now,
								 .last_active_at = now,
								 .user_info = first->user_info};
		group->inserted = group->found = true;
		member_tell(MEMBER_ADDED, &group->member, NULL, now);
		row++;
	}
}

/* What the presences that were locked are; of one that is over, the group is not found. */
static void
find_members(JoinBatch *batch, TimestampTz now)
{
	Pairs pairs = pairs_of(batch, not_inserted);
	Datum who[] = {pairs.user_ids, pairs.book_ids};
	Datum look[] = {pairs.user_ids, pairs.book_ids, liveness_leases_from()};
	SPITupleTable *members;
	uint64 nmembers;
	uint64 nconnections;
	uint64 row = 0;
	uint64 connection = 0;
	bool stand_ins = false;

	if (pairs.n == 0)
		return;
	nmembers = store_execute(MEMBERS_MANY, who, NULL);
	members = SPI_tuptable;
	nconnections = store_execute(LIVENESS_MANY, look, NULL);

	for (int i = 0; i < pairs.n; i++)
	{
		JoinGroup *group = pairs.groups[i];
		const JoinRequest *first = request(batch, group->first);
		uint64 end = connection;
		Liveness liveness;

		while (end < nconnections && DatumGetInt64(store_datum(SPI_tuptable, end, 4)) == i + 1)
			end++;
		liveness = liveness_of_rows(SPI_tuptable, 0, connection, end, now);
		connection = end;
		if (!row_is_of(members, nmembers, row, first))
			continue;
		group->member =
			(Member){.id = DatumGetInt64(store_datum(members, row, 2)),
					 .user_id = first->user_id,
					 .book_id = first->book_id,
					 .joined_at = DatumGetTimestampTz(store_datum(members, row, 3)),
					 .last_active_at = Max(now, DatumGetTimestampTz(store_datum(members, row, 4))),
					 .is_author = DatumGetBool(store_datum(members, row, 5)),
					 .user_info = store_jsonb(members, row, 6)};
		group->found = liveness.rows == 0 || liveness.lease_end > now;
		stand_ins |= group->found && liveness.rows > liveness.connections;
		row++;
	}
	if (stand_ins)
	{
		Pairs found = pairs_of(batch, found_before);
		Datum drop[] = {found.user_ids, found.book_ids};

		liveness_closed(store_execute(DROP_STAND_INS_MANY, drop, NULL), 0);
	}
}

/* Whether a request of a group can be done with all others. */
static bool
is_plain(const JoinBatch *batch, const JoinGroup *group, int i)
{
	const JoinRequest *join = request(batch, i);

	if (!group->found || group->n > MAX_GROUP)
		return false;
	if (join->user_info && !member_has_user_info(&group->member, join->user_info))
		return false;
	for (int j = group->first; j < i; j++)
		if (compare_text(request(batch, j)->connection_id, join->connection_id) == 0)
			return false;
	return true;
}

/* Opens the connections of plain requests, and sets their results. */
static void
connect_plain(JoinBatch *batch, TimestampTz now, Joined *joined, bool *done)
{
	int64 ttl = batch->joins[0].ttl;
	Datum *columns[4];
	Datum values[7];
	int *plain = palloc(sizeof(int) * batch->n);
	int nplain = 0;

	for (int c = 0; c < 4; c++)
		columns[c] = palloc(sizeof(Datum) * batch->n);
	for (int g = 0; g < batch->ngroups; g++)
	{
		JoinGroup *group = &batch->groups[g];

		for (int i = group->first; i < group->first + group->n; i++)
		{
			const JoinRequest *join = request(batch, i);

			if (!is_plain(batch, group, i))
				continue;
			columns[0][nplain] = PointerGetDatum(join->user_id);
			columns[1][nplain] = PointerGetDatum(join->book_id);
			columns[2][nplain] = PointerGetDatum(join->connection_id);
			columns[3][nplain] = Int64GetDatum(group->member.id);
			joined[batch->order[i]] =
				(Joined){.member = group->member, .added = group->inserted && i == group->first};
			plain[nplain++] = batch->order[i];
		}
	}
	if (nplain == 0)
		return;

	for (int c = 0; c < 3; c++)
		values[c] = store_text_array(columns[c], nplain);
	values[3] = store_bigint_array(columns[3], nplain);
	values[4] = liveness_interval(ttl);
	values[5] = TimestampTzGetDatum(now);
	values[6] = TimestampTzGetDatum(now + ttl);
	store_execute(CONNECT_MANY, values, NULL);
	for (int i = 0; i < nplain; i++)
	{
		const JoinRequest *join = &batch->joins[plain[i]];
		Joined *result = &joined[plain[i]];

		result->connection = DatumGetInt64(store_datum(SPI_tuptable, i, 0));
		liveness_opened(result->connection, result->member.id, join->user_id, join->book_id,
						join->connection_id, ttl, now);
		done[plain[i]] = true;
	}
}

void
members_join(const JoinRequest *joins, int n, TimestampTz now, Joined *joined)
{
	JoinBatch batch = {.joins = joins, .n = n};
	bool *done = palloc0(sizeof(bool) * Max(n, 1));

	if (n == 0)
		return;
	make_groups(&batch);
	insert_members(&batch, now);
	find_members(&batch, now);
	connect_plain(&batch, now, joined, done);

	for (int g = 0; g < batch.ngroups; g++)
	{
		JoinGroup *group = &batch.groups[g];

		for (int i = group->first; i < group->first + group->n; i++)
		{
			int at = batch.order[i];

			if (done[at])
				continue;
			joined[at] = member_join(&joins[at], now);
			joined[at].added |= group->inserted && i == group->first;
		}
	}
}
