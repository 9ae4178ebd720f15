/*
 * events.h
 *	  What this transaction will tell, and whom it will wake.
 */
#ifndef PRESENCE_EVENTS_H
#define PRESENCE_EVENTS_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

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

/* Tells gateways that presence.pusher_app has changed. */
extern void event_apps(void);

#endif /* PRESENCE_EVENTS_H */
