/*
 * pusher_auth.c
 *	  The SQL functions that answer pusher-js: who may subscribe, who he is, what he decrypts with.
 *
 * Errors of all: 22004 and 22023 for bad arguments, 42704 for an unknown app, 42501 for a
 * channel the user may not subscribe to, 55000 for an encrypted channel of an app without a key.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "json.h"
#include "limits.h"
#include "member_state.h"
#include "pusher.h"
#include "settings.h"
#include "shards.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_pusher_auth_signature);
PG_FUNCTION_INFO_V1(presence_pusher_authorize_channel);
PG_FUNCTION_INFO_V1(presence_pusher_authenticate_user);
PG_FUNCTION_INFO_V1(presence_pusher_shared_secret);

#define ENCRYPTED_PREFIX "private-encrypted-"
#define MAX_WATCHLIST    100 /* Pusher's limit */

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

/* Takes a prefix off a channel's name; false: it has none such. */
static bool
skip(Bytes *channel, const char *prefix)
{
	size_t len = strlen(prefix);

	if (channel->len < len || memcmp(channel->data, prefix, len) != 0)
		return false;
	channel->data += len;
	channel->len -= len;
	return true;
}

static bool
is_encrypted(Bytes channel)
{
	return skip(&channel, ENCRYPTED_PREFIX);
}

/* private-user-{id}, also as a channel that is encrypted or has a cache: the user's own */
static bool
is_users_own_channel(text *user_id, Bytes channel)
{
	Bytes id = text_bytes(user_id);

	if (!skip(&channel, ENCRYPTED_PREFIX) && !skip(&channel, "private-"))
		return false;
	(void) skip(&channel, "cache-");
	return skip(&channel, "user-") && channel.len == id.len &&
		   memcmp(channel.data, id.data, id.len) == 0;
}

/* private-watch-room-{book_id}: the room's list and events, for one who is no member. */
static bool
is_watch_channel(const PusherApp *app, Bytes channel)
{
	const char *room;
	text *book_id;

	if (!skip(&channel, "private-watch-"))
		return false;
	room = psprintf("presence-%s", pnstrdup(channel.data, channel.len));
	return pusher_room_of_channel(app, (Bytes){room, strlen(room)}, &book_id);
}

/*
 * A room may be subscribed to by anyone the app asks for, up to Pusher's
 * limit, which does not count against who is in already: a second tab is no new member.
 * Returns the user_info of the open presence, if there is one. Who is told it, and has no limit,
 * needs nothing of the room, wherever that is.
 */
static Jsonb *
admit_to_room(MemberKey member, bool has_user_info)
{
	Presence presence;
	Liveness liveness;
	int members;

	if (has_user_info && presence_pusher_max_members == 0)
		return NULL;
	shards_require_here(member.book_id);
	if (presence_find_for_caller(member, &presence))
	{
		liveness = member_liveness(&presence);
		if (liveness.total == 0 || liveness.alive)
			return presence.user_info;
	}
	if (presence_pusher_max_members == 0)
		return NULL;

	members = member_count(member.book_id, presence_pusher_max_members, false);
	if (members >= presence_pusher_max_members)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("room \"%s\" is full", text_to_cstring(member.book_id)),
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

/* What a client decrypts the channel with. Raises 55000 if the app has no master key. */
static char *
shared_secret(const PusherApp *app, text *channel_name)
{
	char *secret = palloc(SIGNATURE_SHARED_SECRET_LEN + 1);

	if (app->master_key == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("Pusher app with key \"%s\" has no encryption_master_key",
							   text_to_cstring(app->key))));
	if (!signature_shared_secret(text_bytes(app->master_key), text_bytes(channel_name), secret))
		elog(ERROR, "could not compute a shared secret");
	return secret;
}

/* {"auth":"key:signature","data_key":"the signed bytes","shared_secret":"..."}; secret may be NULL
 */
static text *
auth_json(MemoryContext caller, const char *auth, const char *data_key, StringInfo data,
		  const char *secret)
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
	if (secret)
		appendStringInfo(&out, ",\"shared_secret\":\"%s\"", secret);
	appendStringInfoChar(&out, '}');
	result = cstring_to_text_with_len(out.data, out.len);
	MemoryContextSwitchTo(old);
	return result;
}

static bool
arg_flag(FunctionCallInfo fcinfo, int argno)
{
	return PG_NARGS() > argno && !PG_ARGISNULL(argno) && PG_GETARG_BOOL(argno);
}

/*
 * Whether the user may subscribe, to the app's knowledge; a room appends its channel_data. Raises
 * 42501 if he may not.
 */
