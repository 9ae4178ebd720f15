/*
 * connections_table.c
 *	  Connections in the unlogged table presence.connection, where presence is not preloaded.
 *
 * To lock a member is to lock the row of his open presence; who is not there is locked by
 * the unique index when his presence is inserted. Nobody counts versions or members, and no
 * worker ends leases: somebody calls presence.sweep().
 *
 * Handles come from a sequence, and begin with the server's start, like those in memory. A
 * value is not used before the WAL that says so is flushed: a crash must not give it again.
 */
#include "postgres.h"

#include "connections_methods.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/backend_status.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "settings.h"
#include "presences.h"
#include "store.h"

/* A lease counts at least from the server's start: a restart throws nobody out. */
static Datum
leases_from(void)
{
	return TimestampTzGetDatum(PgStartTime);
}

static int64
new_handle(void)
{
	XLogRecPtr before = XactLastRecEnd;
	int64 number = store_nextval("connection_handle");

	if (XactLastRecEnd != before)
		XLogFlush(XactLastRecEnd);
	return (PgStartTime / 16 + number) * 64;
}

/*
 * Who joins inserts first: that waits for a leave, and goes on where it has ended. A row lock on
 * what that leave closes would be refused (40001) under REPEATABLE READ.
 */
static LockResult
lock_member(MemberKey member, text *connection_id, bool wait)
{
	static Statement lock = {.sql = "SELECT p.id FROM presence.room_presence AS p"
									" WHERE p.user_id OPERATOR(pg_catalog.=) $1"
									" AND p.book_id OPERATOR(pg_catalog.=) $2"
									" AND p.left_at IS NULL FOR NO KEY UPDATE",
							 .args = "tt",
							 .columns = "i"};
	static Statement lock_free = {.sql = "SELECT p.id FROM presence.room_presence AS p"
										 " WHERE p.user_id OPERATOR(pg_catalog.=) $1"
										 " AND p.book_id OPERATOR(pg_catalog.=) $2"
										 " AND p.left_at IS NULL FOR NO KEY UPDATE SKIP LOCKED",
								  .args = "tt",
								  .columns = "i"};
	Datum values[] = {PointerGetDatum(member.user_id), PointerGetDatum(member.book_id)};
	Presence presence;

	if (connection_id != NULL && wait)
		return LOCK_VACANT;
	if (store_execute(wait ? &lock : &lock_free, values, NULL) > 0)
		return LOCK_HELD;
	if (!wait && (presence_find(member, &presence) || presence_is_being_inserted(member)))
		return LOCK_BUSY;
	return LOCK_VACANT;
}

/* A connection, as all statements here return one. */
#define CONNECTION_COLUMNS                                                                         \
	" c.id, c.presence_id, c.user_id, c.book_id, c.connection_id, c.ttl, c.last_active_at,"        \
	" GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl), c.stand_in"
#define CONNECTION_TYPES "iitttvzzt"

static StandIn
stand_in_of(Datum value, bool isnull)
{
	if (isnull)
		return NO_STAND_IN;
	return strcmp(TextDatumGetCString(value), "left") == 0 ? STAND_IN_LEFT : STAND_IN_TIMEOUT;
}

static Connection
read_connection(uint64 row)
{
	Datum values[9];
	bool nulls[9];

	store_row(SPI_tuptable, row, values, nulls);
	for (int i = 0; i < 8; i++)
		(void) store_datum(values, nulls, i);
	return (Connection){.handle = DatumGetInt64(values[0]),
						.presence = {.id = DatumGetInt64(values[1])},
						.member = {DatumGetTextPP(values[2]), DatumGetTextPP(values[3])},
						.connection_id = DatumGetTextPP(values[4]),
						.ttl = store_usec(values[5]),
						.last_active = DatumGetTimestampTz(values[6]),
						.lease_end = DatumGetTimestampTz(values[7]),
						.over = DatumGetTimestampTz(values[7]) <= presence_now(),
						.stand_in = stand_in_of(values[8], nulls[8])};
}

static void
add_to(Liveness *liveness, const Connection *connection, TimestampTz at)
{
	liveness_add(liveness, connection->presence, connection->stand_in, connection->last_active,
				 connection->lease_end, connection->lease_end <= at);
}

