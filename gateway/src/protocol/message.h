/*
 * message.h
 *	  What comes in: one message of a client, taken apart.
 *
 * Stands alone (with Jansson), so that a fuzzer can feed it.
 */
#ifndef GATEWAY_MESSAGE_H
#define GATEWAY_MESSAGE_H

#include "base/json.h"
#include "base/names.h"
#include "base/util.h"

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

/*
 * The user of a signin, out of its user_data: its id and user_info, the same way. False: there is
 * no id; what can't be user_info of a room is none.
 */
extern bool signin_data_parse(Bytes user_data, MemberData *member);

/* The watchlist of a signin, an array that is the caller's; NULL: it has none. */
extern json_t *signin_watchlist(Bytes user_data);

#endif /* GATEWAY_MESSAGE_H */
