/*
 * queue.h
 *	  The queue of a database: events on their way from transactions to the worker.
 *
 * A transaction appends its events before it commits, with its transaction id; the worker
 * publishes them once that transaction is committed and visible, and only then takes them
 * out. So the queue's order respects dependence: whoever depends on a transaction has seen its
 * commit, and so appends after it. The queue is in shared memory and survives the worker.
 *
 * The slot's queue_lock guards the list. Entries are freed by the worker, and, where there is
 * none, by the transaction that sent them in its place.
 */
#ifndef PRESENCE_QUEUE_H
#define PRESENCE_QUEUE_H

#include "lib/ilist.h"
#include "utils/snapshot.h"

#include "shared.h"

/* An event, in a transaction's own memory, or as it is in the queue. */
typedef struct QueuedEvent
{
	dlist_node node;
	const char *channel;
	const char *name; /* the payload is {"event":"name","seq":n and the rest: notify.h */
	const char *rest;
	struct QueueEntry *entry; /* of one in the queue */
} QueuedEvent;

/* Appends events of this transaction, all or none; false: there is no room for them. */
extern bool queue_append(DatabaseSlot *slot, const dlist_head *events);

/*
 * Up to max events whose transactions are committed and visible to a snapshot, in order; their
 * strings stay until queue_remove. Those of aborted transactions are freed. Returns how
 * many; *more: there may be others. For the worker only.
 */
extern int queue_peek(DatabaseSlot *slot, Snapshot snapshot, QueuedEvent *events, int max,
					  bool *more);

/* Frees events that were peeked at and published. Raises nothing. */
extern void queue_remove(DatabaseSlot *slot, const QueuedEvent *events, int n);

/*
 * Where there is no worker: this transaction takes the events in the queue whose transactions have
 * ended upon itself. Up to max of those that committed are to be sent, in order; -1: there are
 * more, and it has to say resync for all. After its commit, queue_remove_covered frees them.
 */
extern int queue_cover(DatabaseSlot *slot, QueuedEvent *events, int max);
extern void queue_remove_covered(DatabaseSlot *slot);

/* Frees all. */
extern void queue_clear(DatabaseSlot *slot);

#endif /* PRESENCE_QUEUE_H */
