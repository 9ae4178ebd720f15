/*
 * members.c
 *	  Many presences at once, a handful of statements in all.
 *
 * The same order as for one (member.c): lock the presences, drop the connections,
 * and, with a new snapshot, end the presences that have none left.
 *
 * Called by rooms.c, upkeep.c, webhook.c and worker.c, with the store open.
 */
#include "postgres.h"

#include "members.h"

#include "utils/builtins.h"

#include "events.h"
#include "liveness.h"
#include "member.h"
#include "presence.h"
#include "store.h"

/* Presences, from the columns (book_id, user_id, id) of the last result. */
typedef struct Keys
{
	int n;
	Datum book_ids;     /* text[] */
	Datum user_ids;     /* text[] */
	Datum presence_ids; /* bigint[] */
} Keys;

/* A column of the last result. */
static Datum *
result_column(uint64 nrows, int column)
{
	Datum *values = palloc(sizeof(Datum) * Max(nrows, 1));

	for (uint64 i = 0; i < nrows; i++)
		values[i] = store_datum(SPI_tuptable, i, column);
	return values;
}

static Keys
result_keys(uint64 nrows)
{
	Keys keys = {.n = (int) nrows};

	keys.book_ids = store_text_array(result_column(nrows, 0), keys.n);
	keys.user_ids = store_text_array(result_column(nrows, 1), keys.n);
	keys.presence_ids = store_bigint_array(result_column(nrows, 2), keys.n);
	return keys;
}

/*
 * Tells of the presences in the last result: those that were closed, with what
 * the row says; of those that were deleted, the ones still open.
 */
static int
tell_removed(uint64 nrows, bool deleted, TimestampTz now)
{
	SPITupleTable *rows = SPI_tuptable;
	int told = 0;

	for (uint64 i = 0; i < nrows; i++)
	{
		bool open;
		Datum left_at = store_value(rows, i, 5, &open);
		Member member = {.book_id = DatumGetTextPP(store_datum(rows, i, 0)),
						 .user_id = DatumGetTextPP(store_datum(rows, i, 1)),
						 .id = DatumGetInt64(store_datum(rows, i, 2)),
						 .user_info = store_jsonb(rows, i, 3),
						 .is_author = DatumGetBool(store_datum(rows, i, 4))};

		if (deleted && !open)
			continue;
		if (deleted)
			member_tell(MEMBER_REMOVED, &member, "removed", now);
		else
			member_tell(MEMBER_REMOVED, &member, TextDatumGetCString(store_datum(rows, i, 6)),
						DatumGetTimestampTz(left_at));
		told++;
	}
	return told;
}

static int
close_unconnected(const Keys *keys, Datum *left_at, Datum *reason, Datum *last_active,
				  TimestampTz now)
{
	Datum values[] = {keys->book_ids,
					  keys->user_ids,
					  keys->presence_ids,
					  store_timestamptz_array(left_at, keys->n),
					  store_text_array(reason, keys->n),
					  store_timestamptz_array(last_active, keys->n)};

	return tell_removed(store_execute(CLOSE_UNCONNECTED, values, NULL), false, now);
}

static void
disconnect(const Keys *keys)
{
	Datum values[] = {keys->book_ids, keys->user_ids, keys->presence_ids};

	liveness_closed(store_execute(DISCONNECT_PRESENCES, values, NULL), 0);
}

int
members_empty_room(text *book_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(book_id), TimestampTzGetDatum(now)};
	uint64 nrows;
	Keys keys;
	int removed;

	store_execute(LOCK_ROOM, values, NULL);
	nrows = store_execute(EMPTY_ROOM, values, NULL);
	keys = result_keys(nrows);
	removed = tell_removed(nrows, false, now);
	if (removed > 0)
		disconnect(&keys);
	return removed;
}

/*
 * The past first, and only then the locks on what is open: a join that found a
 * presence closed under it holds a lock on its row, and may wait for the next one's.
 */
static int64
forget(StatementId past, StatementId lock, StatementId all, text *id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(id)};
	uint64 forgotten = store_execute(past, values, NULL);
	uint64 nrows;
	Keys keys;

	store_execute(lock, values, NULL);
	nrows = store_execute(all, values, NULL);
	keys = result_keys(nrows);
	if (tell_removed(nrows, true, now) > 0)
		disconnect(&keys);
	return (int64) (forgotten + nrows);
}

int64
members_forget_user(text *user_id, TimestampTz now)
{
	return forget(FORGET_USER_PAST, LOCK_USER, FORGET_USER, user_id, now);
}

int64
members_forget_book(text *book_id, TimestampTz now)
{
	return forget(FORGET_BOOK_PAST, LOCK_ROOM, FORGET_BOOK, book_id, now);
}

/* The connections of the last result wait for those that close them to come back. */
static void
linger(uint64 nrows, TimestampTz until)
{
	for (uint64 i = 0; i < nrows; i++)
		event_change_beat(&(BeatChange){.kind = BEAT_LINGER,
										.handle = DatumGetInt64(store_datum(SPI_tuptable, i, 0)),
										.expires = until});
	event_wake_worker_at(until);
}

