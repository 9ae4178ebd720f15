/*
 * outbox_take.c
 *	  What waits to be told: handed to the gateway that leads, and deleted when it was received.
 *
 * The leader is the session that holds a lock: as long as it lives, and not a moment longer,
 * whatever clocks say. It is taken with the first call of webhook_take() that finds it free.
 * PostgreSQL releases it when the session ends; of a machine that is gone without a word, when TCP
 * notices.
 *
 * Nothing is marked as being sent. A leader that dies with a delivery under way leaves the rows
 * where they are, and the next one sends them again: at least once, in the order of their ids.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"

#include "limits.h"
#include "outbox.h"
#include "result.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_webhook_take);
PG_FUNCTION_INFO_V1(presence_webhook_done);
PG_FUNCTION_INFO_V1(presence_webhook_tidy);

#define LEADER_LOCK    3 /* a kind of advisory lock that SQL has no functions for: 1 and 2 are its */
#define HINTS_A_CALL   "2000" /* whose rooms are looked at */
#define DROPS_A_CALL   "50000"
#define MAX_BATCH      10000
#define TIDY_MAX_EVENT 1000000000

/*
 * Whether this session is the leader, now or already; until it ends. An advisory lock: those of
 * relations end with the next error of the session, but not with its end.
 */
static bool
lead(void)
{
	LOCKTAG tag;
	LockAcquireResult result;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, store_relation("pusher_webhook"), 0, LEADER_LOCK);
	result = LockAcquire(&tag, ExclusiveLock, true, true);
	if (result == LOCKACQUIRE_NOT_AVAIL)
		return false;
	if (result != LOCKACQUIRE_OK) /* once is enough */
		LockRelease(&tag, ExclusiveLock, true);
	return true;
}

/*
 * Whether rooms became occupied or vacated where it is hinted. All hints of a room that can be seen
 * are looked at together, with what is in the rooms at that moment, of one snapshot: so what is
 * there now is what came of the last hint of a room. A room that was told to be vacated and has
 * members again, or the reverse, within that time is not told of.
 */
static void
resolve_hints(void)
{
	static Statement resolve = {
		.sql =
			"WITH g AS (SELECT q.webhook, q.channel,"
			" pg_catalog.min(q.event) AS book_id,"
			" pg_catalog.min(q.id) FILTER"
			" (WHERE q.name OPERATOR(pg_catalog.=) 'channel_occupied') AS came,"
			" pg_catalog.max(q.id) FILTER"
			" (WHERE q.name OPERATOR(pg_catalog.=) 'channel_vacated') AS went"
			" FROM (SELECT DISTINCT h.webhook, h.channel FROM (SELECT f.webhook, f.channel"
			" FROM presence.webhook_event AS f WHERE f.hint ORDER BY f.webhook, f.id"
			" LIMIT " HINTS_A_CALL ") AS h) AS room JOIN presence.webhook_event AS q"
			" ON q.webhook OPERATOR(pg_catalog.=) room.webhook"
			" AND q.channel OPERATOR(pg_catalog.=) room.channel AND q.hint"
			" GROUP BY q.webhook, q.channel),"
			" s AS (SELECT g.webhook, g.channel, g.came, g.went, w.events,"
			" EXISTS (SELECT FROM presence.webhook_channel AS o"
			" WHERE o.webhook OPERATOR(pg_catalog.=) g.webhook"
			" AND o.channel OPERATOR(pg_catalog.=) g.channel) AS told,"
			" EXISTS (SELECT FROM presence.room_presence AS p"
			" WHERE p.book_id OPERATOR(pg_catalog.=) g.book_id AND p.left_at IS NULL) AS here"
			" FROM g JOIN presence.pusher_webhook AS w"
			" ON w.id OPERATOR(pg_catalog.=) g.webhook),"
			" r AS (SELECT s.webhook, s.channel, s.events, s.told, s.here,"
			" CASE WHEN NOT s.told THEN s.came END AS occupied,"
			" CASE WHEN NOT s.here AND (s.told OR s.came IS NOT NULL) THEN s.went END AS vacated"
			" FROM s),"
			" came AS (INSERT INTO presence.webhook_channel AS o (webhook, channel, room)"
			" SELECT r.webhook, r.channel, true FROM r"
			" WHERE r.occupied IS NOT NULL AND r.vacated IS NULL),"
			" went AS (DELETE FROM presence.webhook_channel AS o USING r"
			" WHERE r.told AND r.vacated IS NOT NULL"
			" AND o.webhook OPERATOR(pg_catalog.=) r.webhook"
			" AND o.channel OPERATOR(pg_catalog.=) r.channel),"
			" k AS (SELECT r.webhook, r.channel, ARRAY["
			"CASE WHEN 'channel_occupied' OPERATOR(pg_catalog.=) ANY (r.events)"
			" THEN r.occupied END,"
			" CASE WHEN 'channel_vacated' OPERATOR(pg_catalog.=) ANY (r.events)"
			" THEN r.vacated END] AS ids FROM r),"
			" kept AS (UPDATE presence.webhook_event AS q SET hint = false,"
			" event = pg_catalog.json_build_object('name', q.name, 'channel',"
			" q.channel)::pg_catalog.text FROM k WHERE q.webhook OPERATOR(pg_catalog.=) k.webhook"
			" AND q.id OPERATOR(pg_catalog.=) ANY (k.ids))"
			" DELETE FROM presence.webhook_event AS q USING g LEFT JOIN k"
			" ON k.webhook OPERATOR(pg_catalog.=) g.webhook"
			" AND k.channel OPERATOR(pg_catalog.=) g.channel WHERE q.hint"
			" AND q.webhook OPERATOR(pg_catalog.=) g.webhook"
			" AND q.channel OPERATOR(pg_catalog.=) g.channel"
			" AND (q.id OPERATOR(pg_catalog.=) ANY (k.ids)) IS NOT TRUE",
		.args = "",
		.columns = ""};

	store_execute(&resolve, NULL, NULL);
}

