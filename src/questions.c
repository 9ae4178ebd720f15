/*
 * questions.c
 *	  The SQL functions that sum up the past of rooms: hours, days, stays; and who has most now.
 *
 * A stay is [joined_at, left_at), a range of time [since, until), as in history.c; what is
 * asked of the future is not counted, so an open stay lasts until now at most. Days and hours are
 * those of a time zone. All are reads, also on a standby, as of the caller's snapshot.
 * Errors: 22004 for a NULL, 22023 for a bad id, a range that is too long, an unknown time zone.
 */
#include "postgres.h"

#include "funcapi.h"
#include "pgtime.h"
#include "utils/builtins.h"

#include "limits.h"
#include "settings.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_busiest_hours);
PG_FUNCTION_INFO_V1(presence_peak_members_by_day);
PG_FUNCTION_INFO_V1(presence_average_stay);
PG_FUNCTION_INFO_V1(presence_largest_rooms);

/*
 * Each stay is cut at the full hours, and so is the range; what is left of a stay by what is left
 * of the range, both summed by the hour of the day, is the average number of members.
 */
static Statement busiest_hours = {
	.sql =
		"WITH range AS (SELECT pg_catalog.date_part('hour', pg_catalog.timezone($4, h.at)) AS hour,"
		" pg_catalog.sum(pg_catalog.date_part('epoch', LEAST(h.at OPERATOR(pg_catalog.+) '1 hour',"
		" $3) OPERATOR(pg_catalog.-) GREATEST(h.at, $2))) AS seconds"
		" FROM pg_catalog.generate_series(pg_catalog.date_trunc('hour', $2, $4), $3, '1 hour')"
		" AS h(at) WHERE h.at OPERATOR(pg_catalog.<) $3 GROUP BY 1),"
		" stay AS (SELECT GREATEST(p.joined_at, $2) AS since,"
		" LEAST(COALESCE(p.left_at, $3), $3) AS until,"
		" p.joined_at OPERATOR(pg_catalog.>=) $2 AS begins FROM presence.room_presence AS p"
		" WHERE p.book_id OPERATOR(pg_catalog.=) $1 AND p.joined_at OPERATOR(pg_catalog.<) $3"
		" AND (p.left_at OPERATOR(pg_catalog.>=) $2) IS NOT FALSE),"
		" spent AS (SELECT pg_catalog.date_part('hour', pg_catalog.timezone($4, h.at)) AS hour,"
		" pg_catalog.sum(pg_catalog.date_part('epoch', LEAST(h.at OPERATOR(pg_catalog.+) '1 hour',"
		" s.until) OPERATOR(pg_catalog.-) GREATEST(h.at, s.since))) AS seconds,"
		" pg_catalog.count(*) FILTER (WHERE s.begins AND h.at OPERATOR(pg_catalog.<=) s.since)"
		" AS joins FROM stay AS s CROSS JOIN LATERAL pg_catalog.generate_series("
		"pg_catalog.date_trunc('hour', s.since, $4), s.until, '1 hour') AS h(at) GROUP BY 1)"
		" SELECT r.hour::pg_catalog.int4, COALESCE(s.seconds OPERATOR(pg_catalog./) r.seconds, 0)"
		" AS average, COALESCE(s.joins, 0) FROM range AS r LEFT JOIN spent AS s"
		" ON s.hour OPERATOR(pg_catalog.=) r.hour ORDER BY average DESC, r.hour",
	.args = "tzzt",
	.columns = "nfi",
	.callers_snapshot = true};

/* As peak_members, and each day begins with a change of nothing, so that none is left out. */
static Statement peaks = {
	.sql =
		"WITH stay AS (SELECT GREATEST(p.joined_at, $2) AS joined_at, p.left_at"
		" FROM presence.room_presence AS p"
		" WHERE p.book_id OPERATOR(pg_catalog.=) $1 AND p.joined_at OPERATOR(pg_catalog.<) $3"
		" AND (p.left_at OPERATOR(pg_catalog.>) GREATEST(p.joined_at, $2)) IS NOT FALSE),"
		" change AS (SELECT s.joined_at AS at, 1 AS delta FROM stay AS s"
		" UNION ALL SELECT s.left_at, -1 FROM stay AS s"
		" WHERE s.left_at OPERATOR(pg_catalog.<) $3"
		" UNION ALL SELECT GREATEST(pg_catalog.timezone($4, d.day), $2), 0"
		" FROM pg_catalog.generate_series(pg_catalog.date_trunc('day', pg_catalog.timezone($4, $2)),"
		" pg_catalog.timezone($4, $3), '1 day') AS d(day)"
		" WHERE pg_catalog.timezone($4, d.day) OPERATOR(pg_catalog.<) $3),"
		" total AS (SELECT c.at, pg_catalog.timezone($4, c.at)::pg_catalog.date AS day,"
		" pg_catalog.sum(pg_catalog.sum(c.delta)) OVER (ORDER BY c.at) AS members"
		" FROM change AS c GROUP BY c.at)"
		" SELECT DISTINCT ON (t.day) t.day, t.members::pg_catalog.int4, t.at FROM total AS t"
		" ORDER BY t.day, t.members DESC, t.at",
	.args = "tzzt",
	.columns = "dnz",
	.callers_snapshot = true};