/* Sums up the connections of the last result. */
static Liveness
sum_up(uint64 nrows, Moment moment)
{
	Liveness liveness = {0};

	for (uint64 i = 0; i < nrows; i++)
	{
		Connection connection = read_connection(i);

		add_to(&liveness, &connection, moment.at);
	}
	return liveness;
}

static Liveness
liveness_of(MemberKey member, Moment moment)
{
	static Statement of_member = {.sql =
									  "SELECT" CONNECTION_COLUMNS " FROM presence.connection AS c"
									  " WHERE c.book_id OPERATOR(pg_catalog.=) $2"
									  " AND c.user_id OPERATOR(pg_catalog.=) $3",
								  .args = "ztt",
								  .columns = CONNECTION_TYPES};
	Datum values[] = {leases_from(), PointerGetDatum(member.book_id),
					  PointerGetDatum(member.user_id)};

	return sum_up(store_execute(&of_member, values, NULL), moment);
}

/* Handles of the connections that this transaction opened, in TopTransactionContext. */
static struct
{
	Datum *handles;
	int n;
	int max;
	TimestampTz since; /* the first of them */
} opened = {0};

static void
remember(int64 handle)
{
	if (opened.handles == NULL)
	{
		opened.max = 16;
		opened.since = presence_now();
		opened.handles = MemoryContextAlloc(TopTransactionContext, sizeof(Datum) * opened.max);
	}
	else if (opened.n == opened.max)
		opened.handles = repalloc_huge(opened.handles, sizeof(Datum) * (Size) (opened.max *= 2));
	opened.handles[opened.n++] = Int64GetDatum(handle);
}

/* A lease counts from the commit, which may be long after the join. */
static void
begin_leases(void)
{
	static Statement begin = {
		.sql = "UPDATE presence.connection AS c"
			   " SET last_active_at = $2, expires_at = $2 OPERATOR(pg_catalog.+) c.ttl"
			   " WHERE c.id OPERATOR(pg_catalog.=) ANY ($1)",
		.args = "az",
		.columns = ""};
	TimestampTz now = GetCurrentTimestamp();
	Datum values[] = {0, TimestampTzGetDatum(now)};
	Store store;

	if (opened.n == 0 || now - opened.since <= SLOW_COMMIT)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	store_open(&store, STORE_WRITE, "presence.join_room()");
	values[0] = store_bigint_array(opened.handles, opened.n);
	store_execute(&begin, values, NULL);
	store_close(&store);
	PopActiveSnapshot();
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		begin_leases();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		memset(&opened, 0, sizeof(opened));
}

void
connections_table_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
}

/* A handle stays with its connection, but not with a stand-in, nor with another presence. */
static int64
open_connection(MemberKey member, text *connection_id, HeldPresence presence, int64 ttl,
				StandIn stand_in)
{
	static Statement open = {
		.sql = "INSERT INTO presence.connection AS c (book_id, user_id, connection_id, id,"
			   " presence_id, ttl, last_active_at, expires_at, stand_in)"
			   " VALUES ($1, $2, $3, $4, $5, $6, $7, $7 OPERATOR(pg_catalog.+) $6, $8)"
			   " ON CONFLICT (book_id, user_id, connection_id) DO UPDATE SET"
			   " id = CASE WHEN c.stand_in IS NULL"
			   " AND c.presence_id OPERATOR(pg_catalog.=) excluded.presence_id"
			   " THEN c.id ELSE excluded.id END,"
			   " presence_id = excluded.presence_id, ttl = excluded.ttl,"
			   " last_active_at = excluded.last_active_at,"
			   " expires_at = excluded.expires_at, stand_in = excluded.stand_in"
			   " RETURNING c.id",
		.args = "tttiivzt",
		.columns = "i"};
	Datum values[] = {PointerGetDatum(member.book_id),
					  PointerGetDatum(member.user_id),
					  PointerGetDatum(connection_id),
					  Int64GetDatum(new_handle()),
					  Int64GetDatum(presence.id),
					  store_interval(ttl),
					  TimestampTzGetDatum(presence_now()),
					  stand_in == NO_STAND_IN     ? (Datum) 0
					  : stand_in == STAND_IN_LEFT ? CStringGetTextDatum("left")
												  : CStringGetTextDatum("timeout")};
	int64 handle;

	store_execute(&open, values, stand_in == NO_STAND_IN ? "       n" : NULL);
	handle = DatumGetInt64(store_value());
	remember(handle);
	return handle;
}

