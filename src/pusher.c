/*
 * pusher.c
 *	  Pusher apps: what may be in presence.pusher_app, and who reads it.
 *
 * Secrets are read from presence.pusher_app as its owner and handed to
 * OpenSSL; none is in a result, an error or a statement's parameters. Errors of
 * all: 22004 and 22023 for bad arguments, 42704 for an unknown app.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "events.h"
#include "json.h"
#include "limits.h"
#include "member_state.h"
#include "settings.h"
#include "pusher.h"
#include "store.h"

#define MAX_LISTED_MEMBERS 1000 /* a gateway encodes them anew when somebody comes */

PG_FUNCTION_INFO_V1(presence_pusher_app_check);
PG_FUNCTION_INFO_V1(presence_pusher_app_changed);
PG_FUNCTION_INFO_V1(presence_pusher_apps);
PG_FUNCTION_INFO_V1(presence_pusher_verify_webhook);

static void
check_column(TupleDesc tupdesc, HeapTuple row, int column)
{
	const char *name;
	bool isnull;
	Datum value;

	if (tupdesc->natts < column || TupleDescAttr(tupdesc, column - 1)->atttypid != TEXTOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("pusher_app_check is for columns of type text")));
	name = SPI_fname(tupdesc, column);
	value = SPI_getbinval(row, tupdesc, column, &isnull);
	if (isnull)
		null_argument(name);
	if (VARSIZE_ANY_EXHDR(DatumGetTextPP(value)) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s of a Pusher app must not be empty", name)));
}

/* A column that is there since 0.3; false before. */
static bool
new_column(TupleDesc tupdesc, HeapTuple row, const char *name, Oid type, Datum *value, bool *isnull)
{
	int column = SPI_fnumber(tupdesc, name);

	if (column <= 0 || TupleDescAttr(tupdesc, column - 1)->atttypid != type)
		return false;
	*value = SPI_getbinval(row, tupdesc, column, isnull);
	return true;
}

/* room_prefix begins the ids of rooms. */
static void
check_room_prefix(TupleDesc tupdesc, HeapTuple row)
{
	bool isnull;
	Datum value;

	if (!new_column(tupdesc, row, "room_prefix", TEXTOID, &value, &isnull))
		return;
	if (isnull)
		null_argument("room_prefix");
	if (VARSIZE_ANY_EXHDR(DatumGetTextPP(value)) > 0)
		check_room_prefix_value(DatumGetTextPP(value));
}

/* The key of encrypted channels: NULL, or 32 bytes in base64. */
static void
check_master_key(TupleDesc tupdesc, HeapTuple row)
{
	unsigned char key[SIGNATURE_KEY_LEN];
	bool isnull;
	Datum value;

	if (!new_column(tupdesc, row, "encryption_master_key", TEXTOID, &value, &isnull))
		return;
	if (!isnull && !signature_master_key(text_bytes(DatumGetTextPP(value)), key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("encryption_master_key of a Pusher app must be 32 bytes in base64")));
	explicit_bzero(key, sizeof(key));
}

/* Whether presence channels that are no rooms exist. */
static void
check_presence_channels(TupleDesc tupdesc, HeapTuple row)
{
	bool isnull;
	Datum datum;
	const char *value;

	if (!new_column(tupdesc, row, "presence_channels", TEXTOID, &datum, &isnull))
		return;
	if (isnull)
		null_argument("presence_channels");
	value = TextDatumGetCString(datum);
	if (strcmp(value, "refuse") != 0 && strcmp(value, "allow") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid presence_channels: \"%s\"", value),
						errdetail("It is \"refuse\" or \"allow\".")));
}

/* How many members of a room clients are given at most, NULL: all. */
static void
check_max_listed_members(TupleDesc tupdesc, HeapTuple row)
{
	bool isnull;
	Datum value;

	if (!new_column(tupdesc, row, "max_listed_members", INT4OID, &value, &isnull))
		return;
	if (!isnull && (DatumGetInt32(value) < 0 || DatumGetInt32(value) > MAX_LISTED_MEMBERS))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_listed_members must be between 0 and %d: %d",
							   MAX_LISTED_MEMBERS, DatumGetInt32(value))));
}

/*
 * Trigger on presence.pusher_app: no column may be NULL or empty. A constraint
 * would print the failing row, and with it the secret.
 */
Datum
presence_pusher_app_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple row;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pusher_app_check must be fired before insert or update for each row")));
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	for (int column = 1; column <= 3; column++)
		check_column(trigger->tg_relation->rd_att, row, column);
	check_room_prefix(trigger->tg_relation->rd_att, row);
	check_master_key(trigger->tg_relation->rd_att, row);
	check_presence_channels(trigger->tg_relation->rd_att, row);
	check_max_listed_members(trigger->tg_relation->rd_att, row);
	return PointerGetDatum(row);
}

/* Trigger on presence.pusher_app, after each statement: gateways read it again. */
Datum
presence_pusher_app_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("pusher_app_changed must be called as a trigger")));
	event_apps();
	return PointerGetDatum(NULL);
}

/* The table as 0.2 made it, until ALTER EXTENSION UPDATE. */
static bool
has_room_prefix(void)
{
	return get_attnum(store_relation("pusher_app"), "room_prefix") != InvalidAttrNumber;
}

