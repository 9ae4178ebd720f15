/*
 * protocol.c
 *	  What a client may ask for, and what it is answered: Pusher Channels protocol 7.
 *
 * A message that can't be done is answered with an error; none loses the connection,
 * but a signin that is not valid.
 */
#include "protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "bus.h"
#include "channel.h"
#include "log.h"
#include "message.h"
#include "metrics.h"
#include "options.h"
#include "seat.h"

#define USER_CHANNEL "#server-to-user-"

/*
 * Opening
 */

static int
refusal(Bytes path, Bytes version, bool draining, App **app, const char **reason)
{
	Bytes prefix = BYTES("/app/");

	if (!bytes_start_with(path, prefix) || path.len == prefix.len)
	{
		*reason = "Path not found";
		return CLOSE_PATH_NOT_FOUND;
	}
	if (version.len == 0)
	{
		*reason = "No protocol version supplied";
		return CLOSE_NO_VERSION;
	}
	if (version.len != 1 || *version.data < '5' || *version.data > '7')
	{
		*reason = "Unsupported protocol version";
		return CLOSE_BAD_VERSION;
	}
	if (draining || !apps_known)
	{
		*reason = draining ? "This server is going away" : "This server is not ready";
		return draining ? CLOSE_RECONNECT : CLOSE_OVER_CAPACITY;
	}
	*app = app_by_key((Bytes){path.data + prefix.len, path.len - prefix.len});
	if (!*app)
	{
		*reason = "Application key does not exist";
		return CLOSE_UNKNOWN_APP;
	}
	if (metrics.sockets >= (uint64_t) options.max_sockets)
	{
		*reason = "Too many connections";
		return CLOSE_OVER_CAPACITY;
	}
	return 0;
}

Socket *
protocol_open(struct lws *wsi, Bytes path, Bytes version, bool draining)
{
	const char *reason = NULL;
	App *app = NULL;
	int code = refusal(path, version, draining, &app, &reason);
	Socket *socket = socket_open(wsi, code ? NULL : app);
	Buf data = {0};

	if (code)
	{
		metrics.refused++;
		log_line(LOG_DEBUG, "refused: %d %s", code, reason);
		socket_close(socket, code, reason);
		return socket;
	}
	metrics.opened++;
	buf_addf(&data, "{\"socket_id\":\"%s\",\"activity_timeout\":%d}", socket->id,
			 socket_activity_timeout());
	socket_send_own(
		socket, frame_event(BYTES("pusher:connection_established"), (Bytes){0}, buf_bytes(&data)));
	buf_free(&data);
	return socket;
}

/*
 * Subscriptions
 */

static void
subscription_error(Socket *socket, Bytes channel, const char *type, const char *error, int status)
{
	Buf data = {0};

	buf_addf(&data, "{\"type\":\"%s\",\"error\":", type);
	json_add_string(&data, bytes_of(error));
	buf_addf(&data, ",\"status\":%d}", status);
	socket_send_own(socket,
					frame_event(BYTES("pusher:subscription_error"), channel, buf_bytes(&data)));
	buf_free(&data);
}

static void
succeeded(Socket *socket, Bytes channel)
{
	socket_send_own(
		socket, frame_event(BYTES("pusher_internal:subscription_succeeded"), channel, BYTES("{}")));
}

/* auth is "key:signature"; what is signed, the caller says by the signature that he expects. */
static bool
is_signed(const App *app, Bytes auth, const char expected[SIGNATURE_HEX_LEN + 1])
{
	size_t key_len = strlen(app->key);

	return auth.len > key_len && memcmp(auth.data, app->key, key_len) == 0 &&
		   auth.data[key_len] == ':' &&
		   signature_equal(expected, (Bytes){auth.data + key_len + 1, auth.len - key_len - 1});
}

static bool
may_subscribe(const Socket *socket, const Message *message)
{
	const Bytes *data = message->channel_data.data ? &message->channel_data : NULL;
	char expected[SIGNATURE_HEX_LEN + 1];

	return signature_channel(bytes_of(socket->app->secret), bytes_of(socket->id), message->channel,
							 data, expected) &&
		   is_signed(socket->app, message->auth, expected);
}

static void
enter_room(Socket *socket, const Message *message)
{
	MemberData member;
	const char *problem;
	Bytes book_id;

	if (!room_of_channel(message->channel, &book_id))
		return;
	if (!member_data_parse(message->channel_data, &member, &problem))
	{
		subscription_error(socket, message->channel, "PresenceError", problem, 400);
		return;
	}
	seat_take(subscription_open(socket, message->channel, CHANNEL_ROOM), book_id, &member);
}

static void
subscribe(Socket *socket, const Message *message)
{
	ChannelKind kind = channel_kind(message->channel);
	Bytes name = message->channel;

	if (kind == CHANNEL_FORBIDDEN)
		subscription_error(socket, name, "InvalidChannel", "no such channel can exist here", 400);
	else if (subscription_find(socket, name))
	{
		/* Who has signed in is subscribed to his own channel already. */
		if (kind == CHANNEL_USER)
			succeeded(socket, name);
		else
			socket_send_own(socket, frame_error(0, "Existing subscription to this channel"));
	}
	else if (kind == CHANNEL_USER)
		subscription_error(socket, name, "AuthError", "not signed in as that user", 401);
	else if (kind != CHANNEL_PUBLIC && !may_subscribe(socket, message))
		subscription_error(socket, name, "AuthError", "the signature is not valid", 401);
	else if (socket->nsubscriptions >= options.max_subscriptions)
		subscription_error(socket, name, "LimitReached", "too many subscriptions", 403);
	else if (kind == CHANNEL_ROOM)
		enter_room(socket, message);
	else
	{
		subscription_open(socket, name, kind);
		succeeded(socket, name);
	}
}