static Liveness
close_connection(MemberKey member, text *connection_id, Moment moment)
{
	static Statement close_one = {.sql = "DELETE FROM presence.connection AS c"
										 " WHERE c.book_id OPERATOR(pg_catalog.=) $2"
										 " AND c.user_id OPERATOR(pg_catalog.=) $3"
										 " AND c.connection_id OPERATOR(pg_catalog.=) $4"
										 " AND c.stand_in IS NULL RETURNING" CONNECTION_COLUMNS,
								  .args = "zttt",
								  .columns = CONNECTION_TYPES};
	static Statement close_all = {.sql = "DELETE FROM presence.connection AS c"
										 " WHERE c.book_id OPERATOR(pg_catalog.=) $2"
										 " AND c.user_id OPERATOR(pg_catalog.=) $3"
										 " RETURNING" CONNECTION_COLUMNS,
								  .args = "ztt",
								  .columns = CONNECTION_TYPES};
	Datum values[] = {leases_from(), PointerGetDatum(member.book_id),
					  PointerGetDatum(member.user_id), PointerGetDatum(connection_id)};

	return sum_up(store_execute(connection_id ? &close_one : &close_all, values, NULL), moment);
}

static void
close_stand_ins(MemberKey member)
{
	static Statement close_them = {.sql = "DELETE FROM presence.connection AS c"
										  " WHERE c.book_id OPERATOR(pg_catalog.=) $1"
										  " AND c.user_id OPERATOR(pg_catalog.=) $2"
										  " AND c.stand_in IS NOT NULL",
								   .args = "tt",
								   .columns = ""};
	Datum values[] = {PointerGetDatum(member.book_id), PointerGetDatum(member.user_id)};

	store_execute(&close_them, values, NULL);
}

static Liveness
close_ended(MemberKey member, Moment moment)
{
	static Statement close_them = {
		.sql = "DELETE FROM presence.connection AS c"
			   " WHERE c.book_id OPERATOR(pg_catalog.=) $2 AND c.user_id OPERATOR(pg_catalog.=) $3"
			   " AND GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
			   " OPERATOR(pg_catalog.<=) $4 RETURNING" CONNECTION_COLUMNS,
		.args = "zttz",
		.columns = CONNECTION_TYPES};
	Datum values[] = {leases_from(), PointerGetDatum(member.book_id),
					  PointerGetDatum(member.user_id), TimestampTzGetDatum(moment.at)};

	return sum_up(store_execute(&close_them, values, NULL), moment);
}

static bool
drop_connection(const Connection *connection, int64 linger)
{
	static Statement drop = {.sql = "DELETE FROM presence.connection AS c"
									" WHERE c.book_id OPERATOR(pg_catalog.=) $1"
									" AND c.user_id OPERATOR(pg_catalog.=) $2"
									" AND c.id OPERATOR(pg_catalog.=) $3 AND c.stand_in IS NULL"
									" RETURNING c.id",
							 .args = "tti",
							 .columns = "i"};
	Datum values[] = {PointerGetDatum(connection->member.book_id),
					  PointerGetDatum(connection->member.user_id),
					  Int64GetDatum(connection->handle)};

	if (store_execute(&drop, values, NULL) == 0)
		return false;
	if (linger > 0)
		(void) open_connection(connection->member, connection->connection_id, connection->presence,
							   linger, STAND_IN_LEFT);
	return true;
}

static bool
touch(MemberKey member, text *connection_id)
{
	static Statement beat = {
		.sql = "UPDATE presence.connection AS c"
			   " SET last_active_at = $2, expires_at = $2 OPERATOR(pg_catalog.+) c.ttl"
			   " WHERE c.book_id OPERATOR(pg_catalog.=) $3 AND c.user_id OPERATOR(pg_catalog.=) $4"
			   " AND c.connection_id OPERATOR(pg_catalog.=) $5 AND c.stand_in IS NULL"
			   " AND GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
			   " OPERATOR(pg_catalog.>) $2",
		.args = "zzttt",
		.columns = ""};
	Datum values[] = {leases_from(), TimestampTzGetDatum(presence_now()),
					  PointerGetDatum(member.book_id), PointerGetDatum(member.user_id),
					  PointerGetDatum(connection_id)};
	bool heard;
	Store store;

	store_open(&store, STORE_WRITE, "presence.touch_room()");
	heard = store_execute(&beat, values, NULL) > 0;
	store_close(&store);
	return heard;
}

