/*
 * protocol.c
 *	  What a client may ask for, and what it is answered: Pusher Channels protocol 7.
 *
 * A message that can't be done is answered with an error; none loses the connection,
 * but a signin that is not valid.
 */
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "protocol/api_trigger.h"
#include "protocol/bus.h"
#include "protocol/counts.h"
#include "protocol/message.h"
#include "protocol/subscribe.h"
#include "rooms/cache_read.h"
#include "rooms/channel.h"
#include "rooms/seat.h"
#include "rooms/watch.h"
#include "rooms/watchlist.h"
#include "webhooks/emit.h"

#define USER_CHANNEL    "#server-to-user-"
#define MAX_CLIENT_DATA 10240

/*
 * Users
 */

static bool
signs_user(Bytes secret, const void *what, char hex[SIGNATURE_HEX_LEN + 1])
{
	const Signed *it = what;

	return signature_user(secret, bytes_of(it->socket->id), it->message->channel_data, hex);
}

static void
name_user_channel(Buf *name, Bytes user_id)
{
	buf_adds(name, USER_CHANNEL);
	buf_add(name, user_id.data, user_id.len);
}

static void
begin_watchlist(Socket *socket, Bytes user_data)
{
	json_t *list = signin_watchlist(user_data);

	if (json_array_size(list) > WATCHLIST_MAX)
		socket_send_own(socket, frame_error(ERROR_WATCHLIST, (Bytes){0},
											"Watchlist limit exceeded: it may have 100 users"));
	else
		watchlist_begin(socket, list);
	json_decref(list);
}

static void
signin(Socket *socket, const Message *message)
{
	const Signed what = {socket, message};
	MemberData user;
	Buf name = {0};
	Buf data = {0};

	if (socket->user_id)
	{
		socket_send_own(socket, frame_error(0, (Bytes){0}, "Signed in already"));
		return;
	}
	if (!message->channel_data.data ||
		!is_signed(socket_app(socket), message->auth, signs_user, &what) ||
		!signin_data_parse(message->channel_data, &user))
	{
		socket_close(socket, CLOSE_UNAUTHORIZED, "The signin is not valid");
		return;
	}
	socket->user_id = user.user_id;
	socket->user_info = user.user_info;
	name_user_channel(&name, bytes_of(user.user_id));
	subscription_open(socket, buf_bytes(&name), CHANNEL_USER);
	buf_adds(&data, "{\"user_data\":");
	json_add_string(&data, message->channel_data);
	buf_addc(&data, '}');
	socket_send_own(socket,
					frame_event(BYTES("pusher:signin_success"), (Bytes){0}, buf_bytes(&data)));
	buf_free(&data);
	buf_free(&name);
	begin_watchlist(socket, message->channel_data);
}

/* Signed in as a user, or sitting in a room as him. */
static bool
is_of_user(const Socket *socket, Bytes user_id)
{
	const Subscription *subscription;

	if (socket->user_id && bytes_equal(bytes_of(socket->user_id), user_id))
		return true;
	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		if (subscription->seat && bytes_equal(bytes_of(subscription->seat->user_id), user_id))
			return true;
	}
	return false;
}

typedef struct Termination
{
	const App *app;
	Bytes user_id;
	unsigned n;
} Termination;

static void
terminate(Socket *socket, void *arg)
{
	Termination *it = arg;

	if (socket->closing || socket_app(socket) != it->app || !is_of_user(socket, it->user_id))
		return;
	socket->leaves_at_once = true;
	socket_close(socket, CLOSE_UNAUTHORIZED, "Terminated by the app");
	it->n++;
}

unsigned
protocol_terminate_user(App *app, Bytes user_id)
{
	Termination it = {app, user_id, 0};

	sockets_each(terminate, &it);
	return it.n;
}

/*
 * Client events
 */

static void
refuse_event(Socket *socket, const Message *message, int code, const char *why)
{
	socket_send_own(socket, frame_error(code, message->channel, why));
}

static void
send_client_event(Channel *channel, Bytes event, Bytes data, Bytes user_id, Bytes except)
{
	Frame *frame;

	if (!channel)
		return;
	frame_begin();
	frame_add_raw(event, channel_name(channel), data, user_id);
	frame = frame_end();
	channel_send(channel, frame, except);
	frame_unref(frame);
}

static void
pass_on(Socket *socket, const Message *message, const Subscription *subscription, Bytes data)
{
	Channel *channel = subscription->channel;
	Bytes user_id = {0};

	if (subscription->seat)
		user_id = bytes_of(subscription->seat->user_id);
	send_client_event(channel, message->event, data, user_id, bytes_of(socket->id));
	send_client_event(watch_of(channel->app, message->channel), message->event, data, user_id,
					  (Bytes){0});
	metrics.client_events++;
	bus_client_event(channel->app, message->channel, message->event, data, user_id);
	webhook_client_event(channel->app, message->channel, message->event, data, bytes_of(socket->id),
						 user_id);
}

