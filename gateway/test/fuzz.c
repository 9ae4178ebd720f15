/*
 * fuzz.c
 *	  libFuzzer's way into what parses the messages of strangers (src/protocol/message.c).
 */
#include <stdlib.h>

#include "protocol/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

/* What the rest of the gateway relies on. */
static void
check_message(const Message *message)
{
	switch (message->kind)
	{
		case MESSAGE_MALFORMED:
			check(message->problem != NULL);
			break;
		case MESSAGE_SUBSCRIBE:
		case MESSAGE_UNSUBSCRIBE:
			check(message->channel.data != NULL);
			break;
		case MESSAGE_CLIENT:
			check(message->channel.data != NULL && message->event.len <= 200);
			break;
		default:
			break;
	}
}

static void
parse_member(Bytes channel_data)
{
	MemberData member;
	const char *problem;

	if (!member_data_parse(channel_data, &member, &problem))
	{
		check(problem != NULL && !member.user_id);
		return;
	}
	check(strlen(member.user_id) >= 1 && strlen(member.user_id) <= 4 * 128);
	check(!member.user_info || strlen(member.user_info) <= 1024);
	check(json_same(member.user_info, member.user_info));
	free(member.user_id);
	free(member.user_info);
}

static void
sign_in(Bytes user_data)
{
	MemberData user;

	json_decref(signin_watchlist(user_data));

	if (signin_data_parse(user_data, &user))
		check(user.user_id != NULL && (!user.user_info || strlen(user.user_info) <= 1024));
	free(user.user_id);
	free(user.user_info);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes text = {(const char *) data, size};
	Message message;
	Buf out = {0};
	json_t *json;

	message_parse(text, &message);
	check_message(&message);
	if (message.channel_data.data)
	{
		parse_member(message.channel_data);
		sign_in(message.channel_data);
	}
	if (message.channel.data && is_channel_name(message.channel))
	{
		/* What goes out must come in again. */
		json_add_string(&out, message.channel);
		json = json_parse(buf_bytes(&out));
		check(json_is_string(json));
		json_decref(json);
	}
	message_free(&message);
	parse_member(text);
	is_socket_id(text);
	buf_free(&out);
	return 0;
}
