/*
 * publisher.c
 *	  The worker's part that sends the events of other transactions.
 *
 * A transaction that notifies holds a lock of the whole cluster from before
 * the flush of its commit until after (PreCommit_Notify). This one has nothing to flush, and
 * carries the events of many. What the worker itself has done, without a wait for the disk, is
 * flushed before: nobody hears of what a crash could undo.
 *
 * Which transactions are committed is asked of one snapshot: if it has a transaction, it has
 * all that one depends on, so that events may pass those of transactions that still run
 * without ever being out of order.
 */
#include "postgres.h"

#include "publisher.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "notify.h"
#include "settings.h"
#include "queue.h"
#include "transaction.h"

#define MAX_BATCH 1000 /* events a transaction */

/*
 * One transaction of up to MAX_BATCH events. They leave the queue after its commit.
 *
 * A resync comes after all events that may be older than what was dropped: who reads the
 * rooms at it must not be told afterwards of a member whose leave was dropped.
 *
 * A NOTIFY that finds its queue full does not look whether there is room again; asking for the
 * queue's usage does.
 */
static int
publish_batch(DatabaseSlot *slot, uint64 resyncs, bool *more)
{
	static QueuedEvent events[MAX_BATCH];
	static bool failed = false; /* the last one; NOTIFY's queue may have been full */
	bool resync;
	int n;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (failed)
		(void) DirectFunctionCall1(pg_notification_queue_usage, 0);
	failed = true;
	notify_load_key(false);
	notify_lock_seq();
	n = queue_peek(slot, GetTransactionSnapshot(), events, MAX_BATCH, more);
	resync = !*more && resyncs != pg_atomic_read_u64(&slot->resyncs_sent);
	for (int i = 0; i < n; i++)
		notify_send(events[i].channel, events[i].name, pg_atomic_add_fetch_u64(&slot->seq, 1),
					events[i].rest);
	if (resync)
		notify_send(presence_channel, "resync", pg_atomic_add_fetch_u64(&slot->seq, 1), "");
	CommitTransactionCommand();
	failed = false;
	queue_remove(slot, events, n);
	if (resync)
		pg_atomic_write_u64(&slot->resyncs_sent, resyncs);
	return n + resync;
}

int
publisher_run(DatabaseSlot *slot)
{
	uint64 resyncs = pg_atomic_read_u64(&slot->resyncs_wanted);
	int published = 0;
	bool more;

	pg_atomic_write_u32(&slot->publish, 0);
	pg_memory_barrier();
	more =
		pg_atomic_read_u64(&slot->queued) > 0 || resyncs != pg_atomic_read_u64(&slot->resyncs_sent);
	if (more)
		transaction_flush();
	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		published += publish_batch(slot, resyncs, &more);
	}
	return published;
}
