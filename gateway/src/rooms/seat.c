/*
 * seat.c
 *	  A socket's place in a room: taken, joined, answered, left.
 *
 * Each seat is a connection of its own name in the database, so that its drop and the join of
 * the one after it may be carried out in any order. Who leaves and comes back in one turn of the
 * loop takes his old connection along: it is dropped when the new one has joined, and nobody
 * sees him leave.
 */
#include "rooms/seat.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "rooms/again.h"
#include "rooms/beat.h"
#include "rooms/cache_read.h"
#include "rooms/coming.h"
#include "rooms/drop.h"
#include "rooms/join.h"
#include "rooms/list.h"
#include "rooms/watch.h"

/* A connection that was left in this turn. */
typedef struct Left
{
	int64_t handle;
	const Socket *socket;
	Database *database;
	const Room *room; /* to be compared only: it may be gone */
	struct Left *prev, *next;
} Left;

static Left *lefts;
static bool any_removed;

/* The one after it, of all that have a seat in the room; after NULL: the first. */
static Seat *
next_seat(const Room *room, const Seat *seat)
{
	const Channel *channel = seat ? seat->subscription->channel : room->channels;
	const Subscription *subscription = seat      ? seat->subscription->next
									   : channel ? channel->subscriptions
												 : NULL;

	for (;;)
	{
		for (; subscription; subscription = subscription->next)
			if (subscription->seat)
				return subscription->seat;
		channel = channel ? channel->room_next : NULL;
		if (!channel)
			return NULL;
		subscription = channel->subscriptions;
	}
}

/*
 * Coming and going
 */

static int64_t
take_over(const Socket *socket, const Room *room)
{
	Left *left;

	DL_FOREACH(lefts, left)
	{
		if (left->socket == socket && left->room == room)
		{
			int64_t handle = left->handle;

			DL_DELETE(lefts, left);
			free(left);
			return handle;
		}
	}
	return 0;
}

bool
seat_take(Subscription *subscription, Bytes book_id, char *user_id, char *user_info)
{
	Seat *seat;

	if (!coming_allowed(user_id, book_id))
	{
		metrics.refused_joins++;
		free(user_id);
		free(user_info);
		return false;
	}
	seat = xcalloc(1, sizeof(Seat));
	seat->subscription = subscription;
	seat->room = subscription->channel->room;
	if (!seat->room)
		seat->room = room_of(subscription->channel, book_id);
	seat->user_id = user_id;
	seat->user_info = user_info;
	seat->asked_at = now_us();
	if (subscription->socket->left)
		snprintf(seat->connection, sizeof(seat->connection), "%s-%u", subscription->socket->id,
				 subscription->socket->left);
	else
		snprintf(seat->connection, sizeof(seat->connection), "%s", subscription->socket->id);
	seat->old_handle = take_over(subscription->socket, seat->room);
	subscription->seat = seat;
	if (seat->room->database) /* else it waits for seats_place() */
		join_want(seat);
	return true;
}

static void
leave_handle(Seat *seat, bool at_once)
{
	Left *left;

	if (!seat->handle)
		return;
	if (!at_once)
	{
		drop_want(seat->room->database, seat->handle, false);
		return;
	}
	left = xcalloc(1, sizeof(Left));
	left->handle = seat->handle;
	left->socket = seat->subscription->socket;
	left->database = seat->room->database;
	left->room = seat->room;
	DL_APPEND(lefts, left);
}

void
seat_leave(Seat *seat, bool at_once)
{
	Channel *channel = seat->subscription->channel;

	leave_handle(seat, at_once);
	if (seat->old_handle)
		drop_want(seat->room->database, seat->old_handle, at_once);
	beat_hold(seat, 0, 0);
	join_cancel(seat);
	again_cancel(seat);
	seat->subscription->socket->left++;
	if (channel->nsubscriptions == 1)
		room_leave(channel);
	seat->subscription->seat = NULL;
	free(seat->user_id);
	free(seat->user_info);
	free(seat);
}

static void
drop_lefts(void)
{
	while (lefts)
	{
		Left *left = lefts;

		drop_want(left->database, left->handle, true);
		DL_DELETE(lefts, left);
		free(left);
	}
}

/*
 * Answers to joins
 */

static void
mark_removed(Seat *seat)
{
	seat->removed = any_removed = true;
}

static void
note_presence(Seat *seat, const MemberRow *row)
{
	if (seat->presence_id != row->presence_id)
	{
		seat->presence_before = seat->presence_id;
		seat->came_at = now_ms();
	}
	seat->presence_id = row->presence_id;
	seat->is_author = row->is_author;
	seat->timed_out = false;
}

static bool
joined(Seat *seat, int64_t handle, const MemberRow *row)
{
	RoomJoined how = room_joined(seat->room, row);

	beat_hold(seat, 0, 0);
	if (seat->old_handle && seat->old_handle != handle)
		drop_want(seat->room->database, seat->old_handle, true);
	seat->old_handle = 0;
	if (how == ROOM_ENDED)
		return false;
	if (how == ROOM_REMOVED)
		mark_removed(seat);
	note_presence(seat, row);
	beat_hold(seat, handle, seat->room->database->timeout_ms);
	return true;
}

static void
answer(Seat *seat)
{
	Subscription *subscription = seat->subscription;

	if (subscription->active || !seat->handle || seat->removed)
		return;
	subscription->active = true;
	list_send(subscription, &seat->room->members);
	cache_want(subscription);
	metrics_join_latency(now_us() - seat->asked_at);
}

