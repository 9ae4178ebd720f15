/*
 * cache.c
 *	  The last event of each cache channel: kept by gateways, for all gateways.
 *
 * A message is what a gateway sends: event and data as one JSON text of ASCII characters, so that
 * any database can hold it, and data that is encrypted stays what it is. Nothing here reads it.
 *
 * The table is unlogged: after a crash there is no last event, as on a Pusher that was restarted.
 * It is bounded: CHANNELS_AN_APP channels an app, of which those that were written to longest ago
 * go first, and MESSAGE_BYTES each. Rows are written in the order of their key, so that two
 * gateways do not wait for each other crosswise.
 *
 * Errors of all: 22004 and 22023 for bad arguments, 25006 on a standby.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "limits.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_cache_events);
PG_FUNCTION_INFO_V1(presence_cached_events);
PG_FUNCTION_INFO_V1(presence_purge_cache);

#define CACHE_SECONDS   1800 /* that an event is kept, as Pusher does */
#define MESSAGE_BYTES   131072
#define CHANNELS_AN_APP 10000

/* A text[] without nulls; returns how many. */
static int
texts_arg(FunctionCallInfo fcinfo, int argno, const char *name, Datum **texts)
{
	bool *nulls;
	int n;

	if (PG_ARGISNULL(argno))
		null_argument(name);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false, TYPALIGN_INT, texts, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s must not contain null values", name),
							errdetail("Element %d is null.", i + 1)));
	return n;
}

static void
check_same_length(int n, int m)
{
	if (n != m)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the arrays have different lengths"),
						errdetail("One has %d elements, another one %d.", n, m)));
}

/* The first two arguments of all: whose channels, and which. */
static int
channels_args(FunctionCallInfo fcinfo, Datum **app_ids, Datum **channels)
{
	int n = texts_arg(fcinfo, 0, "app_ids", app_ids);

	check_same_length(n, texts_arg(fcinfo, 1, "channels", channels));
	for (int i = 0; i < n; i++)
		check_channel_name(DatumGetTextPP((*channels)[i]));
	return n;
}

static void
check_message(text *message)
{
	if (VARSIZE_ANY_EXHDR(message) > MESSAGE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a message has %d bytes", (int) VARSIZE_ANY_EXHDR(message)),
						errdetail("The limit is %d.", MESSAGE_BYTES)));
}

/* Writes them; whether any channel is there for the first time. */
static bool
write_messages(Datum *arrays)
{
	static Statement write = {
		.sql = "INSERT INTO presence.channel_cache AS c (app_id, channel, message, expires_at)"
			   " SELECT DISTINCT ON (d.app_id, d.channel) d.app_id, d.channel, d.message, $4"
			   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
			   " pg_catalog.unnest($3)) WITH ORDINALITY AS d(app_id, channel, message, n)"
			   " ORDER BY d.app_id, d.channel, d.n DESC"
			   " ON CONFLICT ON CONSTRAINT channel_cache_pkey DO UPDATE"
			   " SET message = EXCLUDED.message, expires_at = EXCLUDED.expires_at"
			   " RETURNING c.xmax OPERATOR(pg_catalog.=) 0",
		.args = "TTTz",
		.columns = "b"};
	Datum values[] = {
		arrays[0], arrays[1], arrays[2],
		TimestampTzGetDatum(GetCurrentStatementStartTimestamp() + CACHE_SECONDS * USECS_PER_SEC)};
	uint64 n = store_execute(&write, values, NULL);
	bool any = false;

	for (uint64 i = 0; i < n && !any; i++)
	{
		Datum inserted[1];
		bool isnull[1];

		store_row(SPI_tuptable, i, inserted, isnull);
		any = DatumGetBool(store_datum(inserted, isnull, 0));
	}
	return any;
}

/* Of these apps, what is over their number of channels. */
static void
delete_excess(Datum app_ids)
{
	static Statement excess = {
		.sql = "DELETE FROM presence.channel_cache AS c USING (SELECT o.app_id, o.channel"
			   " FROM (SELECT DISTINCT d.app_id FROM pg_catalog.unnest($1) AS d(app_id)) AS a"
			   " CROSS JOIN LATERAL (SELECT e.app_id, e.channel FROM presence.channel_cache AS e"
			   " WHERE e.app_id OPERATOR(pg_catalog.=) a.app_id"
			   " ORDER BY e.expires_at DESC OFFSET $2) AS o) AS x"
			   " WHERE c.app_id OPERATOR(pg_catalog.=) x.app_id"
			   " AND c.channel OPERATOR(pg_catalog.=) x.channel",
		.args = "Ti",
		.columns = ""};
	Datum values[] = {app_ids, Int64GetDatum(CHANNELS_AN_APP)};

	store_execute(&excess, values, NULL);
}

/* cache_events(app_ids, channels, messages) */
Datum
presence_cache_events(PG_FUNCTION_ARGS)
{
	Datum *app_ids;
	Datum *channels;
	Datum *messages;
	int n = channels_args(fcinfo, &app_ids, &channels);
	Datum arrays[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Store store;

	check_same_length(n, texts_arg(fcinfo, 2, "messages", &messages));
	for (int i = 0; i < n; i++)
		check_message(DatumGetTextPP(messages[i]));
	store_open(&store, STORE_WRITE, "presence.cache_events()");
	if (write_messages(arrays))
		delete_excess(arrays[0]);
	store_close(&store);
	PG_RETURN_VOID();
}

/* cached_events(app_ids, channels): of these, those that have a last event */
Datum
presence_cached_events(PG_FUNCTION_ARGS)
{
	static Statement read = {
		.sql =
			"SELECT c.app_id, c.channel, c.message, pg_catalog.ceil(pg_catalog.date_part('epoch',"
			" c.expires_at OPERATOR(pg_catalog.-) $3))::pg_catalog.int4"
			" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(app_id, channel)"
			" JOIN presence.channel_cache AS c ON c.app_id OPERATOR(pg_catalog.=) d.app_id"
			" AND c.channel OPERATOR(pg_catalog.=) d.channel"
			" AND c.expires_at OPERATOR(pg_catalog.>) $3",
		.args = "TTz",
		.columns = "tttn",
		.callers_snapshot = true};
	Datum *app_ids;
	Datum *channels;
	Datum values[3];
	Store store;

	(void) channels_args(fcinfo, &app_ids, &channels);
	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.cached_events()");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = TimestampTzGetDatum(GetCurrentStatementStartTimestamp());
	store_return_rows((ReturnSetInfo *) fcinfo->resultinfo, store_execute(&read, values, NULL));
	store_close(&store);
	return (Datum) 0;
}

/* purge_cache(): deletes what has expired, but what another transaction holds locked */
Datum
presence_purge_cache(PG_FUNCTION_ARGS)
{
	static Statement purge = {
		.sql = "DELETE FROM presence.channel_cache AS c USING (SELECT o.app_id, o.channel"
			   " FROM presence.channel_cache AS o WHERE o.expires_at OPERATOR(pg_catalog.<=) $1"
			   " FOR UPDATE SKIP LOCKED) AS x WHERE c.app_id OPERATOR(pg_catalog.=) x.app_id"
			   " AND c.channel OPERATOR(pg_catalog.=) x.channel",
		.args = "z",
		.columns = ""};
	Datum values[] = {TimestampTzGetDatum(GetCurrentStatementStartTimestamp())};
	int32 purged;
	Store store;

	(void) fcinfo;
	store_open(&store, STORE_WRITE, "presence.purge_cache()");
	purged = (int32) store_execute(&purge, values, NULL);
	store_close(&store);
	PG_RETURN_INT32(purged);
}
