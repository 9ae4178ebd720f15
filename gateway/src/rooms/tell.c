/*
 * tell.c
 *	  What subscribers of a room are told of its members, and in which words.
 */
#include "rooms/tell.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"
#include "rooms/list.h"

/* What is said of a member: encoded once for each name that the room has. */
typedef void (*Saying)(const Channel *channel, const Member *member);

/* Whether anybody would hear. */
static bool
has_listeners(const Channel *channel)
{
	const Subscription *subscription;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->active)
			return true;
	}
	return false;
}

/* The user's info is now this one. True if the client did not know; it does from now on. */
static bool
seat_learns(Seat *seat, const char *user_info)
{
	if (json_same(seat->user_info, user_info))
		return false;
	free(seat->user_info);
	seat->user_info = user_info ? xstrdup(user_info) : NULL;
	return true;
}

/*
 * To all, but not to the user's own sockets; those get it with news if they do not know
 * that user_info. Of a channel that is paged nobody else gets such news.
 */
static void
send_to(const Channel *channel, Frame *frame, const Member *about, bool news)
{
	Subscription *subscription;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		Seat *seat = subscription->seat;
		bool own = about && seat && strcmp(seat->user_id, about->user_id) == 0;

		if (!subscription->active || (news && channel->paging && !own))
			continue;
		if (own && !(news && seat_learns(seat, about->user_info)))
			continue;
		socket_send(subscription->socket, frame);
	}
}

/* A member of user_info by one of two names, as JSON. */
static void
add_info(Buf *out, const char *key, const json_t *info, const char *name, const char *other)
{
	Bytes value;

	buf_addf(out, ",\"%s\":", key);
	if (json_get_bytes(info, name, &value) || json_get_bytes(info, other, &value))
		json_add_string(out, value);
	else
		buf_adds(out, "null");
}

/*
 * pusher_internal:member_added of the protocol, or pusher:member_added as pusher-js hands it on:
 * that is for who watches, whose channel is no presence channel to it.
 */
static void
add_internal(const char *event, const Channel *channel, const Member *member, bool with_info)
{
	bool watches = channel->kind == CHANNEL_WATCH;
	Buf name = {0};
	Buf data = {0};

	buf_addf(&name, "%s:%s", watches ? "pusher" : "pusher_internal", event);
	buf_addf(&data, "{\"%s\":", watches ? "id" : "user_id");
	json_add_string(&data, bytes_of(member->user_id));
	if (with_info && member->user_info)
		buf_addf(&data, ",\"%s\":%s", watches ? "info" : "user_info", member->user_info);
	buf_addc(&data, '}');
	frame_add(buf_bytes(&name), channel_name(channel), buf_bytes(&data));
	buf_free(&name);
	buf_free(&data);
}

static void
add_room_event(Bytes event, const Channel *channel, const Member *member, const char *id_key,
			   const char *name_key, const char *avatar_key)
{
	json_t *info = name_key && member->user_info ? json_parse(bytes_of(member->user_info)) : NULL;
	Buf data = {0};

	buf_addf(&data, "{\"%s\":", id_key);
	json_add_string(&data, bytes_of(member->user_id));
	if (name_key)
		add_info(&data, name_key, info, "name", "displayName");
	if (avatar_key)
		add_info(&data, avatar_key, info, "avatarUrl", "image");
	buf_addc(&data, '}');
	frame_add(event, channel_name(channel), buf_bytes(&data));
	buf_free(&data);
	json_decref(info);
}

/* Whether the channel is a book's, so that the application's own events belong there. */
static bool
is_of_book(const Channel *channel)
{
	return channel->kind == CHANNEL_WATCH ||
		   bytes_start_with(channel_name(channel), bytes_of(settings.channel_prefix));
}

static void
author(const Channel *channel, const Member *member)
{
	add_room_event(BYTES("room:author-joined"), channel, member, "authorId", "authorName", NULL);
}

static void
added(const Channel *channel, const Member *member)
{
	add_internal("member_added", channel, member, true);
	if (!is_of_book(channel))
		return;
	add_room_event(BYTES("room:user-joined"), channel, member, "userId", "displayName",
				   "avatarUrl");
	if (member->is_author)
		author(channel, member);
}

static void
updated(const Channel *channel, const Member *member)
{
	add_internal("member_added", channel, member, true);
}

static void
gone(const Channel *channel, const Member *member)
{
	add_internal("member_removed", channel, member, false);
	if (is_of_book(channel))
		add_room_event(BYTES("room:user-left"), channel, member, "userId", NULL, NULL);
}

/*
 * What is said at once where the channel is paged: that the author came, and to a member himself
 * what he is now. The rest is in the next count. NULL: nothing.
 */
static Saying
of_page(const Channel *channel, Saying saying, const Member *member)
{
	list_changed(channel);
	if (saying == added)
		return member->is_author && is_of_book(channel) ? author : NULL;
	return saying == gone ? NULL : saying;
}

static void
say(Channel *channels, Saying saying, const Member *member, bool to_own, bool news)
{
	Channel *channel;

	DL_FOREACH2(channels, channel, room_next)
	{
		Saying what = channel->paging ? of_page(channel, saying, member) : saying;
		Frame *frame;

		if (!what || !has_listeners(channel))
			continue;
		frame_begin();
		what(channel, member);
		frame = frame_end();
		send_to(channel, frame, to_own ? NULL : member, news);
		frame_unref(frame);
	}
}

void
tell_added(Channel *channels, const Member *member)
{
	say(channels, added, member, false, false);
}

void
tell_updated(Channel *channels, const Member *member)
{
	say(channels, updated, member, false, true);
}

void
tell_removed(Channel *channels, const Member *member)
{
	say(channels, gone, member, false, false);
}

void
tell_author(Channel *channels, const Member *member)
{
	say(channels, author, member, true, false);
}

void
tell_seats(Channel *channels, const Member *member)
{
	Channel *channel;
	const Subscription *subscription;

	DL_FOREACH2(channels, channel, room_next)
	{
		DL_FOREACH(channel->subscriptions, subscription)
		{
			if (subscription->seat && strcmp(subscription->seat->user_id, member->user_id) == 0)
				subscription->seat->is_author = member->is_author;
		}
	}
}

void
tell_all(Channel *channels, Bytes event)
{
	Channel *channel;

	DL_FOREACH2(channels, channel, room_next)
	{
		Frame *frame = frame_event(event, channel_name(channel), BYTES("{}"));

		send_to(channel, frame, NULL, false);
		frame_unref(frame);
	}
}
