/*
 * liveness.h
 *	  Who was heard when: the connections that hold a presence open.
 *
 * A row of presence.connection is a connection, or a stand-in: something that
 * holds the presence open until its lease ends, though nobody is heard on it.
 * Stand-ins are what lingers after a closed socket, what a restart left
 * without connections, and what only Pusher has seen. They carry the reason the
 * presence ends with, are not counted, can't be touched, and yield to a connection.
 *
 * When a connection was last heard is known in shared memory (beats.h), where there is
 * any, and then its row is behind. What a row says is read with what memory says; in a
 * transaction that changes presence itself, the rows say it all.
 *
 * All functions are called with the store open, but for heartbeats, liveness_in_memory,
 * liveness_bare_reads, liveness_leases_from and liveness_reads_from.
 */
#ifndef PRESENCE_LIVENESS_H
#define PRESENCE_LIVENESS_H

#include "executor/spi.h"
#include "utils/array.h"
#include "utils/timestamp.h"

/* What holds a presence open, or held it until it was dropped. */
typedef struct Liveness
{
	int rows; /* connections and stand-ins */
	int connections;
	int live;              /* connections whose lease has not ended */
	TimestampTz lease_end; /* the last one's; of rows > 0 */
	TimestampTz last_active;
	const char *reason; /* of an end at lease_end */
} Liveness;

/* Whether memory says all there is to know about who was heard. */
extern bool liveness_in_memory(void);

extern Liveness liveness_of(text *user_id, text *book_id, TimestampTz now);

/* Opens a connection or renews it; returns its handle. stand_in: NULL, or a reason. */
extern int64 liveness_connect(text *user_id, text *book_id, text *connection_id, int64 presence_id,
							  int64 ttl, TimestampTz now, const char *stand_in);

/* Drops a connection (NULL: all, with the stand-ins); returns what was dropped. */
extern Liveness liveness_disconnect(text *user_id, text *book_id, text *connection_id,
									TimestampTz now);

/* The same of rows from..to-1, with (lease end, last active, stand-in, handle) from a column on. */
extern Liveness liveness_of_rows(SPITupleTable *rows, int column, uint64 from, uint64 to,
								 TimestampTz now);

extern void liveness_drop_stand_ins(text *user_id, text *book_id);

/* Tells memory of a connection that was opened (NULL: a stand-in), at commit. */
extern void liveness_opened(int64 handle, int64 presence_id, text *user_id, text *book_id,
							text *connection_id, int64 ttl, TimestampTz now);

/* The same of connections that were closed: a column of the last result has their handles. */
extern void liveness_closed(uint64 nrows, int column);

/* A heartbeat, without the store: false if the connection is unknown or its lease has ended. */
extern bool liveness_touch(text *user_id, text *book_id, text *connection_id, TimestampTz now);

/* Heartbeats of many handles, without the store; those unknown come back, as a bigint[]. */
extern Datum liveness_touch_many(ArrayType *handles, TimestampTz now);

/* When the next lease ends; PG_INT64_MAX if there is none. */
extern TimestampTz liveness_next_expiry(void);

/* One lease for every presence that a crash or a restore left without connections. */
extern void liveness_adopt(TimestampTz now);

/* Microseconds as an interval. */
extern Datum liveness_interval(int64 usec);

/* For statements: no lease counts from before that. The server's start, or when beats were lost. */
extern Datum liveness_leases_from(void);

/*
 * The same for reads. If the worker can tell from memory that no lease is over, but those it is
 * about to end, the rows are not asked: every lease counts from the end of time.
 */
extern Datum liveness_reads_from(void);

/* Whether reads need not look at connections at all: a standby has none. */
extern bool liveness_bare_reads(void);

/* What the views show: that of liveness_of, in the caller's snapshot. */
extern Liveness liveness_read(text *user_id, text *book_id, TimestampTz now);

/*
 * Writes what memory knows better into the rows of connections, but those that another
 * transaction holds locked; returns the number of rows, and their handles as the last result.
 */
extern uint64 liveness_write(const int64 *handles, int n);

#endif /* PRESENCE_LIVENESS_H */
