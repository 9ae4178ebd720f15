/*
 * liveness.h
 *	  Connections and leases as values: what holds a presence open, at a moment.
 */
#ifndef PRESENCE_LIVENESS_H
#define PRESENCE_LIVENESS_H

#include "storage/itemptr.h"
#include "utils/timestamp.h"

#include "member_key.h"

typedef enum StandIn
{
	NO_STAND_IN,
	STAND_IN_LEFT = 'l',   /* ends as left */
	STAND_IN_TIMEOUT = 't' /* ends as timeout */
} StandIn;

/* A presence that is held open. */
typedef struct HeldPresence
{
	int64 id;
	ItemPointerData
		row; /* where its row was, or invalid: it may have moved, which is to be checked */
} HeldPresence;

/* The moment that leases are compared with. */
typedef struct Moment
{
	TimestampTz at;
	int64 mono;    /* the same by the monotonic clock */
	bool by_clock; /* somebody's argument: the clock's time decides, to the microsecond */
} Moment;

/* What holds a presence open, or held it until it was closed. */
typedef struct Liveness
{
	int total;       /* connections and stand-ins */
	int connections; /* without the stand-ins */
	int live;        /* connections whose lease has not ended */
	bool alive;      /* the lease of one of all has not ended */
	HeldPresence presence;
	TimestampTz lease_end; /* the last one's; of total > 0 */
	TimestampTz last_active;
	StandIn stand_in; /* of the one whose lease ends last */
} Liveness;

typedef struct Connection
{
	int64 handle;
	HeldPresence presence;
	MemberKey member;
	text *connection_id;
	int64 ttl; /* microseconds */
	TimestampTz last_active;
	TimestampTz lease_end;
	bool over; /* its lease has ended */
	StandIn stand_in;
} Connection;

/* What has changed in the list of a room since a version that somebody knows. */
typedef struct RoomChanges
{
	int64 version;   /* now */
	bool known;      /* and this is what has changed; false: nobody remembers */
	text **user_ids; /* who came, went or is another: each once */
	int n;
} RoomChanges;

typedef enum LockResult
{
	LOCK_BUSY,   /* another transaction is changing the member, and wait is false */
	LOCK_VACANT, /* locked, and nothing holds him there */
	LOCK_HELD    /* locked, and something seems to */
} LockResult;

/* Whether a lease that is over, and not yet ended, hides a presence from reads. */
static inline bool
liveness_hides(const Liveness *liveness)
{
	return liveness->total > 0 && !liveness->alive;
}

/* One more that holds the presence; over: its lease has ended. */
extern void liveness_add(Liveness *liveness, HeldPresence presence, StandIn stand_in,
						 TimestampTz last_active, TimestampTz lease_end, bool over);

/* Now, and a moment that a caller names. */
extern Moment moment_now(void);
extern Moment moment_at(TimestampTz at);

#endif /* PRESENCE_LIVENESS_H */
