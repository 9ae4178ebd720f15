/*
 * liveness.c
 *	  Who was heard when: the connections that hold a presence open.
 *
 * They are rows of the unlogged table presence.connection, which a
 * crash empties. The caller holds the row lock of the presence, but
 * for heartbeats, which need none: they only push a lease that has not ended.
 */
#include "postgres.h"

#include "liveness.h"

#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "events.h"
#include "presence.h"
#include "store.h"

Datum
liveness_interval(int64 usec)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	return IntervalPGetDatum(interval);
}

Datum
liveness_started(void)
{
	return TimestampTzGetDatum(PgStartTime);
}

/* Rows of (lease end, last active, stand-in) as one. */
static Liveness
summary(uint64 nrows, TimestampTz now)
{
	SPITupleTable *rows = SPI_tuptable;
	Liveness all = {.lease_end = DT_NOBEGIN, .last_active = DT_NOBEGIN, .reason = "timeout"};

	for (uint64 i = 0; i < nrows; i++)
	{
		TimestampTz lease_end = DatumGetTimestampTz(store_datum(rows, i, 0));
		TimestampTz last_active = DatumGetTimestampTz(store_datum(rows, i, 1));
		bool connection;
		Datum stand_in = store_value(rows, i, 2, &connection);

		all.rows++;
		all.connections += connection;
		all.live += connection && lease_end > now;
		all.last_active = Max(all.last_active, last_active);
		if (lease_end > all.lease_end)
		{
			all.lease_end = lease_end;
			all.reason = connection ? "timeout" : TextDatumGetCString(stand_in);
		}
	}
	return all;
}

Liveness
liveness_of(text *user_id, text *book_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id), liveness_started()};

	return summary(store_execute(CONNECTION_STATE, values, NULL), now);
}

int64
liveness_connect(text *user_id, text *book_id, text *connection_id, int64 presence_id, int64 ttl,
				 TimestampTz now, const char *stand_in)
{
	Datum values[] = {
		PointerGetDatum(book_id),       PointerGetDatum(user_id),
		PointerGetDatum(connection_id), Int64GetDatum(presence_id),
		liveness_interval(ttl),         TimestampTzGetDatum(now),
		TimestampTzGetDatum(now + ttl), stand_in ? CStringGetTextDatum(stand_in) : (Datum) 0};

	store_execute(CONNECT, values, stand_in ? NULL : "       n");
	event_wake_worker_at(now + ttl);
	return DatumGetInt64(store_datum(SPI_tuptable, 0, 0));
}

Liveness
liveness_disconnect(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	uint64 nrows;

	if (connection_id)
	{
		Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id),
						  PointerGetDatum(connection_id), liveness_started()};

		nrows = store_execute(DISCONNECT, values, NULL);
	}
	else
	{
		Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id), liveness_started()};

		nrows = store_execute(DISCONNECT_ALL, values, NULL);
	}
	return summary(nrows, now);
}

void
liveness_drop_stand_ins(text *user_id, text *book_id)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id)};

	store_execute(DROP_STAND_INS, values, NULL);
}

bool
liveness_touch(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id),
					  PointerGetDatum(connection_id), TimestampTzGetDatum(now), liveness_started()};

	return store_execute(TOUCH_ROOM, values, NULL) > 0;
}

Datum
liveness_touch_many(ArrayType *handles, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(handles), TimestampTzGetDatum(now), liveness_started()};

	store_execute(TOUCH, values, NULL);
	return store_datum(SPI_tuptable, 0, 0);
}

TimestampTz
liveness_next_expiry(void)
{
	Datum values[] = {liveness_started()};
	bool none;
	Datum next;

	store_execute(NEXT_EXPIRY, values, NULL);
	next = store_value(SPI_tuptable, 0, 0, &none);
	return none ? PG_INT64_MAX : DatumGetTimestampTz(next);
}

void
liveness_adopt(TimestampTz now)
{
	int64 lease = (int64) presence_timeout * 1000;
	Datum values[] = {TimestampTzGetDatum(now), liveness_interval(lease)};

	if (store_execute(ADOPT, values, NULL) > 0)
		event_wake_worker_at(now + lease);
}
