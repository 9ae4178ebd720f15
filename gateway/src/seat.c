/*
 * seat.c
 *	  A socket's place in a room: its connection in the database.
 *
 * One join_rooms is under way at a time; what comes meanwhile is the next one. So a
 * lone join leaves at once, and under load many share a call and its commit: if
 * the last call was for more than a few, the next one waits a moment for more.
 *
 * Drops go out before joins, on the same connection. A client that leaves a room and
 * enters it again has the same connection id: its drop must not be carried out after the join.
 *
 * If a call fails by one of its joins, its halves are tried, until that one is alone.
 */
#include "seat.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "database.h"
#include "log.h"
#include "metrics.h"

#define MAX_BATCH      1000
#define BUSY_BATCH     4    /* more than that in a call: there is load */
#define GATHER_US      3000 /* then the next one waits that long for more */
#define RETRY_US       50000
#define HANDLES_A_CALL 1000

/* Of a seat, until it is answered; the seat may go before. */
typedef struct Join
{
	Seat *seat; /* NULL: gone */
	Room *room; /* of a join that is sent */
	int max_batch;
	bool again; /* a seat that was joined before the database went away */
	bool held;  /* answered, and the presence is open still */
	struct Join *prev, *next;
} Join;

static Join *waiting;
static Join *sent; /* in the call under way, in its order */
static bool sending;
static int64_t gather_until; /* us */
static unsigned again_left;
static bool rejoining;

static Seat *by_handle;

static Buf drops; /* an array of handles, without its end */
static int ndrops;
static int drops_sent; /* calls without an answer */

/*
 * Seats
 */

static void
want_join(Seat *seat, bool again)
{
	Join *join = xcalloc(1, sizeof(Join));

	join->seat = seat;
	join->max_batch = MAX_BATCH;
	join->again = again;
	again_left += again;
	seat->join = join;
	DL_APPEND(waiting, join);
}

static void
free_join(Join *join)
{
	if (join->seat)
		join->seat->join = NULL;
	again_left -= join->again;
	free(join);
}

/* A join that was sent waits again. */
static void
join_again(Join *join)
{
	Seat *seat = join->seat;
	bool again = join->again;

	free_join(join);
	want_join(seat, again);
}

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
	want_join(seat, false);
}

static void
drop_handle(int64_t handle)
{
	buf_addf(&drops, "%c%lld", drops.len ? ',' : '{', (long long) handle);
	ndrops++;
	metrics.drops++;
}

static void
forget_handle(Seat *seat)
{
	if (seat->handle)
		HASH_DEL(by_handle, seat);
	seat->handle = 0;
}

void
seat_leave(Seat *seat)
{
	Channel *channel = seat->subscription->channel;
	Join *join = seat->join;

	if (seat->handle)
		drop_handle(seat->handle);
	forget_handle(seat);
	if (join)
		join->seat = NULL;
	if (join && !join->room)
	{
		DL_DELETE(waiting, join);
		free_join(join);
	}
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

/* The list, at last. */
static void
answer(Seat *seat)
{
	Frame *list = room_list(seat->room);

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
			Seat *seat = subscription->seat;

			if (seat->handle && !seat->answered)
				answer(seat);
		}
	}
}

/* The database refuses this one, and will again. */
static void
refuse(Seat *seat, const char *why)
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
 * Joins
 */

/* False: the presence was ended by somebody else meanwhile; this connection does not hold one. */
static bool
joined(Seat *seat, const PGresult *result, int row)
{
	int64_t handle = strtoll(PQgetvalue(result, row, 1), NULL, 10);
	MemberRow member = {.presence_id = strtoll(PQgetvalue(result, row, 0), NULL, 10),
						.is_author = *PQgetvalue(result, row, 2) == 't',
						.user_info =
							PQgetisnull(result, row, 3) ? NULL : PQgetvalue(result, row, 3)};

	metrics.joins++;
	if (!seat)
	{
		drop_handle(handle);
		return true;
	}
	member.user_id = seat->user_id;
	forget_handle(seat);
	if (!room_joined(seat->room, &member))
		return false;
	seat->handle = handle;
	HASH_ADD(hh, by_handle, handle, sizeof(seat->handle), seat);
	return true;
}

/* Whether trying the same again may go well. */
static bool
is_passing(const char *sqlstate)
{
	static const char *const passing[] = {"40001", "40P01", "55P03", "57014"};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strcmp(sqlstate, passing[i]) == 0)
			return true;
	return false;
}

