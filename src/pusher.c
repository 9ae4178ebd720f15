/*
 * pusher.c
 *	  The SQL functions that sign for Pusher, and for servers that speak its protocol.
 *
 * Secrets are read from presence.pusher_app as its owner and handed to
 * OpenSSL; none is in a result, an error or a statement's parameters. Errors of
 * all: 22004 and 22023 for bad arguments, 42704 for an unknown app, 42501 for a
 * channel the user may not subscribe to.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "json.h"
#include "limits.h"
#include "liveness.h"
#include "presence.h"
#include "pusher.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_pusher_app_check);
PG_FUNCTION_INFO_V1(presence_pusher_apps);
PG_FUNCTION_INFO_V1(presence_pusher_auth_signature);
PG_FUNCTION_INFO_V1(presence_pusher_authorize_channel);
PG_FUNCTION_INFO_V1(presence_pusher_authenticate_user);
PG_FUNCTION_INFO_V1(presence_pusher_verify_webhook);

#define PRIVATE_USER_PREFIX "private-user-"

Bytes
utf8_bytes(const char *s, int len)
{
	char *utf8 = pg_server_to_any(s, len, PG_UTF8);

	return (Bytes){utf8, utf8 == s ? (size_t) len : strlen(utf8)};
}

Bytes
text_bytes(text *value)
{
	return utf8_bytes(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
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
	{
		TupleDesc tupdesc = trigger->tg_relation->rd_att;
		bool isnull;
		Datum value;

		if (tupdesc->natts < 3 || TupleDescAttr(tupdesc, column - 1)->atttypid != TEXTOID)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("pusher_app_check is for columns of type text")));
		value = SPI_getbinval(row, trigger->tg_relation->rd_att, column, &isnull);

		if (isnull)
			null_argument(SPI_fname(trigger->tg_relation->rd_att, column));
		if (VARSIZE_ANY_EXHDR(DatumGetTextPP(value)) == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s of a Pusher app must not be empty",
								   SPI_fname(trigger->tg_relation->rd_att, column))));
	}
	return PointerGetDatum(row);
}

static PusherApp
result_app(void)
{
	return (PusherApp){.key = DatumGetTextPP(store_datum(SPI_tuptable, 0, 1)),
					   .secret = DatumGetTextPP(store_datum(SPI_tuptable, 0, 2))};
}

bool
pusher_find_app(text *key, PusherApp *app)
{
	Datum values[] = {PointerGetDatum(key)};

	if (store_execute(APP_BY_KEY, values, NULL) == 0)
		return false;
	*app = result_app();
	return true;
}

PusherApp
pusher_app(text *key)
{
	PusherApp app;
	uint64 napps;

	if (key)
	{
		if (!pusher_find_app(key, &app))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("Pusher app with key \"%s\" does not exist", text_to_cstring(key))));
		return app;
	}
	napps = store_execute(APPS, NULL, NULL);
	if (napps == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no Pusher app"),
						errhint("Insert one into presence.pusher_app.")));
	if (napps > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("app_key must be given, since there are %d Pusher apps", (int) napps)));
	return result_app();
}

/* pusher_apps(): for gateways, which verify signatures themselves */
Datum
presence_pusher_apps(PG_FUNCTION_ARGS)
{
	Store store;

	InitMaterializedSRF(fcinfo, 0);
	store_open(&store, STORE_READ, "presence.pusher_apps()");
	store_return_rows((ReturnSetInfo *) fcinfo->resultinfo, store_execute(APPS, NULL, NULL));
	store_close(&store);
	return (Datum) 0;
}

static text *
arg_app_key(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_TEXT_PP(argno);
}

static text *
arg_socket_id(FunctionCallInfo fcinfo, int argno)
{
	text *socket_id = arg_text(fcinfo, argno, "socket_id");

	check_socket_id(socket_id);
	return socket_id;
}

