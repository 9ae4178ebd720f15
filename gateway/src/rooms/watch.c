/*
 * watch.c
 *	  Watching a room: a subscription that reads its list and its events, and is no member.
 *
 * Its channel is one of the room's, whose subscriptions have no seats. So all that changes the
 * list is told to it, in words that pusher-js passes on (tell.c).
 */
#include "rooms/watch.h"

#include "rooms/again.h"
#include "rooms/list.h"

static unsigned channels; /* with somebody who watches */

void
watch_answer(Subscription *subscription)
{
	if (subscription->active)
		return;
	subscription->active = true;
	list_send(subscription, &subscription->channel->room->members);
}

void
watch_begin(Subscription *subscription)
{
	Channel *channel = subscription->channel;
	Room *room;
	Bytes book_id;

	if (!channel->room && room_of_watch(channel->app, channel_name(channel), &book_id))
	{
		(void) room_of(channel, book_id);
		channels++;
	}
	room = channel->room;
	if (room_can_answer(room))
		watch_answer(subscription);
	else if (room->database && database_connected(room->database) &&
			 !seats_rejoining(room->database)) /* then all rooms are read at its end */
		room_want(room);
}

void
watch_end(Subscription *subscription)
{
	if (subscription->channel->nsubscriptions > 1)
		return;
	room_leave(subscription->channel);
	channels--;
}

Channel *
watch_of(const App *app, Bytes room_channel)
{
	Buf name = {0};
	Channel *channel;

	if (channels == 0 || !bytes_start_with(room_channel, BYTES("presence-")))
		return NULL;
	buf_adds(&name, WATCH_PREFIX);
	buf_add(&name, room_channel.data + strlen("presence-"), room_channel.len - strlen("presence-"));
	channel = channel_find(app, buf_bytes(&name));
	buf_free(&name);
	return channel;
}
