/*
 * room_tell.c
 *	  What subscribers of a room are told of its members, and in which words.
 */
#include "room_tell.h"

#include <utlist.h>

#include "json.h"
#include "seat.h"

/* A room's channels have one name, whatever the app. */
static Bytes
name_of(const Room *room)
{
	return channel_name(room->channels);
}

/* Whether anybody would hear. */
static bool
has_listeners(const Room *room)
{
	const Channel *channel;
	const Subscription *subscription;

	DL_FOREACH2(room->channels, channel, room_next)
	{
		DL_FOREACH(channel->subscriptions, subscription)
		{
			if (subscription_active(subscription))
				return true;
		}
	}
	return false;
}

/*
 * To all, but not to the user's own sockets; those get it with news if they do not know
 * that user_info.
 */
static void
tell(const Room *room, Frame *frame, const Member *about, bool news)
{
	Channel *channel;
	Subscription *subscription;
	Subscription *next;

	DL_FOREACH2(room->channels, channel, room_next)
	{
		DL_FOREACH_SAFE(channel->subscriptions, subscription, next)
		{
			Seat *seat = subscription->seat;

			if (!seat->answered)
				continue;
			if (about && strcmp(seat->user_id, about->user_id) == 0 &&
				!(news && seat_learns(seat, about->user_info)))
				continue;
			socket_send(subscription->socket, frame);
		}
	}
	frame_unref(frame);
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

static void
add_internal(Bytes event, const Room *room, const Member *member, bool with_info)
{
	Buf data = {0};

	buf_adds(&data, "{\"user_id\":");
	json_add_string(&data, bytes_of(member->user_id));
	if (with_info && member->user_info)
		buf_addf(&data, ",\"user_info\":%s", member->user_info);
	buf_addc(&data, '}');
	frame_add(event, name_of(room), buf_bytes(&data));
	buf_free(&data);
}

static void
add_room_event(Bytes event, const Room *room, const Member *member, const char *id_key,
			   const char *name_key, const char *avatar_key)
{
	json_t *info = member->user_info ? json_parse(bytes_of(member->user_info)) : NULL;
	Buf data = {0};

	buf_addf(&data, "{\"%s\":", id_key);
	json_add_string(&data, bytes_of(member->user_id));
	if (name_key)
		add_info(&data, name_key, info, "name", "displayName");
	if (avatar_key)
		add_info(&data, avatar_key, info, "avatarUrl", "image");
	buf_addc(&data, '}');
	frame_add(event, name_of(room), buf_bytes(&data));
	buf_free(&data);
	json_decref(info);
}

static void
add_author(const Room *room, const Member *member)
{
	add_room_event(BYTES("room:author-joined"), room, member, "authorId", "authorName", NULL);
}

void
room_tell_added(const Room *room, const Member *member)
{
	if (!has_listeners(room))
		return;
	frame_begin();
	add_internal(BYTES("pusher_internal:member_added"), room, member, true);
	add_room_event(BYTES("room:user-joined"), room, member, "userId", "displayName", "avatarUrl");
	if (member->is_author)
		add_author(room, member);
	tell(room, frame_end(), member, false);
}

void
room_tell_updated(const Room *room, const Member *member)
{
	if (!has_listeners(room))
		return;
	frame_begin();
	add_internal(BYTES("pusher_internal:member_added"), room, member, true);
	tell(room, frame_end(), member, true);
}

void
room_tell_removed(const Room *room, const Member *member)
{
	if (!has_listeners(room))
		return;
	frame_begin();
	add_internal(BYTES("pusher_internal:member_removed"), room, member, false);
	add_room_event(BYTES("room:user-left"), room, member, "userId", NULL, NULL);
	tell(room, frame_end(), member, false);
}

void
room_tell_author(const Room *room, const Member *member)
{
	if (!has_listeners(room))
		return;
	frame_begin();
	add_author(room, member);
	tell(room, frame_end(), NULL, false);
}

void
room_tell(const Room *room, Bytes event)
{
	if (room->channels)
		tell(room, frame_event(event, name_of(room), BYTES("{}")), NULL, false);
}

Frame *
room_list_frame(const Room *room)
{
	Buf data = {0};
	Frame *frame;

	buf_addf(&data, "{\"presence\":{\"count\":%u,\"ids\":[", HASH_COUNT(room->members));
	for (const Member *member = room->members; member; member = member->hh.next)
	{
		json_add_string(&data, bytes_of(member->user_id));
		if (member->hh.next)
			buf_addc(&data, ',');
	}
	buf_adds(&data, "],\"hash\":{");
	for (const Member *member = room->members; member; member = member->hh.next)
	{
		json_add_string(&data, bytes_of(member->user_id));
		buf_addf(&data, ":%s", member->user_info ? member->user_info : "null");
		if (member->hh.next)
			buf_addc(&data, ',');
	}
	buf_adds(&data, "}}}");
	frame = frame_event(BYTES("pusher_internal:subscription_succeeded"), name_of(room),
						buf_bytes(&data));
	buf_free(&data);
	return frame;
}
