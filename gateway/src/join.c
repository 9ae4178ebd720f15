/*
 * join.c
 *	  Joins of seats, many in one call of join_rooms.
 *
 * One call is under way at a time; what comes meanwhile is the next one. So a lone join
 * leaves at once, and under load many share a call and its commit: if the last
 * call was for more than a few, the next one waits a moment for more.
 *
 * If a call fails by one of its joins, its halves are tried, until that one is alone.
 */
#include "join.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "database.h"
#include "metrics.h"

#define MAX_BATCH  1000
#define BUSY_BATCH 4    /* more than that in a call: there is load */
#define GATHER_US  3000 /* then the next one waits that long for more */
#define RETRY_US   50000

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

void
join_want(Seat *seat, bool again)
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
	join_want(seat, again);
}

void
join_again_after_loss(Seat *seat)
{
	if (!seat->join)
		join_want(seat, true);
	else if (!seat->join->again)
	{
		seat->join->again = true;
		again_left++;
	}
	gather_until = 0;
}

void
join_cancel(Seat *seat)
{
	Join *join = seat->join;

	if (!join)
		return;
	seat->join = NULL;
	join->seat = NULL;
	if (join->room)
		return; /* sent: its answer will find nobody */
	DL_DELETE(waiting, join);
	free_join(join);
}

bool
joins_all_again(void)
{
	return again_left == 0;
}

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
		seat_drop(handle);
		return true;
	}
	member.user_id = seat->user_id;
	seat_hold(seat, 0);
	if (!room_joined(seat->room, &member))
		return false;
	seat_hold(seat, handle);
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
				seat_refuse(seat, why ? why : "unknown error");
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
batch_answered(const PGresult *result, bool ok, void *arg)
{
	Join *answered;
	Join *join;
	Join *next;
	int row = 0;

	(void) arg;
	sending = false;
	if (!ok)
	{
		failed(result);
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

		if (seat && !join->held)
			join_again(join);
		else
			free_join(join);
		if (room->state == ROOM_UNREAD && again_left == 0)
			room_want(room);
		else if (room->state == ROOM_READY && seat)
			seat_answer(seat);
		room_join_ends(room);
	}
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

void
joins_send(void)
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

bool
joins_due(void)
{
	int64_t wait;

	if (!waiting || sending)
		return false;
	wait = gather_until - now_us();
	if (wait > 0)
		database_wake_in(1 + (int) (wait / 1000));
	return wait <= 0;
}