/* Takes the call apart: halves first, then one by one. */
static void
failed(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	Join *last = NULL;
	Join *join;
	int n;

	metrics.join_failures++;
	DL_COUNT(sent, join, n);
	while (sent)
	{
		join = sent;
		DL_DELETE(sent, join);
		room_join_ends(join->room);
		join->room = NULL;
		join->max_batch = n > 1 ? (n + 1) / 2 : 1;
		if (!join->seat || (n == 1 && !is_passing(sqlstate ? sqlstate : "")))
		{
			Seat *seat = join->seat;

			free_join(join);
			if (seat)
				refuse(seat, why ? why : "unknown error");
			continue;
		}
		if (last)
			DL_APPEND_ELEM(waiting, last, join);
		else
			DL_PREPEND(waiting, join);
		last = join;
	}
	gather_until = now_us() + RETRY_US;
}

static void
batch_done(void)
{
	sending = false;
	if (rejoining && again_left == 0)
	{
		rejoining = false;
		rooms_want_all();
	}
}

static void
batch_answered(const PGresult *result, bool ok, void *arg)
{
	Join *answered;
	Join *join;
	Join *next;
	int row = 0;

	(void) arg;
	if (!ok)
	{
		failed(result);
		batch_done();
		return;
	}
	/* First all members, then the lists: who came together is in each other's. */
	answered = sent;
	sent = NULL;
	DL_FOREACH(answered, join)
	{
		join->held = joined(join->seat, result, row++);
	}
	DL_FOREACH_SAFE(answered, join, next)
	{
		Room *room = join->room;
		Seat *seat = join->seat;

		if (room->state == ROOM_READY)
			answer_room(room);
		else if (!rejoining)
			room_want(room);
		if (seat && !join->held)
			join_again(join);
		else
			free_join(join);
		room_join_ends(room);
	}
	batch_done();
}

/* The connection is lost: seats_rejoin() begins anew. */
static void
batch_forgotten(void *arg)
{
	Join *join;
	Join *next;

	(void) arg;
	DL_FOREACH_SAFE(sent, join, next)
	{
		Room *room = join->room;

		DL_DELETE(sent, join);
		if (join->seat)
			join_again(join);
		else
			free_join(join);
		room_join_ends(room);
	}
	sending = false;
}

/*
 * user_info of a seat that joins again is what the room knows: another tab may have changed it
 * since.
 */
static const char *
info_of(const Join *join)
{
	const char *known =
		join->seat->answered ? room_user_info(join->seat->room, join->seat->user_id) : NULL;

	return known ? known : join->seat->user_info;
}

static void
send_joins(void)
{
	Buf columns[4] = {{0}};
	char ttl[32];
	const char *values[5];
	int n = 0;

	for (int i = 0; i < 4; i++)
		buf_addc(&columns[i], '{');
	while (waiting && n < waiting->max_batch)
	{
		Join *join = waiting;
		const char *info = info_of(join);

		DL_DELETE(waiting, join);
		DL_APPEND(sent, join);
		n++;
		join->room = join->seat->room;
		room_join_begins(join->room);
		buf_add_element(&columns[0], bytes_of(join->seat->user_id));
		buf_add_element(&columns[1], bytes_of(join->room->book_id));
		buf_add_element(&columns[2], bytes_of(join->seat->subscription->socket->id));
		if (info)
			buf_add_element(&columns[3], bytes_of(info));
		else
			buf_adds(&columns[3], columns[3].len > 1 ? ",NULL" : "NULL");
	}
	for (int i = 0; i < 4; i++)
	{
		buf_addc(&columns[i], '}');
		values[i] = columns[i].data;
	}
	snprintf(ttl, sizeof(ttl), "%d milliseconds", settings.timeout_ms);
	values[4] = ttl;
	sending = true;
	gather_until = n > BUSY_BATCH ? now_us() + GATHER_US : 0;
	metrics.join_batches++;
	database_ask(STATEMENT_JOIN, 5, values, batch_answered, batch_forgotten, NULL);
	for (int i = 0; i < 4; i++)
		buf_free(&columns[i]);
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
	bool join = waiting && !sending && now_us() >= gather_until;

	if (!database_connected())
		return;
	/* While a drop is under way others gather, unless joins are to follow them. */
	if (ndrops > 0 && (join || drops_sent == 0))
		send_drops();
	if (join)
		send_joins();
	else if (waiting && !sending)
		database_wake_in(1 + (int) ((gather_until - now_us()) / 1000));
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
			forget_handle(seat);
			if (!seat->join)
				want_join(seat, false);
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
			want_join(seat, false);
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
		forget_handle(seat);
		if (!seat->join)
			want_join(seat, true);
		else if (!seat->join->again)
		{
			seat->join->again = true;
			again_left++;
		}
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
	gather_until = 0;
	if (again_left == 0)
		batch_done();
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
