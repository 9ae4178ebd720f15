/*
 * history.c
 *	  The SQL functions about the past: who was there, how many, how long.
 *
 * A stay is [joined_at, left_at): who leaves at an instant is not there at
 * it, and who joins is. An open presence lasts. A range of time is [since, until):
 * an empty one holds no instant. All are reads, also on a standby; 22004 for a NULL,
 * 22023 for a bad id.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "limits.h"
#include "member_state.h"
#include "settings.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_members_at);
PG_FUNCTION_INFO_V1(presence_peak_members);
PG_FUNCTION_INFO_V1(presence_time_in_room);
PG_FUNCTION_INFO_V1(presence_last_seen);
PG_FUNCTION_INFO_V1(presence_online_users);

static Statement members_at = {
	.sql = "SELECT p.user_id, p.user_info, p.is_author, p.joined_at, p.left_at"
		   " FROM presence.room_presence AS p"
		   " WHERE p.book_id OPERATOR(pg_catalog.=) $1 AND p.joined_at OPERATOR(pg_catalog.<=) $2"
		   " AND (p.left_at OPERATOR(pg_catalog.>) $2) IS NOT FALSE"
		   " ORDER BY p.joined_at, p.id",
	.args = "tz",
	.columns = "tjbzz",
	.callers_snapshot = true};

/* Leaves and joins of one instant are summed, so that who hands over counts once. */
static Statement peak_members = {
	.sql = "WITH stay AS (SELECT GREATEST(p.joined_at, $2) AS joined_at, p.left_at"
		   " FROM presence.room_presence AS p"
		   " WHERE p.book_id OPERATOR(pg_catalog.=) $1 AND p.joined_at OPERATOR(pg_catalog.<) $3"
		   " AND (p.left_at OPERATOR(pg_catalog.>) GREATEST(p.joined_at, $2)) IS NOT FALSE),"
		   " change AS (SELECT s.joined_at AS at, 1 AS delta FROM stay AS s"
		   " UNION ALL SELECT s.left_at, -1 FROM stay AS s"
		   " WHERE s.left_at OPERATOR(pg_catalog.<) $3),"
		   " total AS (SELECT c.at, pg_catalog.sum(pg_catalog.sum(c.delta))"
		   " OVER (ORDER BY c.at) AS members FROM change AS c GROUP BY c.at)"
		   " SELECT t.members::pg_catalog.int4, t.at FROM total AS t"
		   " ORDER BY t.members DESC, t.at LIMIT 1",
	.args = "tzz",
	.columns = "nz",
	.callers_snapshot = true};

/* $5 is the present: an open stay has lasted until then, not longer. */
static Statement time_in_room = {
	.sql =
		"SELECT COALESCE(pg_catalog.justify_hours(pg_catalog.sum(s.until"
		" OPERATOR(pg_catalog.-) s.since)), '0')"
		" FROM (SELECT GREATEST(p.joined_at, $3) AS since,"
		" LEAST(COALESCE(p.left_at, $5), $4) AS until FROM presence.room_presence AS p"
		" WHERE p.user_id OPERATOR(pg_catalog.=) $1 AND p.book_id OPERATOR(pg_catalog.=) $2) AS s"
		" WHERE s.until OPERATOR(pg_catalog.>) s.since",
	.args = "ttzzz",
	.columns = "v",
	.callers_snapshot = true};

/* For each user the last stay that ended, by the index on (user_id, left_at). */
static Statement last_stays = {
	.sql = "SELECT u.user_id, p.left_at, p.book_id FROM pg_catalog.unnest($1) AS u(user_id)"
		   " LEFT JOIN LATERAL (SELECT r.left_at, r.book_id FROM presence.room_presence AS r"
		   " WHERE r.user_id OPERATOR(pg_catalog.=) u.user_id AND r.left_at IS NOT NULL"
		   " ORDER BY r.left_at DESC LIMIT 1) AS p ON true",
	.args = "T",
	.columns = "tzt",
	.callers_snapshot = true};

/* members_at(book_id, at) */
Datum
presence_members_at(PG_FUNCTION_ARGS)
{
	Datum values[] = {PointerGetDatum(arg_past_book_id(fcinfo, 0)),
					  TimestampTzGetDatum(arg_timestamptz(fcinfo, 1, "at"))};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.members_at()");
	store_return_rows(rsinfo, store_execute(&members_at, values, NULL));
	store_close(&store);
	return (Datum) 0;
}

/*
 * peak_members(book_id, since, until): the greatest number of members at one
 * instant, and the first instant with it. Nobody: 0 at since; an empty range: 0, NULL.
 */
