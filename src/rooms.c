/*
 * rooms.c
 *	  The SQL functions about rooms: join, leave, list, heartbeat; poll.c has the polls.
 *
 * Each checks its arguments, opens the store, and has the work done by
 * member.c, members.c, presences.c and connections.h. Errors of all: 22004 and 22023 for bad
 * arguments (limits.h), 25006 for a write in a read-only transaction or on a standby.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "connections.h"
#include "limits.h"
#include "member_state.h"
#include "member.h"
#include "members.h"
#include "settings.h"
#include "presences.h"
#include "result.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_join_room);
PG_FUNCTION_INFO_V1(presence_join_rooms);
PG_FUNCTION_INFO_V1(presence_leave_room);
PG_FUNCTION_INFO_V1(presence_drop_connections);
PG_FUNCTION_INFO_V1(presence_room_members);
PG_FUNCTION_INFO_V1(presence_member_count);
PG_FUNCTION_INFO_V1(presence_user_rooms);
PG_FUNCTION_INFO_V1(presence_liveness);
PG_FUNCTION_INFO_V1(presence_touch_room);
PG_FUNCTION_INFO_V1(presence_touch);

#define JOINED_COLUMNS 9

/* The row that a join returns; of one that another transaction is changing, no id. */
static void
joined_values(const Joined *joined, const JoinRequest *join, Datum *values, bool *nulls)
{
	const Presence *presence = &joined->presence;

	memset(nulls, joined->busy, sizeof(bool) * JOINED_COLUMNS);
	values[0] = Int64GetDatum(presence->id);
	values[1] = PointerGetDatum(join->member.user_id);
	values[2] = PointerGetDatum(join->member.book_id);
	values[3] = TimestampTzGetDatum(presence->joined_at);
	values[4] = TimestampTzGetDatum(presence->last_active_at);
	values[5] = BoolGetDatum(presence->is_author);
	values[6] = PointerGetDatum(presence->user_info);
	values[7] = Int64GetDatum(joined->connection);
	values[8] = BoolGetDatum(joined->added);
	nulls[1] = nulls[2] = nulls[8] = false;
	nulls[6] = presence->user_info == NULL;
}

static Datum
form_row(FunctionCallInfo fcinfo, Store *store, Datum *values, bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(store->caller);
	HeapTuple tuple = heap_form_tuple(result_type(fcinfo), values, nulls);

	MemoryContextSwitchTo(old);
	return HeapTupleGetDatum(tuple);
}

/* join_room(user_id, book_id, connection_id, user_info, is_author, ttl, capacity since 0.3) */
Datum
presence_join_room(PG_FUNCTION_ARGS)
{
	bool is_author = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	JoinRequest join = {.member = arg_member(fcinfo),
						.connection_id = arg_connection_id(fcinfo, 2),
						.user_info = arg_user_info(fcinfo, 3),
						.is_author = PG_ARGISNULL(4) ? NULL : &is_author,
						.ttl = arg_ttl(fcinfo, 5),
						.capacity = PG_NARGS() > 6 ? arg_capacity(fcinfo, 6) : 0};
	Datum values[JOINED_COLUMNS];
	bool nulls[JOINED_COLUMNS];
	Joined joined;
	Datum row;
	Store store;

	store_open(&store, STORE_WRITE, "presence.join_room()");
	joined = member_join(&join);
	joined_values(&joined, &join, values, nulls);
	row = form_row(fcinfo, &store, values, nulls);
	store_close(&store);
	PG_RETURN_DATUM(row);
}

/* The elements of an array argument; n < 0: any number, else that many. */
static int
array_arg(FunctionCallInfo fcinfo, int argno, const char *name, int n, Datum **values, bool **nulls)
{
	ArrayType *array;
	int16 typlen;
	bool typbyval;
	char typalign;
	int found;

	if (PG_ARGISNULL(argno))
		null_argument(name);
	array = PG_GETARG_ARRAYTYPE_P(argno);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, values, nulls,
					  &found);
	if (n >= 0 && found != n)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s has %d elements, but user_ids has %d", name, found, n)));
	return found;
}

