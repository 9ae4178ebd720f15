/*
 * rooms.c
 *	  The SQL functions about rooms: join, leave, list, heartbeat, poll.
 *
 * Each checks its arguments, opens the store, and has the work done by
 * member.c, members.c and liveness.c. Errors of all: 22004 and 22023 for bad
 * arguments (limits.h), 25006 for a write in a read-only transaction or on a standby.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "beats.h"
#include "json.h"
#include "limits.h"
#include "liveness.h"
#include "member.h"
#include "members.h"
#include "presence.h"
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
PG_FUNCTION_INFO_V1(presence_poll_room);

#define JOINED_COLUMNS 9

/* The row that a join returns. */
static void
joined_values(const Joined *joined, Datum *values, bool *nulls)
{
	const Member *member = &joined->member;

	memset(nulls, 0, sizeof(bool) * JOINED_COLUMNS);
	values[0] = Int64GetDatum(member->id);
	values[1] = PointerGetDatum(member->user_id);
	values[2] = PointerGetDatum(member->book_id);
	values[3] = TimestampTzGetDatum(member->joined_at);
	values[4] = TimestampTzGetDatum(member->last_active_at);
	values[5] = BoolGetDatum(member->is_author);
	values[6] = PointerGetDatum(member->user_info);
	nulls[6] = member->user_info == NULL;
	values[7] = Int64GetDatum(joined->connection);
	values[8] = BoolGetDatum(joined->added);
}

/*
 * The result's row type, kept for the session: a function's never changes, and to look
 * it up takes longer than a heartbeat.
 */
static TupleDesc
result_type(FunctionCallInfo fcinfo)
{
	static struct
	{
		Oid function;
		TupleDesc tupdesc;
	} known[3]; /* the functions here that return a row */
	static int next = 0;
	Oid function = fcinfo->flinfo->fn_oid;
	MemoryContext old;
	TupleDesc tupdesc;

	for (size_t i = 0; i < lengthof(known); i++)
		if (known[i].function == function)
			return known[i].tupdesc;

	/* those of an extension that was dropped give way */
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);
	MemoryContextSwitchTo(old);
	known[next].function = function;
	known[next].tupdesc = tupdesc;
	next = (next + 1) % (int) lengthof(known);
	return tupdesc;
}

static Datum
form_row(FunctionCallInfo fcinfo, Store *store, Datum *values, bool *nulls)
{
	MemoryContext old = MemoryContextSwitchTo(store->caller);
	HeapTuple tuple = heap_form_tuple(result_type(fcinfo), values, nulls);

	MemoryContextSwitchTo(old);
	return HeapTupleGetDatum(tuple);
}