/* IS TRUE: by the room's history, and not by the index of what ended then in all rooms. */
static Statement average_stay = {
	.sql =
		"SELECT pg_catalog.count(*), pg_catalog.count(DISTINCT p.user_id),"
		" pg_catalog.justify_hours(pg_catalog.avg(p.left_at OPERATOR(pg_catalog.-) p.joined_at)),"
		" pg_catalog.justify_hours(pg_catalog.percentile_cont(0.5) WITHIN GROUP"
		" (ORDER BY p.left_at OPERATOR(pg_catalog.-) p.joined_at))"
		" FROM presence.room_presence AS p WHERE p.book_id OPERATOR(pg_catalog.=) $1"
		" AND (p.left_at OPERATOR(pg_catalog.>=) $2 AND p.left_at OPERATOR(pg_catalog.<) $3) IS TRUE",
	.args = "tzz",
	.columns = "iivv",
	.callers_snapshot = true};

static Statement largest_rooms = {
	.sql = "SELECT p.book_id, pg_catalog.count(*)::pg_catalog.int4 AS members"
		   " FROM presence.room_presence AS p WHERE p.left_at IS NULL GROUP BY p.book_id"
		   " ORDER BY members DESC, p.book_id LIMIT $1",
	.args = "i",
	.columns = "tn",
	.callers_snapshot = true};

/* Runs a statement whose rows are the function's. */
static Datum
return_rows(FunctionCallInfo fcinfo, Statement *statement, Datum *values, const char *function)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, function);
	store_return_rows(rsinfo, store_execute(statement, values, NULL));
	store_close(&store);
	return (Datum) 0;
}

/* NULL: that of the session. */
static text *
arg_time_zone(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return cstring_to_text(pg_get_timezone_name(session_timezone));
	return PG_GETARG_TEXT_PP(argno);
}

/* The arguments book_id, since, until, time_zone; false if the range is empty. */
static bool
room_and_range(FunctionCallInfo fcinfo, Datum *values)
{
	TimestampTz since;
	TimestampTz until;

	values[0] = PointerGetDatum(arg_past_book_id(fcinfo, 0));
	arg_range(fcinfo, 1, &since, &until);
	values[1] = TimestampTzGetDatum(since);
	values[2] = TimestampTzGetDatum(until);
	values[3] = PointerGetDatum(arg_time_zone(fcinfo, 3));
	return since < until;
}

static Datum
return_by_time(FunctionCallInfo fcinfo, Statement *statement, const char *function)
{
	Datum values[4];

	if (room_and_range(fcinfo, values))
		return return_rows(fcinfo, statement, values, function);
	InitMaterializedSRF(fcinfo, 0);
	return (Datum) 0;
}

/* busiest_hours(book_id, since, until, time_zone) */
Datum
presence_busiest_hours(PG_FUNCTION_ARGS)
{
	return return_by_time(fcinfo, &busiest_hours, "presence.busiest_hours()");
}

/* peak_members_by_day(book_id, since, until, time_zone) */
Datum
presence_peak_members_by_day(PG_FUNCTION_ARGS)
{
	return return_by_time(fcinfo, &peaks, "presence.peak_members_by_day()");
}

/* average_stay(book_id, since, until): of the stays that ended then */
Datum
presence_average_stay(PG_FUNCTION_ARGS)
{
	Datum values[] = {PointerGetDatum(arg_past_book_id(fcinfo, 0)),
					  TimestampTzGetDatum(arg_timestamptz(fcinfo, 1, "since")),
					  TimestampTzGetDatum(arg_timestamptz(fcinfo, 2, "until"))};

	return return_rows(fcinfo, &average_stay, values, "presence.average_stay()");
}

/* largest_rooms(max) */
Datum
presence_largest_rooms(PG_FUNCTION_ARGS)
{
	Datum values[] = {Int64GetDatum((int64) arg_max(fcinfo, 0))};

	return return_rows(fcinfo, &largest_rooms, values, "presence.largest_rooms()");
}