static text *
text_element(Datum *values, bool *nulls, int i, const char *name)
{
	if (nulls[i])
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not contain null values", name),
						errdetail("Element %d is null.", i + 1)));
	return DatumGetTextPP(values[i]);
}

/* An array of as many elements as user_ids; absent: NULL, or an argument that 0.2 did not have. */
typedef struct Column
{
	bool absent;
	Datum *values;
	bool *nulls;
} Column;

static Column
column_arg(FunctionCallInfo fcinfo, int argno, const char *name, int n)
{
	Column column = {.absent = argno >= PG_NARGS() || PG_ARGISNULL(argno)};

	if (!column.absent)
		array_arg(fcinfo, argno, name, n, &column.values, &column.nulls);
	return column;
}

static bool
flag_arg(FunctionCallInfo fcinfo, int argno)
{
	return argno < PG_NARGS() && !PG_ARGISNULL(argno) && PG_GETARG_BOOL(argno);
}

/* The joins that the arguments of join_rooms ask for, all valid. */
static JoinRequest *
joins_of(FunctionCallInfo fcinfo, int *n)
{
	int64 ttl = arg_ttl(fcinfo, 4);
	bool keep_info = flag_arg(fcinfo, 7);
	text *unnamed = cstring_to_text("");
	Datum *user_ids, *book_ids;
	bool *user_nulls, *book_nulls;
	Column connections, infos, authors;
	JoinRequest *joins;

	*n = array_arg(fcinfo, 0, "user_ids", -1, &user_ids, &user_nulls);
	array_arg(fcinfo, 1, "book_ids", *n, &book_ids, &book_nulls);
	connections = column_arg(fcinfo, 2, "connection_ids", *n);
	infos = column_arg(fcinfo, 3, "user_infos", *n);
	authors = column_arg(fcinfo, 5, "is_authors", *n);

	joins = palloc0(sizeof(JoinRequest) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		JoinRequest *join = &joins[i];

		join->member.user_id = text_element(user_ids, user_nulls, i, "user_ids");
		check_user_id(join->member.user_id);
		join->member.book_id = text_element(book_ids, book_nulls, i, "book_ids");
		check_book_id(join->member.book_id);
		join->connection_id =
			connections.absent
				? unnamed
				: text_element(connections.values, connections.nulls, i, "connection_ids");
		check_connection_id(join->connection_id);
		if (!infos.absent && !infos.nulls[i])
		{
			join->user_info = DatumGetJsonbP(infos.values[i]);
			check_user_info(join->user_info);
		}
		if (!authors.absent && !authors.nulls[i])
		{
			join->is_author = palloc(sizeof(bool));
			*join->is_author = DatumGetBool(authors.values[i]);
		}
		join->ttl = ttl;
		join->keep_info = keep_info;
	}
	return joins;
}

/*
 * join_rooms(user_ids, book_ids, connection_ids, user_infos, ttl, and since 0.3 is_authors,
 * skip_locked, keep_info)
 *
 * The results come in the order of the arguments. connection_ids, user_infos and is_authors
 * may be NULL, which is '', NULL and NULL for all.
 */