static void
answer_room(Room *room)
{
	Channel *channel;
	Subscription *subscription;

	DL_FOREACH2(room->channels, channel, room_next)
	{
		DL_FOREACH(channel->subscriptions, subscription)
		{
			if (subscription->seat)
				answer(subscription->seat);
			else
				watch_answer(subscription);
		}
	}
}

static void
orphaned(Database *database, int64_t handle)
{
	drop_want(database, handle, true);
}

/* Ends a subscription with an error on its channel. */
static void
end_seat(Seat *seat, const char *type, const char *why, int status)
{
	Subscription *subscription = seat->subscription;
	Buf data = {0};

	buf_addf(&data, "{\"type\":\"%s\",\"error\":", type);
	json_add_string(&data, bytes_of(why));
	buf_addf(&data, ",\"status\":%d}", status);
	socket_send_own(subscription->socket,
					frame_event(BYTES("pusher:subscription_error"),
								channel_name(subscription->channel), buf_bytes(&data)));
	buf_free(&data);
	seat_leave(seat, true);
	subscription_close(subscription);
}

static void
log_refusal(const Seat *seat, const char *why)
{
	const LogField fields[] = {{"reason", why},
							   {"app", seat->subscription->channel->app->id},
							   {"user", seat->user_id},
							   {"room", seat->room->book_id},
							   {"socket", seat->subscription->socket->id},
							   {NULL, NULL}};

	log_fields(LOG_WARNING, "a join was refused", fields);
}

static void
end_refused(Seat *seat)
{
	end_seat(seat, "PresenceError", "the database refused the join", 500);
}

static void
refused(Seat *seat, const char *why)
{
	log_refusal(seat, why);
	if (!seat->subscription->active) /* one that is in already is tried again, later */
		end_refused(seat);
}

/* Its room has moved, and it is asked where to; or there is no other database. */
static void
elsewhere(Seat *seat, const char *why)
{
	if (databases_several())
	{
		room_doubt(seat->room, 0);
		again_later(seat);
		return;
	}
	log_refusal(seat, why);
	end_refused(seat);
}

/*
 * Rooms that move
 */

static void
move_out(Seat *seat)
{
	Database *from = seat->room->database;

	join_cancel(seat);
	again_cancel(seat);
	if (seat->handle)
		drop_want(from, seat->handle, true);
	if (seat->old_handle)
		drop_want(from, seat->old_handle, true);
	beat_hold(seat, 0, 0);
	seat->old_handle = seat->presence_id = seat->presence_before = 0;
	seat->timed_out = false;
}

/* With the last one the room may go. */
static void
end_seats(const char *book_id)
{
	char *name = xstrdup(book_id);
	Room *room;
	Seat *seat;

	while ((room = room_find(bytes_of(name))) && (seat = next_seat(room, NULL)))
	{
		log_refusal(seat, "no --database is of the node of its room");
		end_refused(seat);
	}
	free(name);
}

void
seats_place(Room *room, Database *database)
{
	for (Seat *seat = next_seat(room, NULL); room->database && seat; seat = next_seat(room, seat))
		move_out(seat);
	room_place(room, database);
	if (!database)
	{
		end_seats(room->book_id);
		return;
	}
	for (Seat *seat = next_seat(room, NULL); seat; seat = next_seat(room, seat))
		if (!seat->removed)
			join_want(seat);
	if (!next_seat(room, NULL) && database_connected(database) && !seats_rejoining(database))
		room_want(room); /* somebody watches; with a seat it is read when that has joined */
}

/*
 * Members that the application has thrown out: their clients are told, and not joined again.
 * At the end of the turn, since the room is in use.
 */

/* A seat may have joined anew before it hears how the presence before ended. */
static void
presence_ended(Seat *seat, int64_t presence_id, const char *reason)
{
	if (!seat->presence_id)
		return;
	if (strcmp(reason, "removed") == 0 &&
		(seat->presence_id <= presence_id || seat->presence_before == presence_id))
		mark_removed(seat);
	else if (strcmp(reason, "timeout") == 0 && seat->presence_id == presence_id)
		seat->timed_out = true;
}

static void
member_ended(Room *room, const char *user_id, int64_t presence_id, const char *reason)
{
	for (Seat *seat = next_seat(room, NULL); seat; seat = next_seat(room, seat))
		if (strcmp(seat->user_id, user_id) == 0)
			presence_ended(seat, presence_id, reason);
}

static void
end_removed(Socket *socket, void *arg)
{
	Subscription *subscription;
	Subscription *next;

	(void) arg;
	DL_FOREACH_SAFE2(socket->subscriptions, subscription, next, s_next)
	{
		Seat *seat = subscription->seat;

		if (!seat || !seat->removed)
			continue;
		beat_hold(seat, 0, 0); /* it is gone: nothing to drop */
		end_seat(seat, "AuthError", "removed by the application", 403);
	}
}

/*
 * The end of a turn, and time
 */

void
seats_flush(void)
{
	if (any_removed)
	{
		any_removed = false;
		sockets_each(end_removed, NULL);
	}
	drop_lefts();
	again_flush();
	joins_flush();
	drops_flush();
}

void
seats_tick(void)
{
	beats_tick();
	again_tick();
}

void
seats_init(void)
{
	static const JoinEvents events = {joined, answer, refused, elsewhere, orphaned};

	join_events = &events;
	beat_on_lost = again_want;
	room_on_ready = answer_room;
	room_on_ended = member_ended;
	again_on_removed = mark_removed;
}