static void
authorize(const PusherApp *app, text *user_id, text *channel_name, Jsonb *user_info, bool watch,
		  StringInfo channel_data)
{
	Bytes channel = text_bytes(channel_name);
	text *book_id;

	if (pusher_room_of_channel(app, channel, &book_id))
	{
		Jsonb *joined_info = admit_to_room((MemberKey){user_id, book_id}, user_info != NULL);

		append_user(channel_data, "user_id", user_id, user_info ? user_info : joined_info);
	}
	else if (!is_users_own_channel(user_id, channel) && !(watch && is_watch_channel(app, channel)))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("user \"%s\" may not subscribe to channel \"%s\"",
							   text_to_cstring(user_id), text_to_cstring(channel_name)),
						is_watch_channel(app, channel)
							? errhint("Who may watch is decided by the application: watch => true.")
							: 0));
}

/* pusher_authorize_channel(user_id, socket_id, channel_name, user_info, app_key, watch) */
Datum
presence_pusher_authorize_channel(PG_FUNCTION_ARGS)
{
	text *user_id = arg_user_id(fcinfo, 0);
	text *socket_id = arg_socket_id(fcinfo, 1);
	text *channel_name = arg_channel_name(fcinfo, 2);
	Jsonb *user_info = arg_user_info(fcinfo, 3);
	StringInfoData channel_data;
	Bytes signed_data;
	PusherApp app;
	text *result;
	Store store;

	store_open(&store, STORE_READ, "presence.pusher_authorize_channel()");
	initStringInfo(&channel_data);
	app = pusher_app(arg_app_key(fcinfo, 4));
	authorize(&app, user_id, channel_name, user_info, arg_flag(fcinfo, 5), &channel_data);
	signed_data = utf8_bytes(channel_data.data, channel_data.len);
	result = auth_json(
		store.caller,
		channel_auth(app, socket_id, channel_name, channel_data.len > 0 ? &signed_data : NULL),
		"channel_data", &channel_data,
		is_encrypted(text_bytes(channel_name)) ? shared_secret(&app, channel_name) : NULL);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

/* pusher_shared_secret(channel_name, app_key) */
Datum
presence_pusher_shared_secret(PG_FUNCTION_ARGS)
{
	text *channel_name = arg_channel_name(fcinfo, 0);
	PusherApp app;
	const char *secret;
	text *result;
	MemoryContext old;
	Store store;

	if (!is_encrypted(text_bytes(channel_name)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid channel_name: \"%s\"", text_to_cstring(channel_name)),
						errdetail("The name of an encrypted channel begins with \"%s\".",
								  ENCRYPTED_PREFIX)));
	store_open(&store, STORE_READ, "presence.pusher_shared_secret()");
	app = pusher_app(arg_app_key(fcinfo, 1));
	secret = shared_secret(&app, channel_name);
	old = MemoryContextSwitchTo(store.caller);
	result = cstring_to_text(secret);
	MemoryContextSwitchTo(old);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}

/* ,"watchlist":["..."] before the last brace */
static void
append_watchlist(StringInfo user_data, ArrayType *watchlist)
{
	Datum *ids;
	bool *nulls;
	int n;

	deconstruct_array(watchlist, TEXTOID, -1, false, TYPALIGN_INT, &ids, &nulls, &n);
	if (n > MAX_WATCHLIST)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("watchlist has %d users", n),
				 errdetail("The limit is %d.", MAX_WATCHLIST)));
	user_data->data[--user_data->len] = '\0';
	appendStringInfoString(user_data, ",\"watchlist\":[");
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("watchlist must not contain null values"),
							errdetail("Element %d is null.", i + 1)));
		check_user_id(DatumGetTextPP(ids[i]));
		if (i > 0)
			appendStringInfoChar(user_data, ',');
		json_append_text(user_data, DatumGetTextPP(ids[i]));
	}
	appendStringInfoString(user_data, "]}");
}

/* pusher_authenticate_user(user_id, socket_id, user_info, app_key, watchlist) */
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
	if (PG_NARGS() > 4 && !PG_ARGISNULL(4))
		append_watchlist(&user_data, PG_GETARG_ARRAYTYPE_P(4));
	app = pusher_app(arg_app_key(fcinfo, 3));
	if (!signature_user(text_bytes(app.secret), text_bytes(socket_id),
						utf8_bytes(user_data.data, user_data.len), hex))
		elog(ERROR, "could not compute an HMAC");
	result = auth_json(store.caller, psprintf("%s:%s", text_to_cstring(app.key), hex), "user_data",
					   &user_data, NULL);
	store_close(&store);
	PG_RETURN_TEXT_P(result);
}