int
members_drop(ArrayType *handles, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(handles), TimestampTzGetDatum(now),
					  liveness_interval((int64) presence_linger * 1000)};
	uint64 nrows = store_execute(LOCK_BY_HANDLE, values, NULL);
	Keys keys = result_keys(nrows);
	Datum *left_at;
	Datum *reason;

	if (nrows == 0)
		return 0;
	if (presence_linger > 0)
	{
		linger(store_execute(LINGER_HANDLES, values, NULL), now + (int64) presence_linger * 1000);
		return 0;
	}

	liveness_closed(store_execute(DROP_HANDLES, values, NULL), 0);
	left_at = palloc(sizeof(Datum) * nrows);
	reason = palloc(sizeof(Datum) * nrows);
	for (uint64 i = 0; i < nrows; i++)
	{
		left_at[i] = TimestampTzGetDatum(now);
		reason[i] = CStringGetTextDatum("left");
	}
	return close_unconnected(&keys, left_at, reason, left_at, now);
}

/* A connection whose lease is over. */
typedef struct Expired
{
	int64 handle;
	int64 presence_id;
	Datum book_id;
	Datum user_id;
	Datum reason;
	TimestampTz lease_end;
	TimestampTz last_active;
} Expired;

/* By presence, the last lease first. */
static int
compare_expired(const void *a, const void *b)
{
	const Expired *x = a;
	const Expired *y = b;

	if (x->presence_id != y->presence_id)
		return x->presence_id < y->presence_id ? -1 : 1;
	return x->lease_end > y->lease_end ? -1 : x->lease_end < y->lease_end;
}

/* Of the connections that were locked, those whose lease is over also by what memory knows. */
static Expired *
find_expired(uint64 nrows, TimestampTz at, int *n)
{
	SPITupleTable *rows = SPI_tuptable;
	Expired *expired = palloc(sizeof(Expired) * Max(nrows, 1));

	*n = 0;
	for (uint64 i = 0; i < nrows; i++)
	{
		Liveness liveness = liveness_of_rows(rows, 3, i, i + 1, at);

		if (liveness.lease_end > at)
			continue;
		expired[(*n)++] = (Expired){.book_id = store_datum(rows, i, 0),
									.user_id = store_datum(rows, i, 1),
									.presence_id = DatumGetInt64(store_datum(rows, i, 2)),
									.handle = DatumGetInt64(store_datum(rows, i, 6)),
									.lease_end = liveness.lease_end,
									.last_active = liveness.last_active,
									.reason = CStringGetTextDatum(liveness.reason)};
	}
	qsort(expired, *n, sizeof(Expired), compare_expired);
	return expired;
}

static void
drop_expired(const Expired *expired, int n)
{
	Datum *handles = palloc(sizeof(Datum) * n);
	Datum values[1];

	for (int i = 0; i < n; i++)
		handles[i] = Int64GetDatum(expired[i].handle);
	values[0] = store_bigint_array(handles, n);
	liveness_closed(store_execute(DROP_LOCKED, values, NULL), 0);
}

/* Ends the presences of connections that were dropped, if they have no other. */
static int
close_expired(const Expired *expired, int n, TimestampTz at)
{
	Keys keys = {0};
	Datum *columns[6];

	for (int c = 0; c < 6; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && expired[i].presence_id == expired[i - 1].presence_id)
			continue;
		columns[0][keys.n] = expired[i].book_id;
		columns[1][keys.n] = expired[i].user_id;
		columns[2][keys.n] = Int64GetDatum(expired[i].presence_id);
		columns[3][keys.n] = TimestampTzGetDatum(expired[i].lease_end);
		columns[4][keys.n] = expired[i].reason;
		columns[5][keys.n++] = TimestampTzGetDatum(expired[i].last_active);
	}
	keys.book_ids = store_text_array(columns[0], keys.n);
	keys.user_ids = store_text_array(columns[1], keys.n);
	keys.presence_ids = store_bigint_array(columns[2], keys.n);
	return close_unconnected(&keys, columns[3], columns[4], columns[5], at);
}

int
members_expire(TimestampTz at, ArrayType *handles, int *dropped)
{
	Datum lock[] = {TimestampTzGetDatum(at), liveness_leases_from(), PointerGetDatum(handles)};
	uint64 nrows = store_execute(handles ? LOCK_EXPIRED_HANDLES : LOCK_EXPIRED, lock, NULL);
	Expired *expired = find_expired(nrows, at, dropped);

	if (*dropped > 0)
	{
		drop_expired(expired, *dropped);
		return close_expired(expired, *dropped, at);
	}
	/* of presences that somebody ended by hand */
	if (handles == NULL)
		liveness_closed(store_execute(DROP_STRAYS, lock, NULL), 0);
	return 0;
}
