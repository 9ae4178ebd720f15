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

/*
 * Of connections dropped, ordered by presence, the last lease of each first: the
 * presences, and how they end if that was their last connection.
 */
static int
close_expired(uint64 nrows, TimestampTz at)
{
	SPITupleTable *rows = SPI_tuptable;
	Keys keys = {0};
	Datum *columns[6];
	int64 last_id = 0;

	for (int c = 0; c < 6; c++)
		columns[c] = palloc(sizeof(Datum) * nrows);
	for (uint64 i = 0; i < nrows; i++)
	{
		int64 id = DatumGetInt64(store_datum(rows, i, 2));

		if (id == last_id)
			continue;
		last_id = id;
		for (int c = 0; c < 6; c++)
			columns[c][keys.n] = store_datum(rows, i, c);
		keys.n++;
	}
	keys.book_ids = store_text_array(columns[0], keys.n);
	keys.user_ids = store_text_array(columns[1], keys.n);
	keys.presence_ids = store_bigint_array(columns[2], keys.n);
	return close_unconnected(&keys, columns[3], columns[4], columns[5], at);
}

int
members_expire(TimestampTz at, ArrayType *handles, uint64 *dropped)
{
	Datum lock[] = {TimestampTzGetDatum(at), liveness_leases_from(), PointerGetDatum(handles)};
	uint64 nrows = store_execute(handles ? LOCK_EXPIRED_HANDLES : LOCK_EXPIRED, lock, NULL);
	Keys keys = result_keys(nrows);

	*dropped = 0;
	if (nrows > 0)
	{
		Datum drop[] = {lock[0], lock[1], keys.book_ids, keys.user_ids, keys.presence_ids};

		*dropped = store_execute(DROP_EXPIRED, drop, NULL);
		liveness_closed(*dropped, 6);
		return close_expired(*dropped, at);
	}
	/* of presences that somebody ended by hand */
	if (handles == NULL)
		liveness_closed(store_execute(DROP_STRAYS, lock, NULL), 0);
	return 0;
}