/*
 * Of each webhook the first ones, in order, up to 64 kB, which any server reads; none behind a hint
 * that has come since.
 */
static uint64
take_first(Datum busy, int32 max_events)
{
	static Statement take = {
		.sql =
			"SELECT w.id, w.url, k.key, k.secret, b.ids,"
			" pg_catalog.concat('{\"time_ms\":', pg_catalog.floor(pg_catalog.date_part('epoch',"
			" pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8,"
			" ',\"events\":[', b.events, ']}')"
			" FROM presence.pusher_webhook AS w"
			" CROSS JOIN LATERAL (SELECT a.key, a.secret FROM presence.pusher_app AS a"
			" WHERE a.app_id OPERATOR(pg_catalog.=) w.app_id AND a.enabled"
			" AND (w.key IS NULL OR a.key OPERATOR(pg_catalog.=) w.key) ORDER BY a.key LIMIT 1) AS k"
			" CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(y.id ORDER BY y.id) AS ids,"
			" pg_catalog.string_agg(y.event, ',' ORDER BY y.id) AS events"
			" FROM (SELECT x.id, x.event, pg_catalog.sum(pg_catalog.length(x.event))"
			" OVER (ORDER BY x.id) AS size, pg_catalog.row_number() OVER (ORDER BY x.id) AS n"
			" FROM (SELECT q.id,"
			" CASE q.name WHEN 'subscription_count' THEN pg_catalog.json_build_object('name',"
			" q.name, 'channel', q.channel, 'subscription_count',"
			" (SELECT COALESCE(pg_catalog.sum(c.subscriptions), 0)"
			" FROM presence.gateway_channel AS c WHERE c.app_id OPERATOR(pg_catalog.=) w.app_id"
			" AND c.channel OPERATOR(pg_catalog.=) q.channel))::pg_catalog.text"
			" ELSE q.event END AS event"
			" FROM presence.webhook_event AS q WHERE q.webhook OPERATOR(pg_catalog.=) w.id"
			" AND NOT q.hint AND q.due OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
			" AND q.id OPERATOR(pg_catalog.<) COALESCE((SELECT pg_catalog.min(h.id)"
			" FROM presence.webhook_event AS h WHERE h.webhook OPERATOR(pg_catalog.=) w.id"
			" AND h.hint), 9223372036854775807)"
			" ORDER BY q.id LIMIT $2) AS x) AS y"
			" WHERE y.size OPERATOR(pg_catalog.<=) 65536 OR y.n OPERATOR(pg_catalog.=) 1) AS b"
			" WHERE w.enabled AND b.ids IS NOT NULL"
			" AND (w.id OPERATOR(pg_catalog.=) ANY ($1)) IS NOT TRUE",
		.args = "an",
		.columns = "itttat"};
	Datum values[] = {busy, Int32GetDatum(max_events)};

	return store_execute(&take, values, NULL);
}

static int32
arg_max_events(FunctionCallInfo fcinfo, int argno, int32 limit)
{
	int32 max_events;

	if (PG_ARGISNULL(argno))
		null_argument("max_events");
	max_events = PG_GETARG_INT32(argno);
	if (max_events < 1 || max_events > limit)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_events must be between 1 and %d", limit)));
	return max_events;
}

/* webhook_take(busy, max_events) */
Datum
presence_webhook_take(PG_FUNCTION_ARGS)
{
	int n = -1;
	Datum busy = arg_array(fcinfo, 0, "busy", &n);
	int32 max_events = arg_max_events(fcinfo, 1, MAX_BATCH);
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_WRITE, "presence.webhook_take()");
	if (lead())
	{
		resolve_hints();
		store_return_rows((ReturnSetInfo *) fcinfo->resultinfo, take_first(busy, max_events));
	}
	store_close(&store);
	return (Datum) 0;
}