static text *
arg_channel_name(FunctionCallInfo fcinfo, int argno)
{
	text *channel_name = arg_text(fcinfo, argno, "channel_name");

	check_channel_name(channel_name);
	return channel_name;
}

/* "key:signature", in the current memory context. */
static char *
channel_auth(PusherApp app, text *socket_id, text *channel_name, const Bytes *channel_data)
{
	char hex[SIGNATURE_HEX_LEN + 1];

	if (!signature_channel(text_bytes(app.secret), text_bytes(socket_id), text_bytes(channel_name),
						   channel_data, hex))
		elog(ERROR, "could not compute an HMAC");
	return psprintf("%s:%s", text_to_cstring(app.key), hex);
}

/* pusher_auth_signature(socket_id, channel_name, channel_data, app_key) */
Datum
presence_pusher_auth_signature(PG_FUNCTION_ARGS)
{
	text *socket_id = arg_socket_id(fcinfo, 0);
	text *channel_name = arg_channel_name(fcinfo, 1);
	Bytes channel_data = {NULL, 0};
	const char *auth;
	text *result;
	MemoryContext old;
	Store store;

	if (!PG_ARGISNULL(2))
		channel_data = text_bytes(PG_GETARG_TEXT_PP(2));
	store_open(&store, STORE_READ, "presence.pusher_auth_signature()");
	auth = channel_auth(pusher_app(arg_app_key(fcinfo, 3)), socket_id, channel_name,
						channel_data.data ? &channel_data : NULL);
	old = MemoryContextSwitchTo(store.caller);
	result = cstring_to_text(auth);
	MemoryContextSwitchTo(old);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

bool
pusher_room_of_channel(Bytes channel, text **book_id)
{
	size_t prefix_len = strlen(presence_channel_prefix);

	if (channel.len <= prefix_len || channel.len > prefix_len + MAX_BOOK_ID_CHARS ||
		memcmp(channel.data, presence_channel_prefix, prefix_len) != 0 ||
		!channel_chars_only(channel.data, channel.len))
		return false;
	*book_id =
		cstring_to_text_with_len(channel.data + prefix_len, (int) (channel.len - prefix_len));
	return true;
}

/* private-user-{id}: the user's own */
static bool
is_users_own_channel(text *user_id, Bytes channel)
{
	Bytes id = text_bytes(user_id);
	size_t prefix_len = strlen(PRIVATE_USER_PREFIX);

	return channel.len == prefix_len + id.len &&
		   memcmp(channel.data, PRIVATE_USER_PREFIX, prefix_len) == 0 &&
		   memcmp(channel.data + prefix_len, id.data, id.len) == 0;
}

/*
 * A room may be subscribed to by anyone the app asks for, up to Pusher's
 * limit, which does not count against who is in already: a second tab is no new member.
 * Returns the user_info of the open presence, if there is one.
 */
static Jsonb *
admit_to_room(text *user_id, text *book_id)
{
	bool bare = liveness_bare_reads();
	Datum values[] = {PointerGetDatum(book_id), TimestampTzGetDatum(presence_now()),
					  liveness_reads_from(), PointerGetDatum(user_id)};
	int members;

	if (store_execute(bare ? MEMBER_INFO_BARE : MEMBER_INFO, values, NULL) > 0)
		return store_jsonb(SPI_tuptable, 0, 0);
	if (presence_pusher_max_members == 0)
		return NULL;

	store_execute(bare ? MEMBER_COUNT_BARE : MEMBER_COUNT, values, NULL);
	members = DatumGetInt32(store_datum(SPI_tuptable, 0, 0));
	if (members >= presence_pusher_max_members)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("room \"%s\" is full", text_to_cstring(book_id)),
						errdetail("It has %d members; presence.pusher_max_members is %d.", members,
								  presence_pusher_max_members),
						errhint("Poll the room with presence.poll_room().")));
	return NULL;
}