/* What another transaction holds locked is touched by it, or going: nobody waits for it. */
static Datum
touch_many(ArrayType *handles)
{
	static Statement beats = {
		.sql = "WITH known AS MATERIALIZED (SELECT c.id FROM presence.connection AS c"
			   " WHERE c.id OPERATOR(pg_catalog.=) ANY ($3) AND c.stand_in IS NULL"
			   " AND GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
			   " OPERATOR(pg_catalog.>) $2),"
			   " free AS (SELECT c.book_id, c.user_id, c.connection_id"
			   " FROM presence.connection AS c"
			   " WHERE c.id OPERATOR(pg_catalog.=) ANY ($3) AND c.stand_in IS NULL"
			   " AND GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
			   " OPERATOR(pg_catalog.>) $2 FOR NO KEY UPDATE SKIP LOCKED),"
			   " touched AS (UPDATE presence.connection AS c"
			   " SET last_active_at = $2, expires_at = $2 OPERATOR(pg_catalog.+) c.ttl"
			   " FROM free AS f WHERE c.book_id OPERATOR(pg_catalog.=) f.book_id"
			   " AND c.user_id OPERATOR(pg_catalog.=) f.user_id"
			   " AND c.connection_id OPERATOR(pg_catalog.=) f.connection_id)"
			   " SELECT COALESCE(pg_catalog.array_agg(h.id), '{}')"
			   " FROM pg_catalog.unnest($3) AS h(id)"
			   " WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.id OPERATOR(pg_catalog.=) h.id)",
		.args = "zza",
		.columns = "a"};
	Datum values[] = {leases_from(), TimestampTzGetDatum(presence_now()), PointerGetDatum(handles)};
	Datum unknown;
	MemoryContext old;
	Store store;

	store_open(&store, STORE_WRITE, "presence.touch()");
	store_execute(&beats, values, NULL);
	unknown = store_value();
	old = MemoryContextSwitchTo(store.caller);
	unknown = PointerGetDatum(DatumGetArrayTypePCopy(unknown));
	MemoryContextSwitchTo(old);
	store_close(&store);
	return unknown;
}

/* The connections of the last result. */
static Connection *
read_all(uint64 nrows)
{
	Connection *connections =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Connection) * Max(nrows, 1));

	for (uint64 i = 0; i < nrows; i++)
		connections[i] = read_connection(i);
	return connections;
}

static Connection *
by_handles(ArrayType *handles, int *n)
{
	static Statement find = {.sql = "SELECT" CONNECTION_COLUMNS " FROM presence.connection AS c"
									" WHERE c.id OPERATOR(pg_catalog.=) ANY ($2)"
									" AND c.stand_in IS NULL",
							 .args = "za",
							 .columns = CONNECTION_TYPES};
	Datum values[] = {leases_from(), PointerGetDatum(handles)};

	*n = (int) store_execute(&find, values, NULL);
	return read_all((uint64) *n);
}

/* Those that no other transaction holds locked; with them, those whose presence is gone. */
static MemberKey *
ended_members(Moment moment, int max pg_attribute_unused(), int *n, bool *more)
{
	static Statement find = {.sql = "SELECT" CONNECTION_COLUMNS " FROM presence.connection AS c"
									" WHERE GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
									" OPERATOR(pg_catalog.<=) $2 FOR UPDATE SKIP LOCKED",
							 .args = "zz",
							 .columns = CONNECTION_TYPES};
	Datum values[] = {leases_from(), TimestampTzGetDatum(moment.at)};
	uint64 nrows = store_execute(&find, values, NULL);
	MemberKey *keys =
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MemberKey) * Max(nrows, 1));

	*n = (int) nrows;
	*more = false;
	for (uint64 i = 0; i < nrows; i++)
		keys[i] = read_connection(i).member;
	return keys;
}

static void
adopt(MemberKey member, HeldPresence presence, int64 lease)
{
	(void) open_connection(member, cstring_to_text(""), presence, lease, STAND_IN_TIMEOUT);
}

static Connection *
all_connections(int64 *n)
{
	static Statement all = {.sql = "SELECT" CONNECTION_COLUMNS
								   " FROM presence.connection AS c ORDER BY c.presence_id",
							.args = "z",
							.columns = CONNECTION_TYPES,
							.callers_snapshot = true};
	Datum values[] = {leases_from()};

	if (RecoveryInProgress())
	{
		*n = 0;
		return NULL;
	}
	*n = (int64) store_execute(&all, values, NULL);
	return read_all((uint64) *n);
}

