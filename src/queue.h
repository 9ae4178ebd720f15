/*
 * queue.h
 *	  The ring of a database: events on their way from transactions to the worker.
 *
 * A transaction appends its events before it commits, with its transaction
 * id; the worker takes them out, and publishes them once that transaction is
 * committed and visible. So the ring's order respects dependence: whoever
 * depends on a transaction has seen its commit, and so appends after it.
 *
 * The ring is a dynamic shared memory segment that the worker makes when it
 * starts and that ends with it; each one is a generation. What is in it then
 * is lost, and the next worker, or the commit of who appended to it, asks for a
 * resync. The slot's queue lock guards the ring, its handle and its generation.
 */
#ifndef PRESENCE_QUEUE_H
#define PRESENCE_QUEUE_H

#include "lib/ilist.h"

#include "shared.h"

/* An event as the ring carries it. */
typedef struct QueuedEvent
{
	dlist_node node;
	TransactionId xid;
	char *channel;
	char *name; /* the payload is {"event":"name","seq":n and the rest */
	char *rest;
} QueuedEvent;

typedef enum QueueResult
{
	QUEUE_APPENDED,
	QUEUE_FULL,  /* nothing was appended: a resync is due after the commit */
	QUEUE_CLOSED /* there is no worker: send the events otherwise */
} QueueResult;

/* Appends events of this transaction, all or none; *generation is the ring's. */
extern QueueResult queue_append(DatabaseSlot *slot, dlist_head *events, uint32 *generation);

/* Whether a ring is still the one there is. */
extern bool queue_is_current(DatabaseSlot *slot, uint32 generation);

/* For the worker: makes the ring. */
extern void queue_open(DatabaseSlot *slot);

/* For the worker: takes all events out, to the end of a list, in the current memory context. */
extern void queue_drain(DatabaseSlot *slot, dlist_head *events);

/* Nobody takes events out any more. Raises nothing; for the worker's exit. */
extern void queue_close(DatabaseSlot *slot);

#endif /* PRESENCE_QUEUE_H */