Datum
presence_peak_members(PG_FUNCTION_ARGS)
{
	text *book_id = arg_past_book_id(fcinfo, 0);
	TimestampTz since = arg_timestamptz(fcinfo, 1, "since");
	TimestampTz until = arg_timestamptz(fcinfo, 2, "until");
	Datum values[] = {PointerGetDatum(book_id), TimestampTzGetDatum(since),
					  TimestampTzGetDatum(until)};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64 nrows;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.peak_members()");
	nrows = since < until ? store_execute(&peak_members, values, NULL) : 0;
	if (nrows > 0)
		store_return_rows(rsinfo, nrows);
	else
	{
		Datum nobody[] = {Int32GetDatum(0), TimestampTzGetDatum(since)};
		bool nulls[] = {false, since >= until};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, nobody, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* time_in_room(user_id, book_id, since, until): an open stay counts until now, not longer */
Datum
presence_time_in_room(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *book_id = arg_past_book_id(fcinfo, 1);
	TimestampTz since = arg_timestamptz(fcinfo, 2, "since");
	TimestampTz until = arg_timestamptz(fcinfo, 3, "until");
	Datum values[] = {PointerGetDatum(user_id), PointerGetDatum(book_id),
					  TimestampTzGetDatum(since), TimestampTzGetDatum(until),
					  TimestampTzGetDatum(presence_now())};
	Interval *spent = palloc(sizeof(Interval));
	Store store;

	store_open(&store, STORE_READ, "presence.time_in_room()");
	store_execute(&time_in_room, values, NULL);
	*spent = *DatumGetIntervalP(store_value());
	store_close(&store);
	PG_RETURN_INTERVAL_P(spent);
}

/* The user ids of a text[] argument without NULLs. */
static int
user_ids_arg(FunctionCallInfo fcinfo, Datum **user_ids)
{
	bool *nulls;
	int n;

	if (PG_ARGISNULL(0))
		null_argument("user_ids");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, user_ids, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("user_ids must not contain null values"),
							errdetail("Element %d is null.", i + 1)));
		check_user_id(DatumGetTextPP((*user_ids)[i]));
	}
	return n;
}

/* When a user was last heard, in which room, of the rooms he is in; 0: he is in none. */
static TimestampTz
last_heard(const Presences *open, text **book_id)
{
	TimestampTz latest = 0;

	for (int i = 0; i < open->n; i++)
	{
		Liveness liveness = member_liveness(&open->list[i]);
		TimestampTz heard = member_last_active(&open->list[i], &liveness);

		if (liveness.total > 0 && !liveness.alive)
			continue;
		if (latest != 0 && heard <= latest)
			continue;
		latest = heard;
		*book_id = open->list[i].member.book_id;
	}
	return latest;
}

/*
 * last_seen(user_ids): each one's last sign of life, in the order given; who was never there has
 * no row.
 */
Datum
presence_last_seen(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum *user_ids;
	int n = user_ids_arg(fcinfo, &user_ids);
	Datum args[1];
	SPITupleTable *rows;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.last_seen()");
	args[0] = store_text_array(user_ids, n);
	n = (int) store_execute(&last_stays, args, NULL);
	rows = SPI_tuptable;
	for (int i = 0; i < n; i++)
	{
		Datum past[3];
		bool never[3];
		text *book_id;
		Presences open;
		TimestampTz heard;
		Datum values[4];
		bool nulls[4] = {false};

		store_row(rows, i, past, never);
		open = presences_of_user(DatumGetTextPP(past[0]), false);
		heard = last_heard(&open, &book_id);
		if (heard == 0 && never[1])
			continue;
		values[0] = past[0];
		values[1] = heard != 0 ? TimestampTzGetDatum(heard) : past[1];
		values[2] = heard != 0 ? PointerGetDatum(book_id) : past[2];
		values[3] = BoolGetDatum(heard != 0);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}

/* One user's row: the rooms he is in, since when he is in any, when he was last heard. */
static bool
online_values(text *user_id, Datum *values)
{
	Presences open = presences_of_user(user_id, false);
	Datum *book_ids = palloc(sizeof(Datum) * Max(open.n, 1));
	TimestampTz since = DT_NOEND;
	text *last;
	int n = 0;

	for (int i = 0; i < open.n; i++)
	{
		Liveness liveness = member_liveness(&open.list[i]);

		if (liveness.total > 0 && !liveness.alive)
			continue;
		book_ids[n++] = PointerGetDatum(open.list[i].member.book_id);
		since = Min(since, open.list[i].joined_at);
	}
	values[0] = PointerGetDatum(user_id);
	values[1] = store_text_array(book_ids, n);
	values[2] = TimestampTzGetDatum(since);
	values[3] = n > 0 ? TimestampTzGetDatum(last_heard(&open, &last)) : 0;
	return n > 0;
}

/* online_users(user_ids): of these, those who are in a room, in the order given */
Datum
presence_online_users(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum *user_ids;
	int n = user_ids_arg(fcinfo, &user_ids);
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.online_users()");
	for (int i = 0; i < n; i++)
	{
		Datum values[4];
		bool nulls[4] = {false};

		if (online_values(DatumGetTextPP(user_ids[i]), values))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	store_close(&store);
	return (Datum) 0;
}