static void
end_subscription(Subscription *subscription)
{
	if (subscription->seat)
		seat_leave(subscription->seat);
	subscription_close(subscription);
}

static void
unsubscribe(Socket *socket, const Message *message)
{
	Subscription *subscription = subscription_find(socket, message->channel);

	if (subscription && subscription->channel->kind != CHANNEL_USER)
		end_subscription(subscription);
}

static void
leave_all(Socket *socket)
{
	Subscription *subscription;
	Subscription *next;

	DL_FOREACH_SAFE2(socket->subscriptions, subscription, next, s_next)
	{
		end_subscription(subscription);
	}
}

/*
 * Users
 */

static void
name_user_channel(Buf *name, Bytes user_id)
{
	buf_adds(name, USER_CHANNEL);
	buf_add(name, user_id.data, user_id.len);
}

static void
signin(Socket *socket, const Message *message)
{
	char expected[SIGNATURE_HEX_LEN + 1];
	Buf name = {0};
	Buf data = {0};
	char *user_id = NULL;

	if (socket->user_id)
	{
		socket_send_own(socket, frame_error(0, "Signed in already"));
		return;
	}
	if (!message->channel_data.data ||
		!signature_user(bytes_of(socket->app->secret), bytes_of(socket->id), message->channel_data,
						expected) ||
		!is_signed(socket->app, message->auth, expected) ||
		!(user_id = signin_user_id(message->channel_data)))
	{
		socket_close(socket, CLOSE_UNAUTHORIZED, "The signin is not valid");
		return;
	}
	socket->user_id = user_id;
	name_user_channel(&name, bytes_of(user_id));
	subscription_open(socket, buf_bytes(&name), CHANNEL_USER);
	buf_adds(&data, "{\"user_data\":");
	json_add_string(&data, message->channel_data);
	buf_addc(&data, '}');
	socket_send_own(socket,
					frame_event(BYTES("pusher:signin_success"), (Bytes){0}, buf_bytes(&data)));
	buf_free(&data);
	buf_free(&name);
}

unsigned
protocol_terminate_user(App *app, Bytes user_id)
{
	unsigned n = 0;
	Buf name = {0};
	Channel *channel;

	name_user_channel(&name, user_id);
	/* Each one closed leaves the channel, and the last one ends it. */
	while ((channel = channel_find(app, buf_bytes(&name))))
	{
		socket_close(channel->subscriptions->socket, CLOSE_UNAUTHORIZED, "Terminated by the app");
		n++;
	}
	buf_free(&name);
	return n;
}

/*
 * Client events
 */

static void
client_event(Socket *socket, const Message *message)
{
	const Subscription *subscription = subscription_find(socket, message->channel);
	Channel *channel = subscription ? subscription->channel : NULL;
	Bytes user_id = {0};
	Buf data = {0};
	Frame *frame;

	if (!channel || !subscription_active(subscription) ||
		(channel->kind != CHANNEL_PRIVATE && channel->kind != CHANNEL_ROOM))
	{
		socket_send_own(socket,
						frame_error(0, "Client events are for private and presence channels "
									   "that one is subscribed to"));
		return;
	}
	if (!socket_may_send_event(socket))
	{
		socket_send_own(socket, frame_error(ERROR_CLIENT_EVENT,
											"The client event was rejected: rate limit reached"));
		return;
	}
	if (subscription->seat)
		user_id = bytes_of(subscription->seat->user_id);
	if (message->data)
		json_add(&data, message->data);
	frame_begin();
	frame_add_raw(message->event, message->channel, buf_bytes(&data), user_id);
	frame = frame_end();
	channel_send(channel, frame, bytes_of(socket->id));
	frame_unref(frame);
	metrics.client_events++;
	bus_client_event(channel->app, message->channel, message->event, buf_bytes(&data), user_id);
	buf_free(&data);
}

/*
 * Messages
 */

void
protocol_message(Socket *socket, Bytes text)
{
	Message message;

	metrics.messages_in++;
	socket_heard(socket);
	if (socket->closing)
		return;
	message_parse(text, &message);
	switch (message.kind)
	{
		case MESSAGE_PING:
			socket_send_own(socket, frame_event(BYTES("pusher:pong"), (Bytes){0}, BYTES("{}")));
			break;
		case MESSAGE_PONG:
			break;
		case MESSAGE_SUBSCRIBE:
			subscribe(socket, &message);
			break;
		case MESSAGE_UNSUBSCRIBE:
			unsubscribe(socket, &message);
			break;
		case MESSAGE_SIGNIN:
			signin(socket, &message);
			break;
		case MESSAGE_CLIENT:
			client_event(socket, &message);
			break;
		case MESSAGE_MALFORMED:
			socket_send_own(socket, frame_error(0, message.problem));
			break;
		case MESSAGE_UNKNOWN:
			socket_send_own(socket, frame_error(0, "no such event for clients"));
			break;
	}
	message_free(&message);
}

static void
close_if_app_gone(Socket *socket, void *arg)
{
	(void) arg;
	if (socket->app && socket->app->gone)
		socket_close(socket, CLOSE_UNKNOWN_APP, "Application key does not exist");
}

void
protocol_apps_changed(void)
{
	sockets_each(close_if_app_gone, NULL);
}

void
protocol_init(void)
{
	socket_on_detach = leave_all;
}
