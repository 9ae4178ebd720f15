/*
 * again.c
 *	  Seats that are joined again: the database was away, or has forgotten their connection.
 *
 * No lease ends before its time. So a presence that is not open, though its lease can't have
 * ended, was ended by somebody. If it can, the history tells: a row that is gone was deleted, and
 * one that ended before its lease was left. After a crash rows are open for one lease more, but for
 * what may be lost (database_sure_until): that is joined again unasked.
 */
#include "rooms/again.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "rooms/beat.h"
#include "rooms/coming.h"
#include "rooms/join.h"

#define ASK_BATCH   2000
#define ASK_RETRIES 10   /* once a second; then all join */
#define LOST_MS     1000 /* from the loss of a connection: the event about it may be on its way */
#define SLACK_MS    2000 /* the end of a lease is known to so much, at most a quarter of it */

enum
{
	PRESENCE_ID,
	BOOK_ID,
	USER_ID,
	ALIVE_MS, /* so long ago it was */
	LEASE_MS,
	COLUMNS
};

/* What is gathered for one question. */
typedef struct Question
{
	const Database *database;
	Buf columns[COLUMNS];
	int n;
	int64_t now;
} Question;

/* The answer: presences that are not joined again, in order. */
typedef struct Ended
{
	const Database *database;
	int64_t *ids;
	size_t n;
} Ended;

void (*again_on_removed)(Seat *seat);

/* Of one database. */
typedef struct Again
{
	bool rejoining; /* it is back: rooms are read when all have joined */
	unsigned nunsure;
	bool asking;
	int failures;
	int64_t ask_at; /* ms; not before */
} Again;

static Again all[MAX_DATABASES];
static bool any_lost;
static int64_t retried_at;

static void
set_unsure(Seat *seat, bool unsure)
{
	if (seat->unsure != unsure)
		all[seat->room->database->number].nunsure += (unsigned) unsure - (unsigned) seat->unsure;
	seat->unsure = unsure;
	seat->asked = false;
}

void
again_cancel(Seat *seat)
{
	set_unsure(seat, false);
}

static void
join_now(Seat *seat)
{
	if (all[seat->room->database->number].rejoining)
		join_again_after_loss(seat);
	else
		join_want(seat);
}

/*
 * How did it end?
 */

static void
add_question(Question *question, Seat *seat)
{
	Buf *columns = question->columns;
	char mark = question->n++ ? ',' : '{';
	int slack = seat->lease_ms / 4 < SLACK_MS ? seat->lease_ms / 4 : SLACK_MS;

	seat->asked = true;
	buf_addf(&columns[PRESENCE_ID], "%c%lld", mark, (long long) seat->presence_id);
	buf_add_element(&columns[BOOK_ID], bytes_of(seat->room->book_id));
	buf_add_element(&columns[USER_ID], bytes_of(seat->user_id));
	buf_addf(&columns[ALIVE_MS], "%c%lld", mark, (long long) (question->now - seat->alive_at));
	buf_addf(&columns[LEASE_MS], "%c%d", mark, seat->lease_ms - slack);
}

static void
gather(Socket *socket, void *arg)
{
	Question *question = arg;
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (seat && seat->unsure && !seat->removed && question->n < ASK_BATCH &&
			seat->room->database == question->database &&
			(all[question->database->number].rejoining || seat->lost_at + LOST_MS <= question->now))
			add_question(question, seat);
	}
}

static int
compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a;
	int64_t y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static void
settle(Socket *socket, void *arg)
{
	const Ended *ended = arg;
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (!seat || !seat->asked || seat->room->database != ended->database)
			continue;
		set_unsure(seat, false);
		if (!seat->timed_out && ended->n > 0 &&
			bsearch(&seat->presence_id, ended->ids, ended->n, sizeof(int64_t), compare_ids))
			again_on_removed(seat);
		else
			join_now(seat);
	}
}

static void
settle_all(const Database *database, const PGresult *result)
{
	Ended ended = {.database = database, .n = result ? (size_t) PQntuples(result) : 0};

	ended.ids = xmalloc(sizeof(int64_t) * (ended.n + 1));
	for (size_t i = 0; i < ended.n; i++)
		ended.ids[i] = strtoll(PQgetvalue(result, (int) i, 0), NULL, 10);
	qsort(ended.ids, ended.n, sizeof(int64_t), compare_ids);
	sockets_each(settle, &ended);
	free(ended.ids);
}

