/*
 * join.c
 *	  Joins of seats, many in one call of join_rooms.
 *
 * One call is under way at a time; what comes meanwhile is the next one. So a lone join
 * leaves at once, and under load many share a call and its commit: if the last
 * call was for more than a few, the next one waits a moment for more.
 *
 * What another open transaction is changing comes back without an id: it waits at the back and
 * is tried later and later, while the others go on. A call that fails by one of its joins is
 * tried in halves, until that one is alone.
 */
#include "rooms/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"

#define MAX_BATCH      500  /* their answers are taken in in one turn of the loop */
#define BUSY_BATCH     4    /* more than that in a call: there is load */
#define GATHER_US      3000 /* then the next one waits that long for more */
#define RETRY_US       50000
#define BLOCKED_MS     100 /* until the second try of what is blocked */
#define MAX_BLOCKED_MS 5000
#define TROUBLE_US     500000 /* the database takes nothing: until all are tried again */

#define ROOM_ON_ANOTHER_NODE "PR001" /* of a cluster: no later try here would do better */

enum
{
	USER_ID,
	BOOK_ID,
	CONNECTION,
	USER_INFO,
	IS_AUTHOR,
	COLUMNS
};

/* Of a seat, until it is answered; the seat may go before. */
typedef struct Join
{
	struct Joins *joins;
	Seat *seat; /* NULL: gone */
	Room *room; /* of a join that is sent */
	int max_batch;
	bool again;         /* a seat that was joined before the database went away */
	bool held;          /* answered, and the presence is open still */
	bool is_blocked;    /* in that list, or its answer was so */
	int tries;          /* that were blocked */
	int64_t not_before; /* ms, of one that is blocked */
	struct Join *prev, *next;
} Join;

const JoinEvents *join_events;

/* Of one database. */
typedef struct Joins
{
	Join *waiting;
	Join *blocked;
	Join *sent; /* in the call under way, in its order */
	bool sending;
	int64_t gather_until; /* us */
	unsigned again_left;
} Joins;

static Joins all[MAX_DATABASES];

static Database *
database_of(const Joins *joins)
{
	return &databases[joins - all];
}

void
join_want(Seat *seat)
{
	Join *join = xcalloc(1, sizeof(Join));

	join->joins = &all[seat->room->database->number];
	join->seat = seat;
	join->max_batch = MAX_BATCH;
	seat->join = join;
	DL_APPEND(join->joins->waiting, join);
}

static void
set_again(Join *join, bool again)
{
	join->joins->again_left += (unsigned) again - (unsigned) join->again;
	join->again = again;
}

static void
free_join(Join *join)
{
	if (join->seat)
		join->seat->join = NULL;
	set_again(join, false);
	free(join);
}

void
join_again_after_loss(Seat *seat)
{
	if (!seat->join)
		join_want(seat);
	set_again(seat->join, !seat->join->is_blocked);
	seat->join->joins->gather_until = 0;
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
	if (join->is_blocked)
		DL_DELETE(join->joins->blocked, join);
	else
		DL_DELETE(join->joins->waiting, join);
	free_join(join);
}

bool
joins_all_again(const Database *database)
{
	return all[database->number].again_left == 0;
}

/* What was sent is that no more. */
static void
unsend(Join *join)
{
	Room *room = join->room;

	DL_DELETE(join->joins->sent, join);
	join->room = NULL;
	room_join_ends(room);
}

/* At the back, alone if the server would wait for it. */
static void
block(Join *join)
{
	/* The analyzer does not follow the links of the list. NOLINTNEXTLINE */
	int64_t delay = (int64_t) BLOCKED_MS << (join->tries < 8 ? join->tries : 8);

	join->tries++;
	join->is_blocked = true;
	join->not_before = now_ms() + (delay < MAX_BLOCKED_MS ? delay : MAX_BLOCKED_MS);
	set_again(join, false);
	metrics.joins_blocked++;
	DL_APPEND(join->joins->blocked, join);
	database_wake_in((int) delay);
}

/*
 * Answers
 */

