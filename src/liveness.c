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

#include "access/xlog.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "beats.h"
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

bool
liveness_in_memory(void)
{
	return !event_beats_change() && beats_mode() == BEATS_READY;
}

Datum
liveness_leases_from(void)
{
	DatabaseSlot *slot = shared_use();
	BeatsMode mode pg_attribute_unused() = beats_mode(); /* it may find out that some were lost */
	TimestampTz lost = slot ? (TimestampTz) pg_atomic_read_u64(&slot->leases_from) : 0;

	return TimestampTzGetDatum(Max(PgStartTime, lost));
}

Datum
liveness_reads_from(void)
{
	if (beats_mode() == BEATS_READY)
		return TimestampTzGetDatum(DT_NOEND);
	return liveness_leases_from();
}

bool
liveness_bare_reads(void)
{
	return RecoveryInProgress() || beats_mode() == BEATS_READY;
}

Liveness
liveness_of_rows(SPITupleTable *rows, int column, uint64 from, uint64 to, TimestampTz now)
{
	bool beats = beats_mode() != BEATS_NONE;
	Liveness all = {.lease_end = DT_NOBEGIN, .last_active = DT_NOBEGIN, .reason = "timeout"};

	for (uint64 i = from; i < to; i++)
	{
		TimestampTz lease_end = DatumGetTimestampTz(store_datum(rows, i, column));
		TimestampTz last_active = DatumGetTimestampTz(store_datum(rows, i, column + 1));
		TimestampTz heard;
		TimestampTz expires;
		bool connection;
		Datum stand_in = store_value(rows, i, column + 2, &connection);

		if (beats &&
			beats_of_connection(DatumGetInt64(store_datum(rows, i, column + 3)), &heard, &expires))
		{
			lease_end = Max(lease_end, expires);
			last_active = Max(last_active, heard);
		}
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
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id), liveness_leases_from()};

	uint64 nrows = store_execute(CONNECTION_STATE, values, NULL);

	return liveness_of_rows(SPI_tuptable, 0, 0, nrows, now);
}

Liveness
liveness_read(text *user_id, text *book_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id), liveness_reads_from()};

	uint64 nrows = store_execute(LIVENESS, values, NULL);

	return liveness_of_rows(SPI_tuptable, 0, 0, nrows, now);
}

void
liveness_opened(int64 handle, int64 presence_id, text *user_id, text *book_id, text *connection_id,
				int64 ttl, TimestampTz now)
{
	event_change_beat(&(BeatChange){.kind = BEAT_OPEN,
									.handle = handle,
									.presence_id = presence_id,
									.user_id = user_id,
									.book_id = book_id,
									.connection_id = connection_id,
									.last_active = now,
									.expires = now + ttl,
									.ttl = ttl});
	event_wake_worker_at(now + ttl);
}

void
liveness_closed(uint64 nrows, int column)
{
	for (uint64 i = 0; i < nrows; i++)
		event_change_beat(&(BeatChange){
			.kind = BEAT_CLOSE, .handle = DatumGetInt64(store_datum(SPI_tuptable, i, column))});
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

	int64 handle;

	store_execute(CONNECT, values, stand_in ? NULL : "       n");
	handle = DatumGetInt64(store_datum(SPI_tuptable, 0, 0));
	liveness_opened(handle, presence_id, user_id, book_id, stand_in ? NULL : connection_id, ttl,
					now);
	return handle;
}

Liveness
liveness_disconnect(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	uint64 nrows;

	if (connection_id)
	{
		Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id),
						  PointerGetDatum(connection_id), liveness_leases_from()};

		nrows = store_execute(DISCONNECT, values, NULL);
	}
	else
	{
		Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id),
						  liveness_leases_from()};

		nrows = store_execute(DISCONNECT_ALL, values, NULL);
	}
	liveness_closed(nrows, 3);
	return liveness_of_rows(SPI_tuptable, 0, 0, nrows, now);
}

void
liveness_drop_stand_ins(text *user_id, text *book_id)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id)};

	liveness_closed(store_execute(DROP_STAND_INS, values, NULL), 0);
}