/* webhook_done(webhook, ids) */
Datum
presence_webhook_done(PG_FUNCTION_ARGS)
{
	static Statement end = {.sql = "DELETE FROM presence.webhook_event AS q"
								   " WHERE q.webhook OPERATOR(pg_catalog.=) $1"
								   " AND q.id OPERATOR(pg_catalog.=) ANY ($2)",
							.args = "ia",
							.columns = ""};
	int n = -1;
	Datum values[2];
	uint64 nrows;
	Store store;

	if (PG_ARGISNULL(0))
		null_argument("webhook");
	values[0] = PG_GETARG_DATUM(0);
	values[1] = arg_array(fcinfo, 1, "ids", &n);
	store_open(&store, STORE_WRITE, "presence.webhook_done()");
	nrows = store_execute(&end, values, NULL);
	store_close(&store);
	PG_RETURN_INT32((int32) nrows);
}

/*
 * Upkeep
 */

/* What is too old, and what is too much. */
static int64
drop_old(Datum max_age, int32 max_events)
{
	static Statement drop = {
		.sql = "WITH b AS (SELECT w.id, (SELECT e.id FROM presence.webhook_event AS e"
			   " WHERE e.webhook OPERATOR(pg_catalog.=) w.id"
			   " ORDER BY e.id DESC OFFSET $2 LIMIT 1) AS oldest FROM presence.pusher_webhook AS w)"
			   " DELETE FROM presence.webhook_event AS d WHERE d.ctid OPERATOR(pg_catalog.=) ANY"
			   " (ARRAY(SELECT q.ctid FROM presence.webhook_event AS q"
			   " WHERE q.at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) $1)"
			   " OR EXISTS (SELECT FROM b WHERE b.id OPERATOR(pg_catalog.=) q.webhook"
			   " AND q.id OPERATOR(pg_catalog.<) b.oldest) ORDER BY q.webhook, q.id"
			   " LIMIT " DROPS_A_CALL "))",
		.args = "vi",
		.columns = ""};
	Datum values[] = {max_age, Int64GetDatum(max_events - 1)};

	return (int64) store_execute(&drop, values, NULL);
}

/*
 * After a crash of the server what gateways had reported is gone, and they report again. Who has
 * not within a lease had nothing more: what was told to be occupied and is not is vacated.
 */
static void
tell_lost_channels(void)
{
	static Statement find = {
		.sql = "SELECT pg_catalog.array_agg(w.app_id), pg_catalog.array_agg(o.channel)"
			   " FROM presence.webhook_channel AS o JOIN presence.pusher_webhook AS w"
			   " ON w.id OPERATOR(pg_catalog.=) o.webhook"
			   " WHERE NOT o.room AND NOT EXISTS (SELECT FROM presence.gateway_channel AS c"
			   " WHERE c.app_id OPERATOR(pg_catalog.=) w.app_id"
			   " AND c.channel OPERATOR(pg_catalog.=) o.channel)"
			   " AND EXISTS (SELECT FROM presence.gateway AS g WHERE g.since"
			   " OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) interval '30 s'))",
		.args = "",
		.columns = "TT"};
	Datum values[2];
	bool nulls[2];

	store_execute(&find, NULL, NULL);
	store_row(SPI_tuptable, 0, values, nulls);
	if (!nulls[0])
		outbox_tell_channels(values[0], values[1]);
}

static int64
count_waiting(void)
{
	static Statement count = {.sql = "SELECT pg_catalog.count(*) FROM presence.webhook_event AS q",
							  .args = "",
							  .columns = "i"};

	store_execute(&count, NULL, NULL);
	return DatumGetInt64(store_value());
}

/* webhook_tidy(max_age, max_events) */
Datum
presence_webhook_tidy(PG_FUNCTION_ARGS)
{
	Datum values[2];
	bool nulls[2] = {false, false};
	int32 max_events;
	int64 waiting;
	int64 dropped;
	Store store;

	if (PG_ARGISNULL(0))
		null_argument("max_age");
	max_events = arg_max_events(fcinfo, 1, TIDY_MAX_EVENT);
	store_open(&store, STORE_WRITE, "presence.webhook_tidy()");
	outbox_lock_channels();
	outbox_forget_gone();
	dropped = drop_old(PG_GETARG_DATUM(0), max_events);
	tell_lost_channels();
	waiting = count_waiting();
	store_close(&store);
	values[0] = Int64GetDatum(waiting);
	values[1] = Int64GetDatum(dropped);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_type(fcinfo), values, nulls)));
}