/* False: the presence was ended by somebody else meanwhile; this connection does not hold one. */
static bool
take_answer(const Join *join, const PGresult *result, int row)
{
	Seat *seat = join->seat;
	int64_t handle = strtoll(PQgetvalue(result, row, 1), NULL, 10);
	MemberRow member = {.presence_id = strtoll(PQgetvalue(result, row, 0), NULL, 10),
						.is_author = *PQgetvalue(result, row, 2) == 't',
						.user_info =
							PQgetisnull(result, row, 3) ? NULL : PQgetvalue(result, row, 3)};

	metrics.joins++;
	if (!seat)
	{
		join_events->orphaned(database_of(join->joins), handle);
		return true;
	}
	member.user_id = seat->user_id;
	return join_events->joined(seat, handle, &member);
}

/* Whether trying the same again may go well. */
static bool
is_passing(const char *sqlstate)
{
	return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0 ||
		   strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "57014") == 0;
}

/* One join alone: it is blocked, or refused, or nobody waits for it any more. */
static void
failed_alone(Join *join, const char *sqlstate, const char *why)
{
	Seat *seat = join->seat;

	if (seat && is_passing(sqlstate))
	{
		block(join);
		return;
	}
	free_join(join);
	if (seat && strcmp(sqlstate, ROOM_ON_ANOTHER_NODE) == 0)
		join_events->elsewhere(seat, why);
	else if (seat)
		join_events->refused(seat, why);
}

/* The database takes nothing, whatever it is: all wait. */
static void
failed_all(Joins *joins)
{
	while (joins->sent)
	{
		Join *join = joins->sent->prev; /* the last one first, so that the order stays */

		/* The analyzer does not follow the links of the list. NOLINTNEXTLINE */
		unsend(join);
		if (join->seat)
			DL_PREPEND(joins->waiting, join);
		else
			free_join(join);
	}
	joins->gather_until = now_us() + TROUBLE_US;
}

/* Takes the call apart: halves first, then one by one, behind all others. */
static void
failed(Joins *joins, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	Join *join;
	int n;

	metrics.join_failures++;
	if (database_is_trouble(sqlstate))
	{
		failed_all(joins);
		return;
	}
	DL_COUNT(joins->sent, join, n);
	while (joins->sent)
	{
		join = joins->sent;
		/* The analyzer does not follow the links of the list. NOLINTNEXTLINE */
		unsend(join);
		join->max_batch = n > 1 ? (n + 1) / 2 : 1;
		if (n == 1)
			failed_alone(join, sqlstate, why ? why : "unknown error");
		else if (join->seat)
			DL_APPEND(joins->waiting, join);
		else
			free_join(join);
	}
	joins->gather_until = is_passing(sqlstate) ? 0 : now_us() + RETRY_US;
}

static void
answer_one(Join *join)
{
	Joins *joins = join->joins;
	Seat *seat = join->seat;
	Room *room = join->room;

	room_join_begins(room); /* it stays until we are done with it */
	DL_DELETE(joins->sent, join);
	join->room = NULL;
	room_join_ends(room);
	if (seat && join->is_blocked)
		block(join);
	else if (seat && !join->held)
		DL_APPEND(joins->waiting, join);
	else
	{
		free_join(join);
		if (room->state == ROOM_UNREAD && joins->again_left == 0)
			room_want(room);
		else if (room_can_answer(room) && seat)
			join_events->all_joined(seat);
	}
	room_join_ends(room);
}

/* Which row answers the join of that number; the server need not sort them for us. */
static void
sort_rows(const PGresult *result, int rows[MAX_BATCH])
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		int ordinality = atoi(PQgetvalue(result, i, 4));

		if (ordinality > 0 && ordinality <= MAX_BATCH)
			rows[ordinality - 1] = i;
	}
}

static void
joins_answered(const PGresult *result, bool ok, void *arg)
{
	static int rows[MAX_BATCH];
	Joins *joins = arg;
	Join *join;
	int n = 0;

	joins->sending = false;
	if (!ok)
	{
		failed(joins, result);
		return;
	}
	/* First all members, then the lists: who came together is in each other's. */
	sort_rows(result, rows);
	DL_FOREACH(joins->sent, join)
	{
		int row = rows[n++];

		join->is_blocked = PQgetisnull(result, row, 0);
		join->held = !join->is_blocked && take_answer(join, result, row);
	}
	while (joins->sent)
		/* The analyzer does not follow the links of the list. NOLINTNEXTLINE */
		answer_one(joins->sent);
}

