/*
 * channels.c
 *	  Who is subscribed to channels that are no rooms: what gateways report of it, and the sums.
 *
 * A gateway has a row for itself, and one for each channel that it has subscriptions to. Reports
 * wait for each other, by a lock that nothing else takes. So whoever holds it sees the sums as they
 * are, the first subscription of a channel is the first for one report only, and so is the last.
 * Nothing but reports waits: a gateway has one under way at a time, and clients know of none.
 *
 * A gateway that has not reported for LEASE counts no more; whoever reports next ends what it had.
 * The tables are unlogged. After a crash of the server they are empty, and who
 * reports is told to report all.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/array.h"

#include "limits.h"
#include "outbox.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_report_channels);
PG_FUNCTION_INFO_V1(presence_channel_counts);
PG_FUNCTION_INFO_V1(presence_occupied_channels);

#define LEASE         "interval '30 seconds'"
#define MAX_GATEWAY   64
#define NO_TEXT_ARRAY PointerGetDatum(construct_empty_array(TEXTOID))

/* Texts, as two columns: channels of apps. */
typedef struct ChannelNames
{
	Datum app_ids;
	Datum channels;
} ChannelNames;

typedef struct Report
{
	Datum gateway;
	ChannelNames names;
	Datum subscriptions;
	bool whole;
} Report;

static Report
report_args(FunctionCallInfo fcinfo)
{
	text *gateway = arg_text(fcinfo, 0, "gateway");
	Report report = {.gateway = PointerGetDatum(gateway)};
	int n = -1;

	if (VARSIZE_ANY_EXHDR(gateway) == 0 || VARSIZE_ANY_EXHDR(gateway) > MAX_GATEWAY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("gateway must have 1 to %d bytes", MAX_GATEWAY)));
	report.names.app_ids = arg_array(fcinfo, 1, "app_ids", &n);
	report.names.channels = arg_array(fcinfo, 2, "channels", &n);
	report.subscriptions = arg_array(fcinfo, 3, "subscriptions", &n);
	report.whole = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	return report;
}

/*
 * Writing: the lock must be held.
 */

/* The gateway is there; one that was not may only report the whole. */
static void
see_gateway(const Report *report)
{
	static Statement see = {.sql = "UPDATE presence.gateway AS g"
								   " SET seen = pg_catalog.clock_timestamp()"
								   " WHERE g.id OPERATOR(pg_catalog.=) $1",
							.args = "t",
							.columns = ""};
	static Statement begin = {.sql = "INSERT INTO presence.gateway AS g (id, since, seen)"
									 " VALUES ($1, pg_catalog.clock_timestamp(),"
									 " pg_catalog.clock_timestamp())",
							  .args = "t",
							  .columns = ""};
	Datum values[] = {report->gateway};

	if (store_execute(&see, values, NULL) > 0)
		return;
	if (!report->whole)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("this gateway is unknown"),
						errhint("Report all of its channels, with whole.")));
	store_execute(&begin, values, NULL);
}

static ChannelNames
names_in_row(void)
{
	Datum values[2];
	bool nulls[2];

	store_row(SPI_tuptable, 0, values, nulls);
	return (ChannelNames){nulls[0] ? NO_TEXT_ARRAY : values[0],
						  nulls[1] ? NO_TEXT_ARRAY : values[1]};
}

/* All that the gateway had. */
static ChannelNames
forget_own(const Report *report)
{
	static Statement forget = {
		.sql =
			"WITH own AS (DELETE FROM presence.gateway_channel AS c"
			" WHERE c.gateway OPERATOR(pg_catalog.=) $1 RETURNING c.app_id, c.channel)"
			" SELECT pg_catalog.array_agg(own.app_id), pg_catalog.array_agg(own.channel) FROM own",
		.args = "t",
		.columns = "TT"};
	Datum values[] = {report->gateway};

	store_execute(&forget, values, NULL);
	return names_in_row();
}

