/*
 * channel.c
 *	  Channels, who is subscribed to them here, and the seats of rooms.
 */
#include "rooms/channel.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/metrics.h"
#include "base/names.h"
#include "rooms/state.h"

void (*channel_on_close)(Channel *channel);

void (*channel_on_free)(Channel *channel);

ChannelKind
channel_kind(const App *app, Bytes name)
{
	Bytes book_id;

	if (!is_channel_name(name))
		return CHANNEL_FORBIDDEN;
	if (room_of_channel(app, name, &book_id))
		return CHANNEL_ROOM;
	if (bytes_start_with(name, BYTES("presence-")))
		return CHANNEL_FORBIDDEN;
	if (bytes_start_with(name, BYTES("private-encrypted-")))
		return CHANNEL_ENCRYPTED;
	if (room_of_watch(app, name, &book_id))
		return CHANNEL_WATCH;
	if (bytes_start_with(name, BYTES("private-")))
		return CHANNEL_PRIVATE;
	return name.data[0] == '#' ? CHANNEL_USER : CHANNEL_PUBLIC;
}

Channel *
channel_find(const App *app, Bytes name)
{
	Channel *channel;

	HASH_FIND(hh, app->channels, name.data, name.len, channel);
	return channel;
}

/* A socket has few subscriptions (--max-subscriptions): no index. */
Subscription *
subscription_find(const Socket *socket, Bytes name)
{
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		if (bytes_equal(channel_name(subscription->channel), name))
			return subscription;
	}
	return NULL;
}

/* Rooms count by their members; a user's own channel is nobody's business. */
bool
channel_is_counted(ChannelKind kind)
{
	return kind == CHANNEL_PUBLIC || kind == CHANNEL_PRIVATE || kind == CHANNEL_ENCRYPTED;
}

static void
count(Channel *channel, int n)
{
	channel->nsubscriptions += (unsigned) n;
	if (channel_is_counted(channel->kind))
		state_count(&channel->state, channel->app, channel_name(channel), channel->nsubscriptions);
}

Subscription *
subscription_open(Socket *socket, Bytes name, ChannelKind kind)
{
	App *app = socket_app(socket);
	Channel *channel = channel_find(app, name);
	Subscription *subscription = xcalloc(1, sizeof(Subscription));

	if (!channel)
	{
		channel = xcalloc(1, sizeof(Channel) + name.len + 1);
		channel->app = app;
		channel->kind = kind;
		channel->name_len = name.len;
		memcpy(channel->name, name.data, name.len);
		HASH_ADD(hh, app->channels, name, name.len, channel);
		metrics.channels++;
	}
	subscription->socket = socket;
	subscription->channel = channel;
	subscription->active = kind != CHANNEL_ROOM && kind != CHANNEL_WATCH;
	DL_APPEND(channel->subscriptions, subscription);
	count(channel, 1);
	DL_APPEND2(socket->subscriptions, subscription, s_prev, s_next);
	socket->nsubscriptions++;
	metrics.subscriptions++;
	return subscription;
}

void
subscription_close(Subscription *subscription)
{
	Channel *channel = subscription->channel;
	Socket *socket = subscription->socket;

	DL_DELETE2(socket->subscriptions, subscription, s_prev, s_next);
	socket->nsubscriptions--;
	DL_DELETE(channel->subscriptions, subscription);
	count(channel, -1);
	metrics.subscriptions--;
	free(subscription);
	if (channel->subscriptions)
		return;
	if (channel_on_free)
		channel_on_free(channel);
	if (channel_on_close)
		channel_on_close(channel);
	HASH_DEL(channel->app->channels, channel);
	metrics.channels--;
	free(channel);
}

void
channel_send(Channel *channel, Frame *frame, Bytes except)
{
	Subscription *subscription;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->active &&
			!(except.len && bytes_equal(bytes_of(subscription->socket->id), except)))
			socket_send(subscription->socket, frame);
	}
}