/* What is ordered by presence, presence by presence. */
static Liveness *
all_sums(Moment moment, int64 *n)
{
	int64 nconnections;
	Connection *connections = all_connections(&nconnections);
	Liveness *sums = MemoryContextAllocHuge(CurrentMemoryContext,
											sizeof(Liveness) * (Size) Max(nconnections, 1));

	*n = 0;
	for (int64 i = 0; i < nconnections; i++)
	{
		Connection *connection = &connections[i];

		if (*n == 0 || sums[*n - 1].presence.id != connection->presence.id)
			sums[(*n)++] = (Liveness){0};
		add_to(&sums[*n - 1], connection, moment.at);
	}
	return sums;
}

void
connections_clear_table(void)
{
	static Statement clear = {
		.sql = "DELETE FROM presence.connection AS c", .args = "", .columns = ""};

	store_execute(&clear, NULL, NULL);
}

static int64
count_live(Moment moment)
{
	static Statement count = {
		.sql = "SELECT pg_catalog.count(*) FROM presence.connection AS c WHERE c.stand_in IS NULL"
			   " AND GREATEST(c.expires_at, $1 OPERATOR(pg_catalog.+) c.ttl)"
			   " OPERATOR(pg_catalog.>) $2",
		.args = "zz",
		.columns = "i",
		.callers_snapshot = true};
	Datum values[] = {leases_from(), TimestampTzGetDatum(moment.at)};

	store_execute(&count, values, NULL);
	return DatumGetInt64(store_value());
}

/* By presence_id. */
struct RoomView
{
	HTAB *presences; /* NULL: none is known, on a standby */
};

typedef struct ViewEntry
{
	int64 presence_id;
	Liveness liveness;
} ViewEntry;

static RoomView *
view_room(text *book_id)
{
	static Statement of_room = {.sql = "SELECT" CONNECTION_COLUMNS " FROM presence.connection AS c"
									   " WHERE c.book_id OPERATOR(pg_catalog.=) $2",
								.args = "zt",
								.columns = CONNECTION_TYPES,
								.callers_snapshot = true};
	Datum values[] = {leases_from(), PointerGetDatum(book_id)};
	HASHCTL control = {
		.keysize = sizeof(int64), .entrysize = sizeof(ViewEntry), .hcxt = CurrentMemoryContext};
	RoomView *view = palloc0(sizeof(RoomView));
	uint64 nrows;

	if (RecoveryInProgress())
		return view;
	nrows = store_execute(&of_room, values, NULL);
	view->presences =
		hash_create("presence connections", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (uint64 i = 0; i < nrows; i++)
	{
		Connection connection = read_connection(i);
		bool found;
		ViewEntry *entry =
			hash_search(view->presences, &connection.presence.id, HASH_ENTER, &found);

		if (!found)
			entry->liveness = (Liveness){0};
		add_to(&entry->liveness, &connection, presence_now());
	}
	return view;
}

static Liveness
in_view(RoomView *view, text *user_id pg_attribute_unused(), int64 presence_id)
{
	ViewEntry *entry =
		view->presences ? hash_search(view->presences, &presence_id, HASH_FIND, NULL) : NULL;

	return entry ? entry->liveness : (Liveness){0};
}

static bool
member_count(text *book_id pg_attribute_unused(), int32 *count pg_attribute_unused())
{
	return false;
}

static bool
room_version(text *book_id pg_attribute_unused(), int64 *version pg_attribute_unused())
{
	return false;
}

static bool
room_changes(text *book_id pg_attribute_unused(), const int64 *known pg_attribute_unused(),
			 RoomChanges *changes)
{
	*changes = (RoomChanges){0};
	return false;
}

static void
list_changes(MemberKey member pg_attribute_unused())
{
}

const ConnectionMethods connections_in_table = {
	.lock = lock_member,
	.of = liveness_of,
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
	.all = all_connections,
	.sums = all_sums,
	.count = count_live,
	.view_room = view_room,
	.in_view = in_view,
	.member_count = member_count,
	.room_version = room_version,
	.room_changes = room_changes,
	.list_changes = list_changes,
};
