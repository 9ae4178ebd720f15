/*
 * outbox.h
 *	  What is to be told to the servers of apps: rows that commit with what they tell of.
 *
 * A session remembers whether there is any webhook; while there is none, nothing costs anything.
 */
#ifndef PRESENCE_OUTBOX_H
#define PRESENCE_OUTBOX_H

#include "events.h"

extern void outbox_init(void);

/* A member was added or removed. In an open store (store.h). */
extern void outbox_tell(const Event *event);

/* The subscriptions of these channels may have changed; the channels' lock must be held. */
extern void outbox_tell_channels(Datum app_ids, Datum channels);

/* Of channels that are no rooms: taken until the end of the transaction by who changes counts. */
extern void outbox_lock_channels(void);

/* What waits for webhooks that are gone. In an open store. */
extern void outbox_forget_gone(void);

#endif /* PRESENCE_OUTBOX_H */
