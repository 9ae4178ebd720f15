/*
 * message.c
 *	  What comes in: one message of a client, taken apart.
 *
 * The limits are those of the extension (src/limits.c), checked here so that
 * one bad value does not fail the batch that it would travel in.
 */
#include "protocol/message.h"

#include <stdlib.h>

#define MAX_USER_INFO_BYTES 1024
#define MAX_EVENT_NAME      200

static void
malformed(Message *message, const char *problem)
{
	message->kind = MESSAGE_MALFORMED;
	message->problem = problem;
}

/* pusher:subscribe, pusher:unsubscribe and pusher:signin have an object as data. */
static void
parse_data(Message *message, const json_t *data)
{
	const json_t *auth = json_object_get(data, "auth");
	const char *key = message->kind == MESSAGE_SIGNIN ? "user_data" : "channel_data";
	const json_t *signed_data = json_object_get(data, key);

	if (!json_is_object(data))
		malformed(message, "data must be an object");
	else if (message->kind != MESSAGE_SIGNIN && !json_get_bytes(data, "channel", &message->channel))
		malformed(message, "channel must be a string");
	else if (auth && !json_is_null(auth) && !json_get_bytes(data, "auth", &message->auth))
		malformed(message, "auth must be a string");
	else if (signed_data && !json_is_null(signed_data) &&
			 !json_get_bytes(data, key, &message->channel_data))
		malformed(message, "what is signed must be a string");
}

void
message_parse(Bytes text, Message *message)
{
	static const struct
	{
		const char *event;
		MessageKind kind;
	} kinds[] = {{"pusher:ping", MESSAGE_PING},
				 {"pusher:pong", MESSAGE_PONG},
				 {"pusher:subscribe", MESSAGE_SUBSCRIBE},
				 {"pusher:unsubscribe", MESSAGE_UNSUBSCRIBE},
				 {"pusher:signin", MESSAGE_SIGNIN}};
	const json_t *data;

	*message = (Message){.kind = MESSAGE_UNKNOWN, .json = json_parse_leniently(text)};
	if (!json_is_object(message->json))
	{
		malformed(message, "a message must be a JSON object");
		return;
	}
	if (!json_get_bytes(message->json, "event", &message->event))
	{
		malformed(message, "event must be a string");
		return;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (bytes_equal(message->event, bytes_of(kinds[i].event)))
			message->kind = kinds[i].kind;

	data = json_object_get(message->json, "data");
	if (message->kind == MESSAGE_SUBSCRIBE || message->kind == MESSAGE_UNSUBSCRIBE ||
		message->kind == MESSAGE_SIGNIN)
		parse_data(message, data);
	else if (bytes_start_with(message->event, BYTES("client-")))
	{
		message->kind = MESSAGE_CLIENT;
		message->data = data;
		if (message->event.len > MAX_EVENT_NAME)
			malformed(message, "event must not have more than 200 bytes");
		else if (!json_get_bytes(message->json, "channel", &message->channel))
			malformed(message, "channel must be a string");
	}
}

void
message_free(Message *message)
{
	json_decref(message->json);
	message->json = NULL;
}

/* A user's id may be a string or an integer; NULL if it is neither, or too long. */
static char *
user_id_of(const json_t *id)
{
	Buf text = {0};

	if (json_is_string(id))
		buf_add(&text, json_string_value(id), json_string_length(id));
	else if (json_is_integer(id))
		buf_addf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
	if (text.data && is_user_id(buf_bytes(&text)))
		return text.data;
	buf_free(&text);
	return NULL;
}

/* jsonb has no place for \u0000, in a key or in a value. */
static bool
has_nul(const char *json)
{
	for (const char *p = json; (p = strchr(p, '\\')); p += 2)
		if (strncmp(p, "\\u0000", 6) == 0)
			return true;
	return false;
}

bool
member_data_parse(Bytes channel_data, MemberData *member, const char **problem)
{
	json_t *data = json_parse(channel_data);
	const json_t *info = json_object_get(data, "user_info");
	Buf compact = {0};

	*member = (MemberData){0};
	*problem = NULL;
	if (info && !json_is_null(info))
	{
		json_add(&compact, info);
		if (!json_is_object(info))
			*problem = "user_info must be an object";
		else if (compact.len > MAX_USER_INFO_BYTES)
			*problem = "user_info must not have more than 1024 bytes";
		else if (has_nul(compact.data))
			*problem = "user_info must not contain \\u0000";
	}
	if (!*problem && !(member->user_id = user_id_of(json_object_get(data, "user_id"))))
		*problem = "channel_data must be an object with a user_id of 1 to 128 characters";
	json_decref(data);
	if (*problem)
	{
		buf_free(&compact);
		return false;
	}
	member->user_info = compact.data;
	return true;
}

bool
signin_data_parse(Bytes user_data, MemberData *member)
{
	json_t *data = json_parse(user_data);
	const json_t *info = json_object_get(data, "user_info");
	Buf compact = {0};

	*member = (MemberData){.user_id = user_id_of(json_object_get(data, "id"))};
	if (member->user_id && json_is_object(info))
		json_add(&compact, info);
	if (compact.len > MAX_USER_INFO_BYTES || (compact.data && has_nul(compact.data)))
		buf_free(&compact);
	member->user_info = compact.data;
	json_decref(data);
	return member->user_id != NULL;
}

json_t *
signin_watchlist(Bytes user_data)
{
	json_t *data = json_parse(user_data);
	json_t *list = json_object_get(data, "watchlist");

	list = json_is_array(list) ? json_incref(list) : NULL;
	json_decref(data);
	return list;
}