/* What gateways had that are gone. */
static ChannelNames
forget_gone(void)
{
	static Statement forget = {
		.sql = "WITH gone AS (DELETE FROM presence.gateway AS g WHERE g.seen OPERATOR(pg_catalog.<)"
			   " (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) " LEASE ") RETURNING g.id),"
			   " ended AS (DELETE FROM presence.gateway_channel AS c USING gone"
			   " WHERE c.gateway OPERATOR(pg_catalog.=) gone.id RETURNING c.app_id, c.channel)"
			   " SELECT pg_catalog.array_agg(ended.app_id), pg_catalog.array_agg(ended.channel)"
			   " FROM ended",
		.args = "",
		.columns = "TT"};

	store_execute(&forget, NULL, NULL);
	return names_in_row();
}

/* What $2 to $4 report; of a channel that comes twice the last one counts. */
#define REPORTED                                                                                   \
	"(SELECT DISTINCT ON (u.app_id, u.channel) u.app_id, u.channel, u.n"                           \
	" FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4))"        \
	" WITH ORDINALITY AS u (app_id, channel, n, o)"                                                \
	" ORDER BY u.app_id, u.channel, u.o DESC) AS t"

static void
write_counts(const Report *report)
{
	static Statement write = {.sql = "INSERT INTO presence.gateway_channel AS c"
									 " (app_id, channel, gateway, subscriptions)"
									 " SELECT t.app_id, t.channel, $1, t.n"
									 " FROM " REPORTED " WHERE t.n OPERATOR(pg_catalog.>) 0"
									 " ON CONFLICT (app_id, channel, gateway) DO UPDATE"
									 " SET subscriptions = excluded.subscriptions",
							  .args = "tTTN",
							  .columns = ""};
	/* each by the primary key, however few rows the planner thinks there are */
	static Statement end = {
		.sql = "DELETE FROM presence.gateway_channel AS c WHERE c.ctid OPERATOR(pg_catalog.=)"
			   " ANY (ARRAY(SELECT (SELECT d.ctid FROM presence.gateway_channel AS d"
			   " WHERE d.app_id OPERATOR(pg_catalog.=) t.app_id"
			   " AND d.channel OPERATOR(pg_catalog.=) t.channel"
			   " AND d.gateway OPERATOR(pg_catalog.=) $1)"
			   " FROM " REPORTED " WHERE t.n OPERATOR(pg_catalog.<=) 0))",
		.args = "tTTN",
		.columns = ""};
	Datum values[] = {report->gateway, report->names.app_ids, report->names.channels,
					  report->subscriptions};

	store_execute(&write, values, NULL);
	store_execute(&end, values, NULL);
}

/*
 * The sums of what has changed, for whom it may concern. The transaction got its number when it
 * wrote, with the lock: later reports have larger ones.
 */
static void
return_sums(FunctionCallInfo fcinfo, const Report *report, ChannelNames own, ChannelNames gone)
{
	static Statement sums = {
		.sql =
			"SELECT t.app_id, t.channel, (SELECT COALESCE(pg_catalog.sum(c.subscriptions), 0)"
			" FROM presence.gateway_channel AS c"
			" WHERE c.app_id OPERATOR(pg_catalog.=) t.app_id"
			" AND c.channel OPERATOR(pg_catalog.=) t.channel)::pg_catalog.int4,"
			" pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8"
			" FROM (SELECT u.app_id, u.channel FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
			" AS u (app_id, channel)"
			" UNION SELECT u.app_id, u.channel FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4))"
			" AS u (app_id, channel)"
			" UNION SELECT u.app_id, u.channel FROM ROWS FROM (pg_catalog.unnest($5), pg_catalog.unnest($6))"
			" AS u (app_id, channel)) AS t"
			" WHERE EXISTS (SELECT FROM presence.pusher_app AS a"
			" WHERE a.app_id OPERATOR(pg_catalog.=) t.app_id AND a.subscription_count)",
		.args = "TTTTTT",
		.columns = "ttni"};
	Datum values[] = {report->names.app_ids, report->names.channels, own.app_ids,
					  own.channels,          gone.app_ids,           gone.channels};

	store_return_rows((ReturnSetInfo *) fcinfo->resultinfo, store_execute(&sums, values, NULL));
}

