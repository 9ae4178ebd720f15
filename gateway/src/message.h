/*
 * message.h
 *	  What comes in: one message of a client, taken apart.
 *
 * Stands alone (with Jansson), so that a fuzzer can feed it.
 */
#ifndef GATEWAY_MESSAGE_H
#define GATEWAY_MESSAGE_H

#include "json.h"
#include "util.h"

typedef enum MessageKind
{
	MESSAGE_MALFORMED,
	MESSAGE_PING,
	MESSAGE_PONG,
	MESSAGE_SUBSCRIBE,   /* channel, auth, channel_data */
	MESSAGE_UNSUBSCRIBE, /* channel */
	MESSAGE_SIGNIN,      /* auth, user_data in channel_data */
	MESSAGE_CLIENT,      /* event, channel, data */
	MESSAGE_UNKNOWN      /* well-formed, but no event of the protocol: event */
} MessageKind;

/* Bytes point into json; what is not given is {NULL, 0}. */
typedef struct Message
{
	MessageKind kind;
	const char *problem; /* of MESSAGE_MALFORMED, for the client */
	Bytes event;
	Bytes channel;
	Bytes auth;
	Bytes channel_data;
	const json_t *data; /* of a client event; NULL: none */
	json_t *json;
} Message;

/* The caller ends it with message_free(), whatever the kind. */
extern void message_parse(Bytes text, Message *message);
extern void message_free(Message *message);

/* Who a presence subscription is for, out of its channel_data. */
typedef struct MemberData
{
	char *user_id;
	char *user_info; /* compact JSON, or NULL */
} MemberData;

/*
 * False, with the problem, if channel_data is not what the database would
 * take: a user_id of 1 to 128 characters (a number counts as its digits), and an
 * object of at most 1,024 bytes, if any. The caller frees both strings.
 */
extern bool member_data_parse(Bytes channel_data, MemberData *member, const char **problem);

/* The id in the user_data of a signin; NULL if there is none. The caller frees it. */
extern char *signin_user_id(Bytes user_data);

/* Whether a name has 1 to 164 characters, all of them allowed (a server-to-user channel's # first).
 */
extern bool is_channel_name(Bytes name);

/* Whether it could be a user_id or a book_id of the database. */
extern bool is_user_id(Bytes user_id);
extern bool is_book_id(Bytes book_id);

/* Two numbers with a dot between. */
extern bool is_socket_id(Bytes socket_id);

#endif /* GATEWAY_MESSAGE_H */
