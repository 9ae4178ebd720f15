/*
 * queue.c
 *	  The queue of a database: events on their way from transactions to the worker.
 *
 * What is always true: an entry stays until a transaction that published it, or said resync
 * for it (covered_by), is committed. So an error, a cancelled or a terminated worker loses nothing.
 * An entry whose transaction runs for long holds up nobody: others pass it.
 *
 * Called by events.c, before and after commit, and by publisher.c.
 */
#include "postgres.h"

#include "queue.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "settings.h"

/* Followed by three strings, each with its zero. */
typedef struct QueueEntry
{
	dlist_node node;
	TransactionId xid;
	TransactionId covered_by; /* sends it, or a resync, if it commits; invalid: nobody */
	Size size;
	Size name_at;
	Size rest_at;
	char strings[FLEXIBLE_ARRAY_MEMBER];
} QueueEntry;

static QueueEntry *
make_entry(const QueuedEvent *event)
{
	Size channel_len = strlen(event->channel) + 1;
	Size name_len = strlen(event->name) + 1;
	Size rest_len = strlen(event->rest) + 1;
	Size size = offsetof(QueueEntry, strings) + channel_len + name_len + rest_len;
	QueueEntry *entry = shared_alloc_event(size);

	if (entry == NULL)
		return NULL;
	entry->xid = GetTopTransactionId();
	entry->covered_by = InvalidTransactionId;
	entry->size = size;
	entry->name_at = channel_len;
	entry->rest_at = channel_len + name_len;
	memcpy(entry->strings, event->channel, channel_len);
	memcpy(entry->strings + entry->name_at, event->name, name_len);
	memcpy(entry->strings + entry->rest_at, event->rest, rest_len);
	return entry;
}

static void
free_entries(dlist_head *entries)
{
	while (!dlist_is_empty(entries))
		shared_free(dlist_container(QueueEntry, node, dlist_pop_head_node(entries)));
}

/* Moves a list of entries to the end of the queue; false if they are too many. */
static bool
append_entries(DatabaseSlot *slot, dlist_head *entries, Size size, uint32 n)
{
	bool fits;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	fits = slot->queue_bytes + size <= (Size) presence_event_queue_size * 1024;
	if (fits)
	{
		while (!dlist_is_empty(entries))
			dlist_push_tail(&slot->queue, dlist_pop_head_node(entries));
		slot->queue_bytes += size;
		pg_atomic_fetch_add_u64(&slot->queued, n);
	}
	LWLockRelease(slot->queue_lock);
	return fits;
}

bool
queue_append(DatabaseSlot *slot, const dlist_head *events)
{
	dlist_head entries;
	Size size = 0;
	uint32 n = 0;
	dlist_iter iter;

	shared_attach();
	dlist_init(&entries);
	dlist_foreach (iter, unconstify(dlist_head *, events))
	{
		QueueEntry *entry = make_entry(dlist_container(QueuedEvent, node, iter.cur));

		if (entry == NULL)
		{
			free_entries(&entries);
			return false;
		}
		dlist_push_tail(&entries, &entry->node);
		size += entry->size;
		n++;
	}
	if (append_entries(slot, &entries, size, n))
		return true;
	free_entries(&entries);
	return false;
}

/* The lock is held exclusively. */
static void
free_entry(DatabaseSlot *slot, QueueEntry *entry)
{
	dlist_delete(&entry->node);
	slot->queue_bytes -= entry->size;
	pg_atomic_fetch_sub_u64(&slot->queued, 1);
	shared_free(entry);
}

typedef enum Fate
{
	FATE_RUNNING, /* or not visible to the snapshot */
	FATE_COMMITTED,
	FATE_OVER /* aborted, or told otherwise */
} Fate;

static bool
is_visible(TransactionId xid, Snapshot snapshot)
{
	return !XidInMVCCSnapshot(xid, snapshot);
}

static Fate
fate_of(QueueEntry *entry, Snapshot snapshot)
{
	if (TransactionIdIsValid(entry->covered_by))
	{
		if (!is_visible(entry->covered_by, snapshot))
			return FATE_RUNNING;
		if (TransactionIdDidCommit(entry->covered_by))
			return FATE_OVER;
		entry->covered_by = InvalidTransactionId;
	}
	if (!is_visible(entry->xid, snapshot))
		return FATE_RUNNING;
	return TransactionIdDidCommit(entry->xid) ? FATE_COMMITTED : FATE_OVER;
}

static QueuedEvent
event_of(QueueEntry *entry)
{
	return (QueuedEvent){.channel = entry->strings,
						 .name = entry->strings + entry->name_at,
						 .rest = entry->strings + entry->rest_at,
						 .entry = entry};
}

int
queue_peek(DatabaseSlot *slot, Snapshot snapshot, QueuedEvent *events, int max, bool *more)
{
	dlist_mutable_iter iter;
	int n = 0;

	*more = false;
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	dlist_foreach_modify (iter, &slot->queue)
	{
		QueueEntry *entry = dlist_container(QueueEntry, node, iter.cur);
		Fate fate = fate_of(entry, snapshot);

		if (fate == FATE_OVER)
			free_entry(slot, entry);
		if (fate != FATE_COMMITTED)
			continue;
		*more = n == max;
		if (*more)
			break;
		events[n++] = event_of(entry);
	}
	LWLockRelease(slot->queue_lock);
	return n;
}

void
queue_remove(DatabaseSlot *slot, const QueuedEvent *events, int n)
{
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		dlist_delete(&events[i].entry->node);
		slot->queue_bytes -= events[i].entry->size;
	}
	pg_atomic_fetch_sub_u64(&slot->queued, n);
	LWLockRelease(slot->queue_lock);
	for (int i = 0; i < n; i++)
		shared_free(events[i].entry);
}

static bool
has_ended(TransactionId xid)
{
	return !TransactionIdIsValid(xid) || !TransactionIdIsInProgress(xid);
}

int
queue_cover(DatabaseSlot *slot, QueuedEvent *events, int max)
{
	TransactionId mine = GetTopTransactionId();
	int n = 0;
	dlist_iter iter;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	dlist_foreach (iter, &slot->queue)
	{
		QueueEntry *entry = dlist_container(QueueEntry, node, iter.cur);

		if (slot->worker_pid != 0) /* it has just come, and so have these */
			break;
		if (!has_ended(entry->xid) || !has_ended(entry->covered_by))
			continue;
		if (TransactionIdIsValid(entry->covered_by) && TransactionIdDidCommit(entry->covered_by))
			continue;
		entry->covered_by = mine;
		if (!TransactionIdDidCommit(entry->xid))
			continue;
		if (n >= 0 && n < max)
			events[n++] = event_of(entry);
		else
			n = -1;
	}
	LWLockRelease(slot->queue_lock);
	return n;
}

void
queue_remove_covered(DatabaseSlot *slot)
{
	TransactionId mine = GetTopTransactionIdIfAny();
	dlist_mutable_iter iter;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	dlist_foreach_modify (iter, &slot->queue)
	{
		QueueEntry *entry = dlist_container(QueueEntry, node, iter.cur);

		if (entry->covered_by == mine)
			free_entry(slot, entry);
	}
	LWLockRelease(slot->queue_lock);
}

void
queue_clear(DatabaseSlot *slot)
{
	dlist_mutable_iter iter;

	shared_attach();
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	dlist_foreach_modify (iter, &slot->queue)
		free_entry(slot, dlist_container(QueueEntry, node, iter.cur));
	LWLockRelease(slot->queue_lock);
}
