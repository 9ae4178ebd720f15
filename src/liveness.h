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
 * All functions are called with the store open.
 */
#ifndef PRESENCE_LIVENESS_H
#define PRESENCE_LIVENESS_H

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

extern Liveness liveness_of(text *user_id, text *book_id, TimestampTz now);

/* Opens a connection or renews it; returns its handle. stand_in: NULL, or a reason. */
extern int64 liveness_connect(text *user_id, text *book_id, text *connection_id, int64 presence_id,
							  int64 ttl, TimestampTz now, const char *stand_in);

/* Drops a connection (NULL: all, with the stand-ins); returns what was dropped. */
extern Liveness liveness_disconnect(text *user_id, text *book_id, text *connection_id,
									TimestampTz now);

extern void liveness_drop_stand_ins(text *user_id, text *book_id);

/* A heartbeat: false if the connection is unknown or its lease has ended. */
extern bool liveness_touch(text *user_id, text *book_id, text *connection_id, TimestampTz now);

/* Heartbeats of many handles; those unknown come back, as a bigint[]. */
extern Datum liveness_touch_many(ArrayType *handles, TimestampTz now);

/* When the next lease ends; PG_INT64_MAX if there is none. */
extern TimestampTz liveness_next_expiry(void);

/* One lease for every presence that a crash or a restore left without connections. */
extern void liveness_adopt(TimestampTz now);

/* Microseconds as an interval. */
extern Datum liveness_interval(int64 usec);

/* When the server started: no lease counts from before. */
extern Datum liveness_started(void);

#endif /* PRESENCE_LIVENESS_H */