/* join_room(user_id, book_id, connection_id, user_info, is_author, ttl) */
Datum
presence_join_room(PG_FUNCTION_ARGS)
{
	bool is_author = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	JoinRequest join = {.user_id = arg_user_id(fcinfo, 0),
						.book_id = arg_book_id(fcinfo, 1),
						.connection_id = arg_connection_id(fcinfo, 2),
						.user_info = arg_user_info(fcinfo, 3),
						.is_author = PG_ARGISNULL(4) ? NULL : &is_author,
						.ttl = arg_ttl(fcinfo, 5)};
	Datum values[JOINED_COLUMNS];
	bool nulls[JOINED_COLUMNS];
	Joined joined;
	Datum row;
	Store store;

	store_open(&store, STORE_WRITE, "presence.join_room()");
	joined = member_join(&join, presence_now());
	joined_values(&joined, values, nulls);
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

/* The joins that the arguments of join_rooms ask for, all valid. */
static JoinRequest *
joins_of(FunctionCallInfo fcinfo, int *n)
{
	int64 ttl = arg_ttl(fcinfo, 4);
	Datum *user_ids, *book_ids, *connection_ids = NULL, *user_infos = NULL;
	bool *user_nulls, *book_nulls, *connection_nulls = NULL, *info_nulls = NULL;
	JoinRequest *joins;

	*n = array_arg(fcinfo, 0, "user_ids", -1, &user_ids, &user_nulls);
	array_arg(fcinfo, 1, "book_ids", *n, &book_ids, &book_nulls);
	if (!PG_ARGISNULL(2))
		array_arg(fcinfo, 2, "connection_ids", *n, &connection_ids, &connection_nulls);
	if (!PG_ARGISNULL(3))
		array_arg(fcinfo, 3, "user_infos", *n, &user_infos, &info_nulls);

	joins = palloc0(sizeof(JoinRequest) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		JoinRequest *join = &joins[i];

		join->user_id = text_element(user_ids, user_nulls, i, "user_ids");
		check_user_id(join->user_id);
		join->book_id = text_element(book_ids, book_nulls, i, "book_ids");
		check_book_id(join->book_id);
		join->connection_id =
			connection_ids ? text_element(connection_ids, connection_nulls, i, "connection_ids")
						   : cstring_to_text("");
		check_connection_id(join->connection_id);
		if (user_infos && !info_nulls[i])
		{
			join->user_info = DatumGetJsonbP(user_infos[i]);
			check_user_info(join->user_info);
		}
		join->ttl = ttl;
	}
	return joins;
}

/*
 * join_rooms(user_ids, book_ids, connection_ids, user_infos, ttl)
 *
 * The results come in the order of the arguments. connection_ids and user_infos
 * may be NULL, which is '' and NULL for all.
 */
Datum
presence_join_rooms(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = presence_now();
	int n;
	JoinRequest *joins = joins_of(fcinfo, &n);
	Joined *joined = palloc(sizeof(Joined) * Max(n, 1));
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_WRITE, "presence.join_rooms()");
	members_join(joins, n, now, joined);
	for (int i = 0; i < n; i++)
	{
		Datum values[1 + JOINED_COLUMNS] = {Int64GetDatum(i + 1)};
		bool nulls[1 + JOINED_COLUMNS] = {false};

		joined_values(&joined[i], values + 1, nulls + 1);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* leave_room(user_id, book_id, connection_id) */
Datum
presence_leave_room(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *book_id = arg_book_id(fcinfo, 1);
	text *connection_id = PG_ARGISNULL(2) ? NULL : arg_connection_id(fcinfo, 2);
	bool left;
	Store store;

	store_open(&store, STORE_WRITE, "presence.leave_room()");
	left = member_leave(user_id, book_id, connection_id, presence_now());
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
	removed = members_drop(handles, presence_now());
	store_close(&store);
	PG_RETURN_INT32(removed);
}

/* Executes a read of (id, now, leases from). */
static uint64
execute_read(StatementId statement, text *id)
{
	Datum values[] = {PointerGetDatum(id), TimestampTzGetDatum(presence_now()),
					  liveness_reads_from()};

	return store_execute(statement, values, NULL);
}

/* What memory knows better than the row of a presence; connections: NULL if not asked for. */
static void
overlay(int64 presence_id, Datum *last_active_at, Datum *connections, bool *no_connections)
{
	TimestampTz heard;
	int32 n;

	if (!beats_of_presence(presence_id, &n, &heard))
	{
		/* he is in the caller's snapshot, and has left since */
		n = 0;
		heard = 0;
	}
	*last_active_at = TimestampTzGetDatum(Max(DatumGetTimestampTz(*last_active_at), heard));
	if (connections)
	{
		*connections = Int32GetDatum(n);
		*no_connections = false;
	}
}

/* room_members(book_id) */
Datum
presence_room_members(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text *book_id = arg_book_id(fcinfo, 0);
	bool beats;
	bool bare;
	uint64 nrows;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.room_members()");
	/* of what this transaction changes only the rows know how many connections there are */
	beats = liveness_in_memory();
	bare = beats || RecoveryInProgress();
	nrows = execute_read(bare ? ROOM_MEMBERS_BARE : ROOM_MEMBERS, book_id);
	for (uint64 i = 0; i < nrows; i++)
	{
		Datum values[7];
		bool nulls[7];

		store_row(SPI_tuptable, i, values, nulls);
		if (beats)
			overlay(DatumGetInt64(values[6]), &values[4], &values[5], &nulls[5]);
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
	uint64 nrows;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.user_rooms()");
	nrows = execute_read(liveness_bare_reads() ? USER_ROOMS_BARE : USER_ROOMS, user_id);
	for (uint64 i = 0; i < nrows; i++)
	{
		Datum values[5];
		bool nulls[5];

		store_row(SPI_tuptable, i, values, nulls);
		if (liveness_in_memory())
			overlay(DatumGetInt64(values[4]), &values[2], NULL, NULL);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* member_count(book_id) */
Datum
presence_member_count(PG_FUNCTION_ARGS)
{
	text *book_id = arg_book_id(fcinfo, 0);
	int32 count;
	Store store;

	store_open(&store, STORE_READ, "presence.member_count()");
	execute_read(liveness_bare_reads() ? MEMBER_COUNT_BARE : MEMBER_COUNT, book_id);
	count = DatumGetInt32(store_datum(SPI_tuptable, 0, 0));
	store_close(&store);
	PG_RETURN_INT32(count);
}

/* liveness(user_id, book_id): what the views show of an open presence's connections */
Datum
presence_liveness(PG_FUNCTION_ARGS)
{
	text *user_id = arg_text(fcinfo, 0, "user_id");
	text *book_id = arg_text(fcinfo, 1, "book_id");
	TimestampTz now = presence_now();
	Datum values[3] = {0, 0, BoolGetDatum(true)};
	bool nulls[3] = {true, true, false};
	Datum row;
	Store store;

	store_open(&store, STORE_READ, "presence.liveness()");
	if (!RecoveryInProgress())
	{
		Liveness liveness = liveness_read(user_id, book_id, now);

		values[0] = Int32GetDatum(liveness.live);
		values[1] = TimestampTzGetDatum(liveness.last_active);
		values[2] = BoolGetDatum(liveness.rows == 0 || liveness.lease_end > now);
		nulls[0] = false;
		nulls[1] = liveness.rows == 0;
	}
	row = form_row(fcinfo, &store, values, nulls);
	store_close(&store);
	PG_RETURN_DATUM(row);
}

/* touch_room(user_id, book_id, connection_id) */
Datum
presence_touch_room(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *book_id = arg_book_id(fcinfo, 1);
	text *connection_id = arg_connection_id(fcinfo, 2);

	store_require_write("presence.touch_room()");
	PG_RETURN_BOOL(liveness_touch(user_id, book_id, connection_id, presence_now()));
}

/* touch(connections) */
Datum
presence_touch(PG_FUNCTION_ARGS)
{
	ArrayType *handles = arg_handles(fcinfo, 0, "connections");

	store_require_write("presence.touch()");
	PG_RETURN_DATUM(liveness_touch_many(handles, presence_now()));
}

/*
 * The list a polling client shows, as compact JSON: what a heartbeat changes is
 * not in it, nor the session's time zone, so that its hash is a version.
 */
static void
append_members(StringInfo out, uint64 nrows)
{
	appendStringInfoChar(out, '[');
	for (uint64 i = 0; i < nrows; i++)
	{
		Datum values[7];
		bool nulls[7];

		store_row(SPI_tuptable, i, values, nulls);
		store_not_null(nulls[0] || nulls[2] || nulls[3]);
		appendStringInfoString(out, i == 0 ? "{\"user_id\":" : ",{\"user_id\":");
		json_append_text(out, DatumGetTextPP(values[0]));
		appendStringInfoString(out, ",\"user_info\":");
		if (nulls[1])
			appendStringInfoString(out, "null");
		else
			json_append_jsonb(out, DatumGetJsonbP(values[1]));
		appendStringInfo(
			out, ",\"is_author\":%s,\"joined_at\":", DatumGetBool(values[2]) ? "true" : "false");
		json_append_timestamp(out, DatumGetTimestampTz(values[3]));
		appendStringInfoChar(out, '}');
	}
	appendStringInfoChar(out, ']');
}

/*
 * A room's version, and its list unless the version is the known one. Memory counts the
 * versions: read before the list, so that the list is at least as new. Without it, and in a
 * transaction that changes presence itself, the version is a hash of the list.
 */
static void
list_room(FunctionCallInfo fcinfo, text *book_id, Datum *version, Datum *members, bool *unchanged)
{
	bool counted = liveness_in_memory();
	int64 current = counted ? beats_room_version(book_id) : 0;
	MemoryContext caller = CurrentMemoryContext;
	StringInfoData list;
	Store store;

	*unchanged = counted && !PG_ARGISNULL(3) && PG_GETARG_INT64(3) == current;
	if (!*unchanged)
	{
		initStringInfo(&list);
		store_open(&store, STORE_WRITE, "presence.poll_room()");
		append_members(&list,
					   execute_read(liveness_bare_reads() ? POLL_MEMBERS : ROOM_MEMBERS, book_id));
		store_close(&store);
		if (!counted)
			current =
				(int64) DatumGetUInt64(hash_any_extended((unsigned char *) list.data, list.len, 0));
		*unchanged = !PG_ARGISNULL(3) && PG_GETARG_INT64(3) == current;
	}
	if (!*unchanged)
		*members = DirectFunctionCall1(jsonb_in, CStringGetDatum(list.data));
	*version = Int64GetDatum(current);
	MemoryContextSwitchTo(caller);
}

/* poll_room(user_id, book_id, connection_id, known) */
Datum
presence_poll_room(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *book_id = arg_book_id(fcinfo, 1);
	text *connection_id = arg_connection_id(fcinfo, 2);
	Datum values[3] = {0};
	bool nulls[3] = {false};

	store_require_write("presence.poll_room()");
	values[1] = BoolGetDatum(liveness_touch(user_id, book_id, connection_id, presence_now()));
	list_room(fcinfo, book_id, &values[0], &values[2], &nulls[2]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_type(fcinfo), values, nulls)));
}
