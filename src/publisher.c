/*
 * publisher.c
 *	  The worker's part that sends the events of other transactions.
 *
 * A transaction that notifies holds a lock of the whole cluster from before
 * the flush of its commit until after (PreCommit_Notify). This one has nothing to flush, and
 * carries the events of many.
 *
 * The waiting list has the order of the ring. Which of its transactions are
 * committed is asked of one snapshot, taken after the ring was drained: if it
 * has a transaction, it has all that one depends on, so that events may pass
 * those of transactions that still run without ever being out of order.
 */
#include "postgres.h"

#include "publisher.h"

#include "access/transam.h"
#include "access/xact.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "events.h"
#include "presence.h"
#include "queue.h"

#define MAX_BATCH 1000 /* events a transaction */

static MemoryContext publisher_context = NULL;
static dlist_head waiting;

bool
publisher_is_me(void)
{
	return publisher_context != NULL;
}

static void
drain(DatabaseSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(publisher_context);

	queue_drain(slot, &waiting);
	MemoryContextSwitchTo(old);
}

void
publisher_start(DatabaseSlot *slot)
{
	publisher_context =
		AllocSetContextCreate(TopMemoryContext, "presence events", ALLOCSET_DEFAULT_SIZES);
	dlist_init(&waiting);
	if (pg_atomic_exchange_u64(&slot->unpublished, 0) > 0)
		pg_atomic_fetch_add_u64(&slot->resyncs_wanted, 1);
	queue_open(slot);
}

void
publisher_take(DatabaseSlot *slot, dlist_head *events)
{
	MemoryContext old;
	dlist_mutable_iter iter;

	/* what this transaction depends on is in the ring */
	drain(slot);
	old = MemoryContextSwitchTo(publisher_context);
	dlist_foreach_modify (iter, events)
	{
		QueuedEvent *event = dlist_container(QueuedEvent, node, iter.cur);
		QueuedEvent *mine = palloc(sizeof(QueuedEvent));

		mine->xid = GetTopTransactionId();
		mine->channel = pstrdup(event->channel);
		mine->name = pstrdup(event->name);
		mine->rest = pstrdup(event->rest);
		dlist_push_tail(&waiting, &mine->node);
		pg_atomic_fetch_add_u64(&slot->unpublished, 1);
	}
	MemoryContextSwitchTo(old);
}

static void
forget_event(DatabaseSlot *slot, QueuedEvent *event)
{
	dlist_delete(&event->node);
	pfree(event->channel);
	pfree(event->name);
	pfree(event->rest);
	pfree(event);
	pg_atomic_fetch_sub_u64(&slot->unpublished, 1);
}

/*
 * One transaction of up to MAX_BATCH events. The events leave the list after its
 * commit: if it fails, the worker ends, and the next one sends a resync.
 *
 * A resync comes after all events that may be older than what was dropped: who reads the
 * rooms at it must not be told afterwards of a member whose leave was dropped.
 */
static bool
publish_batch(DatabaseSlot *slot, uint64 resyncs)
{
	uint64 seq;
	uint64 first;
	bool more = false;
	dlist_head sent;
	dlist_mutable_iter iter;
	Snapshot snapshot;

	dlist_init(&sent);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	event_lock_seq();
	seq = first = pg_atomic_read_u64(&slot->seq);
	snapshot = GetTransactionSnapshot();
	dlist_foreach_modify (iter, &waiting)
	{
		QueuedEvent *event = dlist_container(QueuedEvent, node, iter.cur);

		if (seq - first >= MAX_BATCH)
		{
			more = true;
			break;
		}
		if (XidInMVCCSnapshot(event->xid, snapshot))
			continue;
		if (TransactionIdDidCommit(event->xid))
		{
			event_notify(event, ++seq);
			dlist_delete(&event->node);
			dlist_push_tail(&sent, &event->node);
		}
		else
			forget_event(slot, event);
	}
	if (!more && resyncs != slot->resyncs_sent)
		Async_Notify(presence_channel,
					 psprintf("{\"event\":\"resync\",\"seq\":" UINT64_FORMAT "}", ++seq));
	pg_atomic_write_u64(&slot->seq, seq);
	CommitTransactionCommand();

	if (!more)
		slot->resyncs_sent = resyncs;
	dlist_foreach_modify (iter, &sent)
		forget_event(slot, dlist_container(QueuedEvent, node, iter.cur));
	return more;
}

bool
publisher_run(DatabaseSlot *slot)
{
	uint64 resyncs = pg_atomic_read_u64(&slot->resyncs_wanted);
	bool more;

	pg_atomic_write_u32(&slot->publish, 0);
	pg_memory_barrier();
	drain(slot);
	more = !dlist_is_empty(&waiting) || resyncs != slot->resyncs_sent;
	if (!more)
		return false;
	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		more = publish_batch(slot, resyncs);
	}
	return true;
}