static void
tell_outbox(const Report *report, ChannelNames own, ChannelNames gone)
{
	outbox_tell_channels(own.app_ids, own.channels);
	outbox_tell_channels(report->names.app_ids, report->names.channels);
	outbox_tell_channels(gone.app_ids, gone.channels);
}

/* report_channels(gateway, app_ids, channels, subscriptions, whole) */
Datum
presence_report_channels(PG_FUNCTION_ARGS)
{
	Report report = report_args(fcinfo);
	ChannelNames own = {NO_TEXT_ARRAY, NO_TEXT_ARRAY};
	ChannelNames gone;
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_WRITE, "presence.report_channels()");
	outbox_lock_channels();
	see_gateway(&report);
	if (report.whole)
		own = forget_own(&report);
	write_counts(&report);
	gone = forget_gone();
	tell_outbox(&report, own, gone);
	return_sums(fcinfo, &report, own, gone);
	store_close(&store);
	return (Datum) 0;
}

/*
 * Reading
 */

/* NULL: of all. */
static Datum
arg_except(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? CStringGetTextDatum("") : PG_GETARG_DATUM(argno);
}

static Datum
return_channels(FunctionCallInfo fcinfo, Statement *statement, Datum *values, const char *function)
{
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, function);
	store_return_rows((ReturnSetInfo *) fcinfo->resultinfo, store_execute(statement, values, NULL));
	store_close(&store);
	return (Datum) 0;
}

/* channel_counts(app_id, channels, except_gateway) */
Datum
presence_channel_counts(PG_FUNCTION_ARGS)
{
	static Statement counts = {.sql = "SELECT c.channel,"
									  " pg_catalog.sum(c.subscriptions)::pg_catalog.int4"
									  " FROM presence.gateway_channel AS c"
									  " WHERE c.app_id OPERATOR(pg_catalog.=) $1"
									  " AND c.channel OPERATOR(pg_catalog.=) ANY ($2)"
									  " AND c.gateway OPERATOR(pg_catalog.<>) $3"
									  " GROUP BY c.channel",
							   .args = "tTt",
							   .columns = "tn",
							   .callers_snapshot = true};
	int n = -1;
	Datum values[3];

	values[0] = PointerGetDatum(arg_text(fcinfo, 0, "app_id"));
	values[1] = arg_array(fcinfo, 1, "channels", &n);
	values[2] = arg_except(fcinfo, 2);
	return return_channels(fcinfo, &counts, values, "presence.channel_counts()");
}

/* occupied_channels(app_id, prefix, except_gateway): ~ comes after all that a name has in it */
Datum
presence_occupied_channels(PG_FUNCTION_ARGS)
{
	static Statement list = {
		.sql = "SELECT c.channel, pg_catalog.sum(c.subscriptions)::pg_catalog.int4"
			   " FROM presence.gateway_channel AS c"
			   " WHERE c.app_id OPERATOR(pg_catalog.=) $1"
			   " AND c.channel OPERATOR(pg_catalog.>=) $2"
			   " AND c.channel OPERATOR(pg_catalog.<) ($2 OPERATOR(pg_catalog.||) '~')"
			   " AND c.gateway OPERATOR(pg_catalog.<>) $3"
			   " GROUP BY c.channel",
		.args = "ttt",
		.columns = "tn",
		.callers_snapshot = true};
	Datum values[3];

	values[0] = PointerGetDatum(arg_text(fcinfo, 0, "app_id"));
	values[1] = PointerGetDatum(arg_text(fcinfo, 1, "prefix"));
	values[2] = arg_except(fcinfo, 2);
	return return_channels(fcinfo, &list, values, "presence.occupied_channels()");
}
