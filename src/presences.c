/*
 * presences.c
 *	  The table presence.room_presence: what reads it, and what deletes from it.
 *
 * presences_write.c inserts and closes.
 */
#include "postgres.h"

#include "presences.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/catcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "settings.h"
#include "store.h"

static Snapshot
snapshot_of(bool latest)
{
	return RegisterSnapshot(latest ? GetLatestSnapshot() : GetActiveSnapshot());
}

static bool
look_up(MemberKey member, Snapshot snapshot, Presence *presence)
{
	Relation table = table_open(store_lock_relation("room_presence", AccessShareLock), NoLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	bool found = presence_row_find(table, AccessShareLock, member, snapshot, slot);

	if (found)
		presence_from_slot(slot, member, presence);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
	return found;
}

bool
presence_find(MemberKey member, Presence *presence)
{
	Snapshot snapshot = snapshot_of(true);
	bool found = look_up(member, snapshot, presence);

	UnregisterSnapshot(snapshot);
	return found;
}

bool
presence_is_being_inserted(MemberKey member)
{
	SnapshotData dirty;
	Presence presence;

	InitDirtySnapshot(dirty);
	return look_up(member, &dirty, &presence) && TransactionIdIsValid(dirty.xmin);
}

bool
presence_find_for_caller(MemberKey member, Presence *presence)
{
	static Statement find = {.sql = "SELECT" PRESENCE_COLUMNS " FROM presence.room_presence AS p"
									" WHERE p.user_id OPERATOR(pg_catalog.=) $1"
									" AND p.book_id OPERATOR(pg_catalog.=) $2"
									" AND p.left_at IS NULL",
							 .args = "tt",
							 .columns = PRESENCE_TYPES,
							 .callers_snapshot = true};
	Datum values[] = {PointerGetDatum(member.user_id), PointerGetDatum(member.book_id)};

	if (store_execute(&find, values, NULL) == 0)
		return false;
	presence_from_result(0, presence);
	return true;
}

/* In a room by joined_at and id, of a user by joined_at and book_id. */
static int
compare_joined(const void *a, const void *b)
{
	const Presence *x = a;
	const Presence *y = b;
	text *book = x->member.book_id;
	text *other = y->member.book_id;
	int by_book;

	if (x->joined_at != y->joined_at)
		return x->joined_at < y->joined_at ? -1 : 1;
	by_book = varstr_cmp(VARDATA_ANY(book), VARSIZE_ANY_EXHDR(book), VARDATA_ANY(other),
						 VARSIZE_ANY_EXHDR(other), C_COLLATION_OID);
	return by_book ? by_book : (x->id > y->id) - (x->id < y->id);
}

/*
 * Not by a statement: the index of users and that of rooms are as small while few are there, and a
 * plan, or statistics, of then would read all of the wrong one.
 */
static Presences
presences_of(MemberKey key, bool latest)
{
	Relation table = table_open(store_lock_relation("room_presence", AccessShareLock), NoLock);
	Snapshot snapshot = snapshot_of(latest);
	Presences presences = presence_rows_of(table, AccessShareLock, key, snapshot);

	UnregisterSnapshot(snapshot);
	table_close(table, NoLock);
	qsort(presences.list, presences.n, sizeof(Presence), compare_joined);
	return presences;
}

Presences
presences_of_user(text *user_id, bool latest)
{
	return presences_of((MemberKey){.user_id = user_id}, latest);
}

Presences
presences_of_room(text *book_id, bool latest)
{
	return presences_of((MemberKey){.book_id = book_id}, latest);
}

Presences
presences_of_members(text *book_id, text **user_ids, int n)
{
	Relation table = table_open(store_lock_relation("room_presence", AccessShareLock), NoLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	Snapshot snapshot = snapshot_of(true);
	Presences presences = {.n = n, .list = palloc0(sizeof(Presence) * Max(n, 1))};

	for (int i = 0; i < n; i++)
	{
		Presence *presence = &presences.list[i];

		presence->member = (MemberKey){user_ids[i], book_id};
		if (presence_row_find(table, AccessShareLock, presence->member, snapshot, slot))
			presence_from_slot(slot, presence->member, presence);
		ExecClearTuple(slot);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
	return presences;
}

int32
presences_count(text *book_id, int32 limit, bool latest)
{
	Relation table = table_open(store_lock_relation("room_presence", AccessShareLock), NoLock);
	Snapshot snapshot = snapshot_of(latest);
	int32 n = presence_rows_count(table, AccessShareLock, book_id, limit > 0 ? limit : PG_INT32_MAX,
								  snapshot);

	UnregisterSnapshot(snapshot);
	table_close(table, NoLock);
	return n;
}

int64
presences_count_all(void)
{
	static Statement count = {.sql = "SELECT pg_catalog.count(*) FROM presence.room_presence AS p"
									 " WHERE p.left_at IS NULL",
							  .args = "",
							  .columns = "i",
							  .callers_snapshot = true};

	store_execute(&count, NULL, NULL);
	return DatumGetInt64(store_value());
}

Presences
presences_after(MemberKey member, int limit)
{
	static Statement first = {.sql = "SELECT" PRESENCE_COLUMNS
									 " FROM presence.room_presence AS p WHERE p.left_at IS NULL"
									 " ORDER BY p.book_id, p.user_id LIMIT $1",
							  .args = "i",
							  .columns = PRESENCE_TYPES};
	static Statement next = {
		.sql = "SELECT" PRESENCE_COLUMNS " FROM presence.room_presence AS p"
			   " WHERE ROW(p.book_id, p.user_id) OPERATOR(pg_catalog.>) ROW($2, $3)"
			   " AND p.left_at IS NULL ORDER BY p.book_id, p.user_id LIMIT $1",
		.args = "itt",
		.columns = PRESENCE_TYPES};
	Datum values[] = {Int64GetDatum(limit), PointerGetDatum(member.book_id),
					  PointerGetDatum(member.user_id)};

	return presences_from_result(store_execute(member.book_id ? &next : &first, values, NULL));
}

bool
presences_come_by_replication(void)
{
	CatCList *subscriptions =
		SearchSysCacheList1(SUBSCRIPTIONRELMAP, ObjectIdGetDatum(store_room_presence()));
	bool come = subscriptions->n_members > 0;

	ReleaseSysCacheList(subscriptions);
	return come;
}

/* The past first: what is open is closed for those who wait for it, and then nobody joins anew. */
static Presences
forget(Statement *past, Statement *open, text *id, int64 *forgotten)
{
	Datum values[] = {PointerGetDatum(id)};
	Presences presences;

	*forgotten = (int64) store_execute(past, values, NULL);
	presences = presences_from_result(store_execute(open, values, NULL));
	*forgotten += presences.n;
	return presences;
}

Presences
presences_forget_user(text *user_id, int64 *forgotten)
{
	static Statement past = {.sql = "DELETE FROM presence.room_presence AS p"
									" WHERE p.user_id OPERATOR(pg_catalog.=) $1"
									" AND p.left_at IS NOT NULL",
							 .args = "t",
							 .columns = ""};
	static Statement open = {.sql = "DELETE FROM presence.room_presence AS p"
									" WHERE p.user_id OPERATOR(pg_catalog.=) $1"
									" AND p.left_at IS NULL RETURNING" PRESENCE_COLUMNS,
							 .args = "t",
							 .columns = PRESENCE_TYPES};

	return forget(&past, &open, user_id, forgotten);
}

Presences
presences_forget_book(text *book_id, int64 *forgotten)
{
	static Statement past = {.sql = "DELETE FROM presence.room_presence AS p"
									" WHERE p.book_id OPERATOR(pg_catalog.=) $1"
									" AND p.left_at IS NOT NULL",
							 .args = "t",
							 .columns = ""};
	static Statement open = {.sql = "DELETE FROM presence.room_presence AS p"
									" WHERE p.book_id OPERATOR(pg_catalog.=) $1"
									" AND p.left_at IS NULL RETURNING" PRESENCE_COLUMNS,
							 .args = "t",
							 .columns = PRESENCE_TYPES};

	return forget(&past, &open, book_id, forgotten);
}

int64
presences_purge(TimestampTz before)
{
	static Statement purge = {.sql = "DELETE FROM presence.room_presence AS p"
									 " WHERE p.left_at OPERATOR(pg_catalog.<) $1",
							  .args = "z",
							  .columns = ""};
	Datum values[] = {TimestampTzGetDatum(before)};

	return (int64) store_execute(&purge, values, NULL);
}

void
presences_delete(const Presence *presences, int n)
{
	static Statement delete = {
		.sql = "DELETE FROM presence.room_presence AS p"
			   " USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(book_id, id)"
			   " WHERE p.book_id OPERATOR(pg_catalog.=) d.book_id"
			   " AND p.id OPERATOR(pg_catalog.=) d.id AND p.left_at IS NOT NULL",
		.args = "Ta",
		.columns = ""};
	Datum *book_ids = palloc(sizeof(Datum) * Max(n, 1));
	Datum *ids = palloc(sizeof(Datum) * Max(n, 1));
	Datum values[2];

	for (int i = 0; i < n; i++)
	{
		book_ids[i] = PointerGetDatum(presences[i].member.book_id);
		ids[i] = Int64GetDatum(presences[i].id);
	}
	values[0] = store_text_array(book_ids, n);
	values[1] = store_bigint_array(ids, n);
	store_execute(&delete, values, NULL);
}
