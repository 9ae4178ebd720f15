/*
 * channel.c
 *	  Channels, and who is subscribed to them here.
 */
#include "channel.h"

#include <stdlib.h>
#include <utlist.h>

#include "message.h"
#include "metrics.h"
#include "seat.h"

ChannelKind
channel_kind(Bytes name)
{
	Bytes book_id;

	if (!is_channel_name(name))
		return CHANNEL_FORBIDDEN;
	if (room_of_channel(name, &book_id))
		return CHANNEL_ROOM;
	if (bytes_start_with(name, BYTES("presence-")))
		return CHANNEL_FORBIDDEN;
	if (bytes_start_with(name, BYTES("private-encrypted-")))
		return CHANNEL_ENCRYPTED;
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

Subscription *
subscription_open(Socket *socket, Bytes name, ChannelKind kind)
{
	Channel *channel = channel_find(socket->app, name);
	Subscription *subscription = xcalloc(1, sizeof(Subscription));

	if (!channel)
	{
		channel = xcalloc(1, sizeof(Channel) + name.len + 1);
		channel->app = socket->app;
		channel->kind = kind;
		channel->name_len = name.len;
		memcpy(channel->name, name.data, name.len);
		HASH_ADD(hh, socket->app->channels, name, name.len, channel);
		metrics.channels++;
	}
	subscription->socket = socket;
	subscription->channel = channel;
	DL_APPEND(channel->subscriptions, subscription);
	channel->nsubscriptions++;
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
	channel->nsubscriptions--;
	metrics.subscriptions--;
	free(subscription);
	if (channel->subscriptions)
		return;
	HASH_DEL(channel->app->channels, channel);
	metrics.channels--;
	free(channel);
}

bool
subscription_active(const Subscription *subscription)
{
	return !subscription->seat || subscription->seat->answered;
}

void
channel_send(Channel *channel, Frame *frame, Bytes except)
{
	Subscription *subscription;
	Subscription *next;

	DL_FOREACH_SAFE(channel->subscriptions, subscription, next)
	{
		if (subscription_active(subscription) &&
			!(except.len && bytes_equal(bytes_of(subscription->socket->id), except)))
			socket_send(subscription->socket, frame);
	}
}
