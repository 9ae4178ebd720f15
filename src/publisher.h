/*
 * publisher.h
 *	  The worker's part that sends the events of other transactions.
 */
#ifndef PRESENCE_PUBLISHER_H
#define PRESENCE_PUBLISHER_H

#include "lib/ilist.h"

#include "shared.h"

/* Starts with an empty queue; what an earlier worker had not sent is a resync. */
extern void publisher_start(DatabaseSlot *slot);

/*
 * Sends, in transactions of its own, what is committed and visible. The rest waits for
 * the next call, which the commits will ask for by the latch. True if there was something.
 */
extern bool publisher_run(DatabaseSlot *slot);

/* Whether this process is the one that publishes. */
extern bool publisher_is_me(void);

/* Takes over events of the worker's own transaction, before it commits. */
extern void publisher_take(DatabaseSlot *slot, dlist_head *events);

#endif /* PRESENCE_PUBLISHER_H */