static PusherApp
read_app(void)
{
	Datum values[4];
	bool nulls[4];

	store_row(SPI_tuptable, 0, values, nulls);
	return (PusherApp){.key = DatumGetTextPP(store_datum(values, nulls, 0)),
					   .secret = DatumGetTextPP(store_datum(values, nulls, 1)),
					   .room_prefix = DatumGetTextPP(store_datum(values, nulls, 2)),
					   .master_key = nulls[3] ? NULL : DatumGetTextPP(values[3])};
}

static bool
find_app(text *key, PusherApp *app)
{
	static Statement find = {.sql = "SELECT a.key, a.secret, a.room_prefix, a.encryption_master_key"
									" FROM presence.pusher_app AS a"
									" WHERE a.key OPERATOR(pg_catalog.=) $1 AND a.enabled",
							 .args = "t",
							 .columns = "tttt",
							 .callers_snapshot = true};
	static Statement find_old = {
		.sql = "SELECT a.key, a.secret, ''::pg_catalog.text, NULL::pg_catalog.text"
			   " FROM presence.pusher_app AS a"
			   " WHERE a.key OPERATOR(pg_catalog.=) $1",
		.args = "t",
		.columns = "tttt",
		.callers_snapshot = true};
	Datum values[] = {PointerGetDatum(key)};

	if (store_execute(has_room_prefix() ? &find : &find_old, values, NULL) == 0)
		return false;
	*app = read_app();
	return true;
}

/* All that are enabled, in the last result; returns how many. */
static int
find_apps(void)
{
	static Statement find = {.sql = "SELECT a.key, a.secret, a.room_prefix, a.encryption_master_key"
									" FROM presence.pusher_app AS a WHERE a.enabled",
							 .args = "",
							 .columns = "tttt",
							 .callers_snapshot = true};
	static Statement find_old = {
		.sql = "SELECT a.key, a.secret, ''::pg_catalog.text, NULL::pg_catalog.text"
			   " FROM presence.pusher_app AS a",
		.args = "",
		.columns = "tttt",
		.callers_snapshot = true};

	return (int) store_execute(has_room_prefix() ? &find : &find_old, NULL, NULL);
}

PusherApp
pusher_app(text *key)
{
	PusherApp app;
	int napps;

	if (key)
	{
		if (!find_app(key, &app))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("Pusher app with key \"%s\" does not exist", text_to_cstring(key))));
		return app;
	}
	napps = find_apps();
	if (napps == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no Pusher app"),
						errhint("Insert one into presence.pusher_app.")));
	if (napps > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("app_key must be given, since there are %d Pusher apps", napps)));
	return read_app();
}

/* pusher_apps(): for gateways, which verify signatures themselves */
Datum
presence_pusher_apps(PG_FUNCTION_ARGS)
{
	static Statement list = {
		.sql = "SELECT a.app_id, a.key, a.secret, a.room_prefix, a.enabled, a.client_events,"
			   " a.max_connections, a.allowed_origins, a.presence_channels, a.require_tls,"
			   " a.subscription_count, a.max_listed_members,"
			   " (SELECT pg_catalog.array_agg(DISTINCT e.name) FROM presence.pusher_webhook AS w"
			   " CROSS JOIN LATERAL pg_catalog.unnest(w.events) AS e (name)"
			   " WHERE w.app_id OPERATOR(pg_catalog.=) a.app_id AND w.enabled)"
			   " FROM presence.pusher_app AS a ORDER BY a.app_id, a.key",
		.args = "",
		.columns = "ttttbbnTtbbnT",
		.callers_snapshot = true};
	static Statement list_old = {.sql = "SELECT a.app_id, a.key, a.secret"
										" FROM presence.pusher_app AS a ORDER BY a.app_id",
								 .args = "",
								 .columns = "ttt",
								 .callers_snapshot = true};
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.pusher_apps()");
	store_return_rows((ReturnSetInfo *) fcinfo->resultinfo,
					  store_execute(has_room_prefix() ? &list : &list_old, NULL, NULL));
	store_close(&store);
	return (Datum) 0;
}

bool
pusher_room_of_channel(const PusherApp *app, Bytes channel, text **book_id)
{
	size_t prefix_len = strlen(presence_channel_prefix);
	char *name;

	if (channel.len <= prefix_len || memcmp(channel.data, presence_channel_prefix, prefix_len) != 0)
		return false;
	name = pnstrdup(channel.data + prefix_len, channel.len - prefix_len);
	*book_id = cstring_to_text(psprintf("%s%s", text_to_cstring(app->room_prefix), name));
	return is_book_id(*book_id) && !is_channel_room(*book_id);
}

bool
pusher_webhook_signed(text *app_key, text *signature, text *body, PusherApp *app)
{
	char hex[SIGNATURE_HEX_LEN + 1];
	Bytes part = text_bytes(body);

	if (!find_app(app_key, app))
		return false;
	if (!signature_hmac(text_bytes(app->secret), &part, 1, hex))
		elog(ERROR, "could not compute an HMAC");
	return signature_equal(hex, text_bytes(signature));
}

/* pusher_verify_webhook(app_key, signature, body): an unknown key has signed nothing */
Datum
presence_pusher_verify_webhook(PG_FUNCTION_ARGS)
{
	text *app_key = arg_text(fcinfo, 0, "app_key");
	text *signature = arg_text(fcinfo, 1, "signature");
	text *body = arg_text(fcinfo, 2, "body");
	PusherApp app;
	bool verified;
	Store store;

	store_open(&store, STORE_READ, "presence.pusher_verify_webhook()");
	verified = pusher_webhook_signed(app_key, signature, body, &app);
	store_close(&store);
	PG_RETURN_BOOL(verified);
}