/* {"user_id":"...","user_info":{...}}, without user_info if there is none */
static void
append_user(StringInfo out, const char *id_key, text *user_id, Jsonb *user_info)
{
	appendStringInfo(out, "{\"%s\":", id_key);
	json_append_text(out, user_id);
	if (user_info)
	{
		appendStringInfoString(out, ",\"user_info\":");
		json_append_jsonb(out, user_info);
	}
	appendStringInfoChar(out, '}');
}

/* {"auth":"key:signature","data_key":"the signed bytes"} */
static text *
auth_json(MemoryContext caller, const char *auth, const char *data_key, StringInfo data)
{
	StringInfoData out;
	MemoryContext old = MemoryContextSwitchTo(caller);
	text *result;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"auth\":");
	json_append_text(&out, cstring_to_text(auth));
	if (data->len > 0)
	{
		appendStringInfo(&out, ",\"%s\":", data_key);
		json_append_text(&out, cstring_to_text_with_len(data->data, data->len));
	}
	appendStringInfoChar(&out, '}');
	result = cstring_to_text_with_len(out.data, out.len);
	MemoryContextSwitchTo(old);
	return result;
}

/* pusher_authorize_channel(user_id, socket_id, channel_name, user_info, app_key) */
Datum
presence_pusher_authorize_channel(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *socket_id = arg_socket_id(fcinfo, 1);
	text *channel_name = arg_channel_name(fcinfo, 2);
	Jsonb *user_info = arg_user_info(fcinfo, 3);
	text *book_id;
	StringInfoData channel_data;
	Bytes signed_data;
	PusherApp app;
	text *result;
	Store store;

	store_open(&store, STORE_READ, "presence.pusher_authorize_channel()");
	initStringInfo(&channel_data);
	if (pusher_room_of_channel(text_bytes(channel_name), &book_id))
	{
		Jsonb *joined_info = admit_to_room(user_id, book_id);

		append_user(&channel_data, "user_id", user_id, user_info ? user_info : joined_info);
	}
	else if (!is_users_own_channel(user_id, text_bytes(channel_name)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("user \"%s\" may not subscribe to channel \"%s\"",
							   text_to_cstring(user_id), text_to_cstring(channel_name))));

	app = pusher_app(arg_app_key(fcinfo, 4));
	signed_data = utf8_bytes(channel_data.data, channel_data.len);
	result = auth_json(
		store.caller,
		channel_auth(app, socket_id, channel_name, channel_data.len > 0 ? &signed_data : NULL),
		"channel_data", &channel_data);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

/* pusher_authenticate_user(user_id, socket_id, user_info, app_key) */
Datum
presence_pusher_authenticate_user(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *socket_id = arg_socket_id(fcinfo, 1);
	Jsonb *user_info = arg_user_info(fcinfo, 2);
	char hex[SIGNATURE_HEX_LEN + 1];
	StringInfoData user_data;
	PusherApp app;
	text *result;
	Store store;

	store_open(&store, STORE_READ, "presence.pusher_authenticate_user()");
	initStringInfo(&user_data);
	append_user(&user_data, "id", user_id, user_info);
	app = pusher_app(arg_app_key(fcinfo, 3));
	if (!signature_user(text_bytes(app.secret), text_bytes(socket_id),
						utf8_bytes(user_data.data, user_data.len), hex))
		elog(ERROR, "could not compute an HMAC");
	result = auth_json(store.caller, psprintf("%s:%s", text_to_cstring(app.key), hex), "user_data",
					   &user_data);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

bool
pusher_webhook_signed(text *app_key, text *signature, text *body)
{
	char hex[SIGNATURE_HEX_LEN + 1];
	Bytes part = text_bytes(body);
	PusherApp app;

	if (!pusher_find_app(app_key, &app))
		return false;
	if (!signature_hmac(text_bytes(app.secret), &part, 1, hex))
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
	bool verified;
	Store store;

	store_open(&store, STORE_READ, "presence.pusher_verify_webhook()");
	verified = pusher_webhook_signed(app_key, signature, body);
	store_close(&store);
	PG_RETURN_BOOL(verified);
}