/* The connection is lost: all are tried again, on the next one. */
static void
joins_forgotten(void *arg)
{
	Joins *joins = arg;

	failed_all(joins);
	joins->sending = false;
	joins->gather_until = 0;
}

/*
 * Sending
 */

/*
 * A server that keeps the user_info of who is a member gets the client's own; others get what the
 * room knows, so that a second tab changes nothing.
 */
static const char *
info_of(const Join *join)
{
	const Seat *seat = join->seat;
	const char *known = NULL;

	if (!database_skips_locked(seat->room->database) || seat->subscription->active)
		known = room_user_info(seat->room, seat->user_id);
	return known ? known : seat->user_info;
}

static void
add_or_null(Buf *column, const char *value)
{
	if (value)
		buf_add_element(column, bytes_of(value));
	else
		buf_adds(column, column->len > 1 ? ",NULL" : "NULL");
}

static void
add_join(Join *join, Buf columns[COLUMNS])
{
	const Seat *seat = join->seat;

	join->room = seat->room;
	join->is_blocked = false;
	room_join_begins(join->room);
	buf_add_element(&columns[USER_ID], bytes_of(seat->user_id));
	buf_add_element(&columns[BOOK_ID], bytes_of(join->room->book_id));
	buf_add_element(&columns[CONNECTION], bytes_of(seat->connection));
	add_or_null(&columns[USER_INFO], info_of(join));
	add_or_null(&columns[IS_AUTHOR], seat->is_author ? "true" : NULL);
}

/* How many; one with a smaller limit than what is gathered waits for the next call. */
static int
gather(Joins *joins, Buf columns[COLUMNS])
{
	int max = MAX_BATCH;
	int n = 0;

	while (joins->waiting && n < max && n < joins->waiting->max_batch)
	{
		Join *join = joins->waiting;

		if (join->max_batch < max)
			max = join->max_batch;
		DL_DELETE(joins->waiting, join);
		DL_APPEND(joins->sent, join);
		add_join(join, columns);
		n++;
	}
	return n;
}

static void
joins_send(Joins *joins)
{
	Database *database = database_of(joins);
	Buf columns[COLUMNS] = {{0}};
	char ttl[32];
	const char *values[COLUMNS + 1];
	int n;

	for (int i = 0; i < COLUMNS; i++)
		buf_addc(&columns[i], '{');
	n = gather(joins, columns);
	for (int i = 0; i < COLUMNS; i++)
		buf_addc(&columns[i], '}');
	snprintf(ttl, sizeof(ttl), "%d milliseconds", database->timeout_ms);
	for (int i = 0; i < 4; i++)
		values[i] = columns[i].data;
	values[4] = ttl;
	values[5] = columns[IS_AUTHOR].data;
	joins->sending = true;
	joins->gather_until = n > BUSY_BATCH ? now_us() + GATHER_US : 0;
	metrics.join_batches++;
	database_ask(database, STATEMENT_JOIN, values, joins_answered, joins_forgotten, joins);
	for (int i = 0; i < COLUMNS; i++)
		buf_free(&columns[i]);
}

/* Those that were blocked, to be tried again; a server that waits for them gets each alone. */
static void
unblock(Joins *joins)
{
	int64_t now = now_ms();
	Join *join;
	Join *next;

	DL_FOREACH_SAFE(joins->blocked, join, next)
	{
		if (join->not_before > now)
			continue;
		DL_DELETE(joins->blocked, join);
		join->is_blocked = false;
		join->max_batch = database_skips_locked(database_of(joins)) ? MAX_BATCH : 1;
		DL_APPEND(joins->waiting, join);
	}
}

static void
flush(Joins *joins)
{
	int64_t wait;

	if (joins->sending)
		return;
	if (joins->blocked)
		unblock(joins);
	if (!joins->waiting)
		return;
	wait = joins->gather_until - now_us();
	if (wait > 0)
		database_wake_in(1 + (int) (wait / 1000));
	else
		joins_send(joins);
}

void
joins_flush(void)
{
	for (const Database *database = HOME; database; database = database_next(database))
		if (database_connected(database))
			flush(&all[database->number]);
}
