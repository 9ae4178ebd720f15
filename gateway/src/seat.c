/*
 * seat.c
 *	  A socket's place in a room: its connection in the database.
 *
 * Drops go out before joins, on the same connection. A client that leaves a room and
 * enters it again has the same connection id: its drop must not be carried out after the join.
 */
#include "seat.h"

#include <stdlib.h>
#include <utlist.h>

#include "database.h"
#include "join.h"
#include "log.h"
#include "metrics.h"

#define HANDLES_A_CALL 1000

static Seat *by_handle;

static Buf drops; /* an array of handles, without its end */
static int ndrops;
static int drops_sent; /* calls without an answer */

static bool rejoining; /* the database is back: rooms are read when all have joined */

/*
 * Seats
 */

void
seat_take(Subscription *subscription, Bytes book_id, const MemberData *member)
{
	Seat *seat = xcalloc(1, sizeof(Seat));

	seat->subscription = subscription;
	seat->room = subscription->channel->room;
	if (!seat->room)
		seat->room = room_of(subscription->channel, book_id);
	seat->user_id = member->user_id;
	seat->user_info = member->user_info;
	seat->asked_at = now_us();
	subscription->seat = seat;
	join_want(seat, false);
}

void
seat_drop(int64_t handle)
{
	buf_addf(&drops, "%c%lld", drops.len ? ',' : '{', (long long) handle);
	ndrops++;
	metrics.drops++;
}

void
seat_hold(Seat *seat, int64_t handle)
{
	if (seat->handle)
		HASH_DEL(by_handle, seat);
	seat->handle = handle;
	if (handle)
		HASH_ADD(hh, by_handle, handle, sizeof(seat->handle), seat);
}

void
seat_leave(Seat *seat)
{
	Channel *channel = seat->subscription->channel;

	if (seat->handle)
		seat_drop(seat->handle);
	seat_hold(seat, 0);
	join_cancel(seat);
	if (channel->nsubscriptions == 1)
		room_leave(channel);
	seat->subscription->seat = NULL;
	free(seat->user_id);
	free(seat->user_info);
	free(seat);
}

bool
seat_learns(Seat *seat, const char *user_info)
{
	if (json_same(seat->user_info, user_info))
		return false;
	free(seat->user_info);
	seat->user_info = user_info ? xstrdup(user_info) : NULL;
	return true;
}

void
seat_answer(Seat *seat)
{
	Frame *list;

	if (seat->answered || !seat->handle)
		return;
	list = room_list(seat->room);
	seat->answered = true;
	socket_send(seat->subscription->socket, list);
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
			seat_answer(subscription->seat);
		}
	}
}

void
seat_refuse(Seat *seat, const char *why)
{
	Subscription *subscription = seat->subscription;
	Buf data = {0};

	log_line(LOG_WARNING, "a join was refused: %s", why);
	if (seat->answered)
		return; /* a client that is in already: tried again with the next heartbeat */
	buf_adds(&data, "{\"type\":\"PresenceError\",\"error\":");
	json_add_string(&data, bytes_of("the database refused the join"));
	buf_adds(&data, ",\"status\":500}");
	socket_send_own(subscription->socket,
					frame_event(BYTES("pusher:subscription_error"),
								channel_name(subscription->channel), buf_bytes(&data)));
	buf_free(&data);
	seat_leave(seat);
	subscription_close(subscription);
}

/*
 * Drops and heartbeats
 */

static void
drops_answered(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	drops_sent--;
	if (!ok) /* they end with their lease */
		log_line(LOG_WARNING, "connections can't be dropped: %s", PQresultErrorMessage(result));
}

static void
drops_forgotten(void *arg)
{
	(void) arg;
	drops_sent--;
}

static void
send_drops(void)
{
	const char *values[1];

	buf_addc(&drops, '}');
	values[0] = drops.data;
	drops_sent++;
	database_ask(STATEMENT_DROP, 1, values, drops_answered, drops_forgotten, NULL);
	buf_reset(&drops);
	ndrops = 0;
}

void
seats_flush(void)
{
	bool join;

	if (!database_connected())
		return;
	if (rejoining && joins_all_again())
	{
		rejoining = false;
		rooms_want_all();
	}
	join = joins_due();
	/* While a drop is under way others gather, unless joins are to follow them. */
	if (ndrops > 0 && (join || drops_sent == 0))
		send_drops();
	if (join)
		joins_send();
}

bool
seats_dropping(void)
{
	return ndrops > 0 || drops_sent > 0;
}

/* {1,2,3} are the handles that the database does not know: their seats join again. */
static void
touched(const PGresult *result, bool ok, void *arg)
{
	const char *text = ok && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";

	(void) arg;
	if (!ok)
		log_line(LOG_ERROR, "connections can't be touched: %s", PQresultErrorMessage(result));
	while (*text == '{' || *text == ',')
	{
		char *end;
		int64_t handle = strtoll(text + 1, &end, 10);
		Seat *seat;

		if (end == text + 1)
			break;
		text = end;
		HASH_FIND(hh, by_handle, &handle, sizeof(handle), seat);
		if (seat)
		{
			seat_hold(seat, 0);
			if (!seat->join)
				join_want(seat, false);
		}
	}
}

static void
touch(Buf *handles)
{
	const char *values[] = {handles->data};

	database_ask(STATEMENT_TOUCH, 1, values, touched, NULL, NULL);
	buf_free(handles);
}

static void
rejoin_lost(Socket *socket, void *arg)
{
	Subscription *subscription;

	(void) arg;
	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (seat && !seat->handle && !seat->join)
			join_want(seat, false);
	}
}

void
seats_touch(void)
{
	Buf handles = {0};
	int n = 0;

	if (!database_connected())
		return;
	for (const Seat *seat = by_handle; seat; seat = seat->hh.next)
	{
		buf_addf(&handles, "%c%lld", n == 0 ? '{' : ',', (long long) seat->handle);
		if (++n < HANDLES_A_CALL && seat->hh.next)
			continue;
		buf_addc(&handles, '}');
		touch(&handles);
		n = 0;
	}
	sockets_each(rejoin_lost, NULL); /* refused, or failed, since */
	if (!rejoining)
		rooms_want_all();
}

/*
 * After the database was away
 */

static void
rejoin(Socket *socket, void *arg)
{
	Subscription *subscription;

	(void) arg;
	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (!seat)
			continue;
		seat_hold(seat, 0);
		join_again_after_loss(seat);
	}
}

/*
 * Handles of before are gone with a crash, but not with a lost connection: what was
 * dropped meanwhile is still to be dropped. Joins by the same connection id
 * give the same connection.
 */
void
seats_rejoin(void)
{
	rooms_unread();
	sockets_each(rejoin, NULL);
	rejoining = true;
}

bool
seats_restored(void)
{
	return !rejoining && rooms_restored();
}

void
seats_init(void)
{
	room_on_ready = answer_room;
}