Datum
presence_join_rooms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int n;
	JoinRequest *joins = joins_of(fcinfo, &n);
	Joined *joined = palloc(sizeof(Joined) * Max(n, 1));
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_WRITE, "presence.join_rooms()");
	members_join(joins, n, flag_arg(fcinfo, 6), joined);
	for (int i = 0; i < n; i++)
	{
		Datum values[1 + JOINED_COLUMNS] = {Int64GetDatum(i + 1)};
		bool nulls[1 + JOINED_COLUMNS] = {false};

		joined_values(&joined[i], &joins[i], values + 1, nulls + 1);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* leave_room(user_id, book_id, connection_id) */
Datum
presence_leave_room(PG_FUNCTION_ARGS)
{
	MemberKey member = arg_member(fcinfo);
	text *connection_id = PG_ARGISNULL(2) ? NULL : arg_connection_id(fcinfo, 2);
	bool left;
	Store store;

	store_open(&store, STORE_WRITE, "presence.leave_room()");
	left = member_leave(member, connection_id);
	store_close(&store);
	PG_RETURN_BOOL(left);
}

/* drop_connections(connections) */
Datum
presence_drop_connections(PG_FUNCTION_ARGS)
{
	ArrayType *handles = arg_handles(fcinfo, 0, "connections");
	int removed;
	Store store;

	store_open(&store, STORE_WRITE, "presence.drop_connections()");
	removed = members_drop(handles);
	store_close(&store);
	PG_RETURN_INT32(removed);
}

/* room_members(book_id) */
Datum
presence_room_members(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text *book_id = arg_book_id(fcinfo, 0);
	bool standby = RecoveryInProgress();
	Presences presences;
	RoomView *view;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.room_members()");
	view = connections_view_room(book_id);
	presences = presences_of_room(book_id, false);
	for (int i = 0; i < presences.n; i++)
	{
		Presence *presence = &presences.list[i];
		Liveness liveness = connections_in_view(view, presence->member.user_id, presence->id);
		Datum values[] = {PointerGetDatum(presence->member.user_id),
						  PointerGetDatum(presence->user_info),
						  BoolGetDatum(presence->is_author),
						  TimestampTzGetDatum(presence->joined_at),
						  TimestampTzGetDatum(member_last_active(presence, &liveness)),
						  Int32GetDatum(liveness.live)};
		bool nulls[] = {false, presence->user_info == NULL, false, false, false, standby};

		if (!liveness_hides(&liveness))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* user_rooms(user_id) */
Datum
presence_user_rooms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text *user_id = arg_user_id(fcinfo, 0);
	Presences presences;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.user_rooms()");
	presences = presences_of_user(user_id, false);
	for (int i = 0; i < presences.n; i++)
	{
		Presence *presence = &presences.list[i];
		Liveness liveness = member_liveness(presence);
		Datum values[] = {PointerGetDatum(presence->member.book_id),
						  TimestampTzGetDatum(presence->joined_at),
						  TimestampTzGetDatum(member_last_active(presence, &liveness)),
						  BoolGetDatum(presence->is_author)};
		bool nulls[4] = {false};

		if (!liveness_hides(&liveness))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* member_count(book_id): counted in memory where that knows all, else by the index */
Datum
presence_member_count(PG_FUNCTION_ARGS)
{
	text *book_id = arg_book_id(fcinfo, 0);
	int32 count;
	Store store;

	store_open(&store, STORE_READ, "presence.member_count()");
	count = member_count(book_id, 0, false);
	store_close(&store);
	PG_RETURN_INT32(count);
}

/* liveness(user_id, book_id): of an open presence, what the views showed in 0.2 */
Datum
presence_liveness(PG_FUNCTION_ARGS)
{
	MemberKey member = {arg_text(fcinfo, 0, "user_id"), arg_text(fcinfo, 1, "book_id")};
	Datum values[3] = {0, 0, BoolGetDatum(true)};
	bool nulls[3] = {true, true, false};
	Datum row;
	Store store;

	store_open(&store, STORE_READ, "presence.liveness()");
	if (!RecoveryInProgress())
	{
		Liveness liveness = connections_of(member, moment_now());

		values[0] = Int32GetDatum(liveness.live);
		values[1] = TimestampTzGetDatum(liveness.last_active);
		values[2] = BoolGetDatum(!liveness_hides(&liveness));
		nulls[0] = false;
		nulls[1] = liveness.total == 0;
	}
	row = form_row(fcinfo, &store, values, nulls);
	store_close(&store);
	PG_RETURN_DATUM(row);
}

/* touch_room(user_id, book_id, connection_id) */
Datum
presence_touch_room(PG_FUNCTION_ARGS)
{
	MemberKey member = arg_member(fcinfo);
	text *connection_id = arg_connection_id(fcinfo, 2);

	store_require_write("presence.touch_room()");
	PG_RETURN_BOOL(connections_touch(member, connection_id));
}

/* touch(connections) */
Datum
presence_touch(PG_FUNCTION_ARGS)
{
	ArrayType *handles = arg_handles(fcinfo, 0, "connections");

	store_require_write("presence.touch()");
	PG_RETURN_DATUM(connections_touch_many(handles));
}