bool
liveness_touch(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(book_id), PointerGetDatum(user_id),
					  PointerGetDatum(connection_id), TimestampTzGetDatum(now), 0};
	bool touched;
	Store store;

	if (liveness_in_memory())
		return beats_touch_name(user_id, book_id, connection_id, now);

	store_open(&store, STORE_WRITE, "presence.touch_room()");
	values[4] = liveness_reads_from();
	touched = store_execute(TOUCH_ROOM, values, NULL) > 0;
	if (beats_mode() != BEATS_NONE)
		beats_touch_name(user_id, book_id, connection_id, now);
	store_close(&store);
	return touched;
}

/* As an array in the current memory context. */
static Datum
touch_in_memory(ArrayType *handles, TimestampTz now)
{
	int64 *handle = (int64 *) ARR_DATA_PTR(handles);
	int n = ArrayGetNItems(ARR_NDIM(handles), ARR_DIMS(handles));
	Datum *unknown = palloc(sizeof(Datum) * Max(n, 1));
	int nunknown = 0;

	for (int i = 0; i < n; i++)
		if (!beats_touch(handle[i], now))
			unknown[nunknown++] = Int64GetDatum(handle[i]);
	return store_bigint_array(unknown, nunknown);
}

Datum
liveness_touch_many(ArrayType *handles, TimestampTz now)
{
	Datum values[] = {PointerGetDatum(handles), TimestampTzGetDatum(now), 0};
	MemoryContext old;
	Datum unknown;
	Store store;

	if (liveness_in_memory())
		return touch_in_memory(handles, now);

	store_open(&store, STORE_WRITE, "presence.touch()");
	values[2] = liveness_reads_from();
	store_execute(TOUCH, values, NULL);
	old = MemoryContextSwitchTo(store.caller);
	unknown = PointerGetDatum(DatumGetArrayTypePCopy(store_datum(SPI_tuptable, 0, 0)));
	MemoryContextSwitchTo(old);
	if (beats_mode() != BEATS_NONE)
		touch_in_memory(handles, now);
	store_close(&store);
	return unknown;
}

TimestampTz
liveness_next_expiry(void)
{
	Datum values[] = {liveness_leases_from()};
	bool none;
	Datum next;

	store_execute(NEXT_EXPIRY, values, NULL);
	next = store_value(SPI_tuptable, 0, 0, &none);
	return none ? PG_INT64_MAX : DatumGetTimestampTz(next);
}

uint64
liveness_write(const int64 *handles, int n)
{
	Datum *columns[3];
	Datum values[3];
	int nheard = 0;

	for (int c = 0; c < 3; c++)
		columns[c] = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TimestampTz heard;
		TimestampTz expires;

		if (!beats_of_connection(handles[i], &heard, &expires))
			continue;
		columns[0][nheard] = Int64GetDatum(handles[i]);
		columns[1][nheard] = TimestampTzGetDatum(heard);
		columns[2][nheard++] = TimestampTzGetDatum(expires);
	}
	if (nheard == 0)
		return 0;
	values[0] = store_bigint_array(columns[0], nheard);
	values[1] = store_timestamptz_array(columns[1], nheard);
	values[2] = store_timestamptz_array(columns[2], nheard);
	return store_execute(WRITE_CONNECTIONS, values, NULL);
}

void
liveness_adopt(TimestampTz now)
{
	int64 lease = (int64) presence_timeout * 1000;
	Datum values[] = {TimestampTzGetDatum(now), liveness_interval(lease)};
	uint64 nrows = store_execute(ADOPT, values, NULL);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < nrows; i++)
		event_change_beat(&(BeatChange){.kind = BEAT_OPEN,
										.handle = DatumGetInt64(store_datum(rows, i, 0)),
										.presence_id = DatumGetInt64(store_datum(rows, i, 1)),
										.last_active = 0, /* nobody was heard */
										.expires = now + lease,
										.ttl = lease});
	if (nrows > 0)
		event_wake_worker_at(now + lease);
}
