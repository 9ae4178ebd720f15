/*
 * subscribe.c
 *	  Subscriptions of a client: who may have which.
 */
#include "protocol/subscribe.h"

#include <utlist.h>

#include "base/names.h"
#include "base/options.h"
#include "protocol/counts.h"
#include "rooms/cache_read.h"
#include "rooms/channel.h"
#include "rooms/coming.h"
#include "rooms/seat.h"
#include "rooms/watch.h"
#include "rooms/watchlist.h"

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

static void
enter_channel(Socket *socket, Bytes channel, ChannelKind kind)
{
	Subscription *subscription = subscription_open(socket, channel, kind);

	succeeded(socket, channel);
	counts_greet(socket, subscription->channel);
	cache_want(subscription);
}

/* A list is as large as the room: not too many of them for one client, as for one who comes. */
static void
enter_watch(Socket *socket, Bytes channel)
{
	if (coming_allowed(socket->id, channel))
		watch_begin(subscription_open(socket, channel, CHANNEL_WATCH));
	else
		subscription_error(socket, channel, "LimitReached",
						   "this room was watched too often, wait a moment", 429);
}

bool
is_signed(const App *app, Bytes auth, Signs signs, const void *what)
{
	const char *colon = memchr(auth.data ? auth.data : "", ':', auth.len);
	size_t len = colon ? (size_t) (colon - auth.data) : 0;
	const AppKey *key = colon ? app_key_find((Bytes){auth.data, len}) : NULL;

	return key && key->app == app &&
		   app_key_signed(key, signs, what, (Bytes){colon + 1, auth.len - len - 1});
}

static bool
signs_channel(Bytes secret, const void *what, char hex[SIGNATURE_HEX_LEN + 1])
{
	const Signed *it = what;
	const Bytes *data = it->message->channel_data.data ? &it->message->channel_data : NULL;

	return signature_channel(secret, bytes_of(it->socket->id), it->message->channel, data, hex);
}

static bool
may_subscribe(const Socket *socket, const Message *message)
{
	const Signed what = {socket, message};

	return is_signed(socket_app(socket), message->auth, signs_channel, &what);
}

/* Who has signed in need not say in channel_data who he is. */
static bool
member_of(const Socket *socket, const Message *message, MemberData *member, const char **problem)
{
	if (message->channel_data.data || !socket->user_id)
		return member_data_parse(message->channel_data, member, problem);
	member->user_id = xstrdup(socket->user_id);
	member->user_info = socket->user_info ? xstrdup(socket->user_info) : NULL;
	return true;
}

static void
enter_room(Socket *socket, const Message *message)
{
	Subscription *subscription;
	MemberData member;
	const char *problem;
	Bytes book_id;

	if (!member_of(socket, message, &member, &problem))
	{
		subscription_error(socket, message->channel, "PresenceError", problem, 400);
		return;
	}
	subscription = subscription_open(socket, message->channel, CHANNEL_ROOM);
	if (room_of_channel(socket_app(socket), message->channel, &book_id) &&
		seat_take(subscription, book_id, member.user_id, member.user_info))
		return;
	subscription_close(subscription);
	subscription_error(socket, message->channel, "LimitReached",
					   "this user came into this room too often, wait a moment", 429);
}

void
subscribe(Socket *socket, const Message *message)
{
	ChannelKind kind = channel_kind(socket_app(socket), message->channel);
	Bytes name = message->channel;

	if (kind == CHANNEL_FORBIDDEN)
		subscription_error(socket, name, "InvalidChannel", "no such channel can exist here", 400);
	else if (subscription_find(socket, name))
	{
		/* Who has signed in is subscribed to his own channel already. */
		if (kind == CHANNEL_USER)
			succeeded(socket, name);
		else
			socket_send_own(socket, frame_error(0, name, "Existing subscription to this channel"));
	}
	else if (kind == CHANNEL_USER)
		subscription_error(socket, name, "AuthError", "not signed in as that user", 401);
	else if (kind != CHANNEL_PUBLIC && !may_subscribe(socket, message))
		subscription_error(socket, name, "AuthError", "the signature is not valid", 401);
	else if (socket->nsubscriptions >= options.max_subscriptions)
		subscription_error(socket, name, "LimitReached", "too many subscriptions", 403);
	else if (kind == CHANNEL_ROOM)
		enter_room(socket, message);
	else if (kind == CHANNEL_WATCH)
		enter_watch(socket, name);
	else
		enter_channel(socket, name, kind);
}

static void
end_subscription(Subscription *subscription, bool at_once)
{
	if (subscription->seat)
		seat_leave(subscription->seat, at_once);
	else if (subscription->channel->kind == CHANNEL_WATCH)
		watch_end(subscription);
	subscription_close(subscription);
}

void
unsubscribe(Socket *socket, const Message *message)
{
	Subscription *subscription = subscription_find(socket, message->channel);

	if (subscription && subscription->channel->kind != CHANNEL_USER)
		end_subscription(subscription, true);
}

void
unsubscribe_all(Socket *socket)
{
	Subscription *subscription;
	Subscription *next;

	watchlist_end(socket);
	DL_FOREACH_SAFE2(socket->subscriptions, subscription, next, s_next)
	{
		end_subscription(subscription, socket->leaves_at_once);
	}
}
