/*
 * events.h
 *	  What this transaction will tell, and whom it will wake.
 */
#ifndef PRESENCE_EVENTS_H
#define PRESENCE_EVENTS_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "beats.h"
#include "queue.h"

typedef enum EventKind
{
	MEMBER_ADDED,
	MEMBER_UPDATED,
	MEMBER_REMOVED
} EventKind;

typedef struct Event
{
	EventKind kind;
	int64 presence_id;
	text *user_id;
	text *book_id;
	Jsonb *user_info; /* NULL: none */
	bool is_author;
	const char *reason; /* left, timeout, removed; NULL if not removed */
	TimestampTz at;
} Event;

extern void events_init(void);

/* Tells listeners, and counts, once the current (sub)transaction is committed. */
extern void event_emit(const Event *event);

/*
 * Before the numbers of events are given out: takes the lock that NOTIFY takes at commit
 * (PreCommit_Notify), so that they are sent in the order of their numbers.
 */
extern void event_lock_seq(void);

/* Sends an event with its seq by NOTIFY, at the commit of this transaction. */
extern void event_notify(const QueuedEvent *event, uint64 seq);

/* Changes a beat, or a room's version, once the transaction is committed. */
extern void event_change_beat(const BeatChange *change);

/* Whether this transaction will: then the rows know better than the beats. */
extern bool event_beats_change(void);

/* Has the worker look at this time, once the transaction is committed. */
extern void event_wake_worker_at(TimestampTz at);

#endif /* PRESENCE_EVENTS_H */