static void
client_event(Socket *socket, const Message *message)
{
	const Subscription *subscription = subscription_find(socket, message->channel);
	const Channel *channel = subscription ? subscription->channel : NULL;
	Buf data = {0};

	if (message->data)
		json_add(&data, message->data);
	if (!socket->key->client_events)
		refuse_event(socket, message, ERROR_CLIENT_EVENT,
					 "Client events are not enabled for this app");
	else if (!channel || !subscription->active ||
			 (channel->kind != CHANNEL_PRIVATE && channel->kind != CHANNEL_ROOM))
		refuse_event(socket, message, 0,
					 "Client events are for private and presence channels that one is subscribed "
					 "to");
	else if (data.len > MAX_CLIENT_DATA)
		refuse_event(socket, message, ERROR_CLIENT_EVENT,
					 "The client event was rejected: its data has more than 10240 bytes");
	else if (!socket_may_send_event(socket))
		refuse_event(socket, message, ERROR_CLIENT_EVENT,
					 "The client event was rejected: rate limit reached");
	else
		pass_on(socket, message, subscription, buf_bytes(&data));
	buf_free(&data);
}

/*
 * Messages
 */

void
protocol_message(Conn *conn, Bytes text)
{
	Socket *socket = conn->owner;
	Message message;

	metrics.messages_in++;
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
			socket_send_own(socket, frame_error(0, message.channel, message.problem));
			break;
		case MESSAGE_UNKNOWN:
			socket_send_own(socket, frame_error(0, (Bytes){0}, "no such event for clients"));
			break;
	}
	message_free(&message);
}

void
protocol_too_large(Conn *conn, uint32_t size)
{
	char text[100];

	metrics.too_large++;
	snprintf(text, sizeof(text), "a message of %u bytes was not read: it may have %d", size,
			 options.max_message);
	socket_send_own(conn->owner, frame_error(0, (Bytes){0}, text));
}

bool
protocol_heard(Conn *conn, size_t bytes)
{
	Socket *socket = conn->owner;

	socket_heard(socket);
	if (socket->closing || socket_may_speak(socket, bytes))
		return true;
	metrics.closed_rate++;
	socket_close(socket, CLOSE_OVER_CAPACITY, "Too many messages");
	return false;
}

void
protocol_closed(Conn *conn)
{
	socket_closed(conn->owner);
}

/*
 * What other gateways tell
 */

static void
pass_on_channel(Channel *channel, const BusMessage *message)
{
	Frame *frame;

	if (!channel)
		return;
	if (bytes_equal(message->kind, BYTES("client")))
	{
		send_client_event(channel, message->event, message->data, message->user_id,
						  message->except);
		return;
	}
	cache_passed(channel);
	frame = frame_event(message->event, channel_name(channel), message->data);
	cache_send(channel, frame, message->except, message->stamp);
	frame_unref(frame);
}

static void
pass_to(App *app, const json_t *name, const BusMessage *message)
{
	Bytes target = json_bytes(name);

	if (!json_is_string(name))
		return;
	pass_on_channel(channel_find(app, target), message);
	pass_on_channel(watch_of(app, target), message);
}

static void
carry_out(const BusMessage *message)
{
	size_t i;
	const json_t *name;

	if (bytes_equal(message->kind, BYTES("terminate")))
	{
		protocol_terminate_user(message->app, message->user_id);
		return;
	}
	if (bytes_equal(message->kind, BYTES("counts")))
	{
		counts_heard(message->app, message->channels);
		return;
	}
	json_array_foreach(message->channels, i, name)
	{
		pass_to(message->app, name, message);
	}
}

/*
 * Apps
 */

static void
close_if_key_gone(Socket *socket, void *arg)
{
	const AppKey *key = socket->key;

	(void) arg;
	if (!key || socket->closing || (!key->gone && key->enabled))
		return;
	if (!apps_known()) /* all of them: somebody is at it, and what comes next is not known yet */
		socket_close(socket, CLOSE_OVER_CAPACITY, "This server is not ready");
	else if (key->gone)
		socket_close(socket, CLOSE_UNKNOWN_APP, "Application key does not exist");
	else
		socket_close(socket, CLOSE_APP_DISABLED, "Application disabled");
}

void
protocol_apps_changed(void)
{
	sockets_each(close_if_key_gone, NULL);
}

static void
cache_missed(Channel *channel)
{
	webhook_cache_miss(channel->app, channel_name(channel));
}

void
protocol_init(void)
{
	socket_on_detach = unsubscribe_all;
	bus_on_message = carry_out;
	api_trigger_init();
	counts_init();
	cache_on_miss = cache_missed;
}