static void
unask(Socket *socket, void *arg)
{
	const Database *database = arg;
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		if (subscription->seat && subscription->seat->room->database == database)
			subscription->seat->asked = false;
	}
}

/* Once more, later. */
static void
forgotten(void *arg)
{
	const Database *database = arg;

	all[database->number].asking = false;
	all[database->number].ask_at = now_ms() + 500;
	sockets_each(unask, arg);
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	const Database *database = arg;
	Again *again = &all[database->number];

	again->asking = false;
	if (ok)
	{
		again->failures = 0;
		settle_all(database, result);
		return;
	}
	log_line(LOG_WARNING, "how presences ended can't be asked: %s", PQresultErrorMessage(result));
	if (++again->failures % ASK_RETRIES == 0)
		settle_all(database, NULL);
	else
		forgotten(arg);
}

static void
ask(Database *database)
{
	Again *again = &all[database->number];
	Question question = {.database = database, .now = now_ms()};
	const char *values[COLUMNS];

	buf_addc(&question.columns[BOOK_ID], '{');
	buf_addc(&question.columns[USER_ID], '{');
	sockets_each(gather, &question);
	for (int i = 0; i < COLUMNS; i++)
	{
		buf_addc(&question.columns[i], '}');
		values[i] = question.columns[i].data;
	}
	if (question.n > 0)
	{
		again->asking = true;
		database_ask(database, STATEMENT_ENDED, values, answered, forgotten, database);
	}
	else
		again->ask_at = question.now + 500;
	for (int i = 0; i < COLUMNS; i++)
		buf_free(&question.columns[i]);
}

/*
 * Lost, and tried again
 */

void
again_later(Seat *seat)
{
	seat->lost_at = now_ms();
	any_lost = true;
}

/* Not at once: if the application has thrown him out, the event that says so is on its way. */
void
again_want(Seat *seat)
{
	again_later(seat);
	set_unsure(seat, seat->presence_id != 0);
}

static void
retry(Socket *socket, void *arg)
{
	int64_t now = *(int64_t *) arg;
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (!seat || seat->handle || seat->join || seat->removed || seat->unsure)
			continue;
		if (seat->lost_at + LOST_MS > now || !seat->room->database ||
			!database_connected(seat->room->database))
			any_lost = true;
		else
			join_want(seat);
	}
}

void
again_tick(void)
{
	int64_t now = now_ms();

	if (any_lost)
	{
		any_lost = false;
		sockets_each(retry, &now);
	}
	if (now - retried_at < HOME->timeout_ms / 3)
		return;
	retried_at = now;
	any_lost = true; /* those that were refused, too */
	comings_tidy();
	for (const Database *database = HOME; database; database = database_next(database))
		if (!all[database->number].rejoining)
			rooms_want_all(database);
}

static void
flush(Database *database)
{
	Again *again = &all[database->number];

	if (again->nunsure > 0 && !again->asking && again->ask_at <= now_ms())
		ask(database);
	if (!again->rejoining || again->nunsure > 0 || !joins_all_again(database))
		return;
	again->rejoining = false;
	rooms_want_all(database);
}

void
again_flush(void)
{
	for (Database *database = HOME; database; database = database_next(database))
		if (database_connected(database))
			flush(database);
}

/*
 * After the database was away
 */

static void
rejoin(Socket *socket, void *arg)
{
	const Database *database = arg;
	int64_t sure_until = database_sure_until(database);
	Subscription *subscription;

	DL_FOREACH2(socket->subscriptions, subscription, s_next)
	{
		Seat *seat = subscription->seat;

		if (!seat || seat->removed || seat->room->database != database)
			continue;
		beat_hold(seat, 0, 0);
		if (!seat->presence_id || seat->came_at > sure_until)
		{
			join_again_after_loss(seat);
			continue;
		}
		join_cancel(seat);
		set_unsure(seat, true);
	}
}

/*
 * Handles of before are gone with a crash, but not with a lost connection: what was
 * dropped meanwhile is still to be dropped. Joins by the same connection id
 * give the same connection.
 */
void
seats_rejoin(const Database *database)
{
	Again *again = &all[database->number];

	rooms_unread(database);
	beats_start(database);
	again->rejoining = true;
	again->ask_at = 0;
	sockets_each(rejoin, (void *) database);
}

bool
seats_restored(const Database *database)
{
	return !all[database->number].rejoining && rooms_restored(database);
}

bool
seats_rejoining(const Database *database)
{
	return all[database->number].rejoining;
}
