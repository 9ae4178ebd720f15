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
#include "utils/builtins.h"

#include "limits.h"
#include "presence.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_members_at);
PG_FUNCTION_INFO_V1(presence_peak_members);
PG_FUNCTION_INFO_V1(presence_time_in_room);

/* members_at(book_id, at) */
Datum
presence_members_at(PG_FUNCTION_ARGS)
{
	Datum values[] = {PointerGetDatum(arg_book_id(fcinfo, 0)),
					  TimestampTzGetDatum(arg_timestamptz(fcinfo, 1, "at"))};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.members_at()");
	store_return_rows(rsinfo, store_execute(MEMBERS_AT, values, NULL));
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
	text *book_id = arg_book_id(fcinfo, 0);
	TimestampTz since = arg_timestamptz(fcinfo, 1, "since");
	TimestampTz until = arg_timestamptz(fcinfo, 2, "until");
	Datum values[] = {PointerGetDatum(book_id), TimestampTzGetDatum(since),
					  TimestampTzGetDatum(until)};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64 nrows;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.peak_members()");
	nrows = since < until ? store_execute(PEAK_MEMBERS, values, NULL) : 0;
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
	text *book_id = arg_book_id(fcinfo, 1);
	TimestampTz since = arg_timestamptz(fcinfo, 2, "since");
	TimestampTz until = arg_timestamptz(fcinfo, 3, "until");
	Datum values[] = {PointerGetDatum(user_id), PointerGetDatum(book_id),
					  TimestampTzGetDatum(since), TimestampTzGetDatum(until),
					  TimestampTzGetDatum(presence_now())};
	Interval *spent = palloc(sizeof(Interval));
	Store store;

	store_open(&store, STORE_READ, "presence.time_in_room()");
	store_execute(TIME_IN_ROOM, values, NULL);
	*spent = *DatumGetIntervalP(store_datum(SPI_tuptable, 0, 0));
	store_close(&store);
	PG_RETURN_INTERVAL_P(spent);
}
