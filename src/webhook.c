/*
 * webhook.c
 *	  What Pusher saw becomes fact: presence.pusher_apply_webhook.
 *
 * Pusher's webhooks say who came to a presence channel and who left. A member
 * that Pusher alone has seen is held by a stand-in (connections.h), which yields to
 * the first real connection.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "limits.h"
#include "member.h"
#include "members.h"
#include "settings.h"
#include "pusher.h"
#include "shards.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_pusher_apply_webhook);

/* A string of a JSON object, or a number as one; false if it is neither. */
static bool
field(JsonbContainer *object, const char *key, Bytes *value)
{
	JsonbValue *found = getKeyJsonValueFromContainer(object, key, (int) strlen(key), NULL);

	if (found && found->type == jbvString)
	{
		*value = (Bytes){found->val.string.val, found->val.string.len};
		return true;
	}
	if (found && found->type == jbvNumeric)
	{
		value->data =
			DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(found->val.numeric)));
		value->len = strlen(value->data);
		return true;
	}
	return false;
}

static bool
equals(Bytes value, const char *name)
{
	return value.len == strlen(name) && memcmp(value.data, name, value.len) == 0;
}

/* Applies one event; returns how many members it added or removed. */
static int
apply(const PusherApp *app, JsonbContainer *event)
{
	Bytes name;
	Bytes channel;
	Bytes user;
	text *book_id;
	text *user_id;

	if (!field(event, "name", &name) || !field(event, "channel", &channel) ||
		!pusher_room_of_channel(app, channel, &book_id))
		return 0;
	shards_require_here(book_id);
	if (equals(name, "channel_vacated"))
		return members_empty_room(book_id);

	if (!field(event, "user_id", &user))
		return 0;
	user_id = cstring_to_text_with_len(user.data, (int) user.len);
	if (equals(name, "member_added"))
		return is_user_id(user_id) && member_join_unheard((MemberKey){user_id, book_id}, NULL);
	if (equals(name, "member_removed"))
		return member_leave((MemberKey){user_id, book_id}, NULL);
	return 0;
}

/* The array of events in a webhook's body; 22P02 or 22023 if it is not one. */
static JsonbContainer *
events_of(text *body)
{
	Datum parsed = DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(body)));
	Jsonb *jsonb = DatumGetJsonbP(parsed);

	if (JB_ROOT_IS_OBJECT(jsonb))
	{
		JsonbValue *events = getKeyJsonValueFromContainer(&jsonb->root, "events", 6, NULL);

		if (events && events->type == jbvBinary && JsonContainerIsArray(events->val.binary.data))
			return events->val.binary.data;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the webhook's body has no array of events")));
}

/* pusher_apply_webhook(app_key, signature, body) */
Datum
presence_pusher_apply_webhook(PG_FUNCTION_ARGS)
{
	text *app_key = arg_text(fcinfo, 0, "app_key");
	text *signature = arg_text(fcinfo, 1, "signature");
	text *body = arg_text(fcinfo, 2, "body");
	JsonbContainer *events;
	int32 changed = 0;
	PusherApp app;
	Store store;

	store_open(&store, STORE_WRITE, "presence.pusher_apply_webhook()");
	if (!pusher_webhook_signed(app_key, signature, body, &app))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("the webhook's signature is not valid")));
	events = events_of(body);
	for (uint32 i = 0; i < JsonContainerSize(events); i++)
	{
		JsonbValue *event = getIthJsonbValueFromContainer(events, i);

		if (event->type == jbvBinary && JsonContainerIsObject(event->val.binary.data))
			changed += apply(&app, event->val.binary.data);
	}
	store_close(&store);
	PG_RETURN_INT32(changed);
}
