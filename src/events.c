/*
 * events.c
 *	  What this transaction will tell, and whom it will wake.
 *
 * What happens is collected in one node for each level of subtransaction, merged
 * into the parent's at a subcommit and dropped at a subabort. Just before commit
 * the events are appended to the worker's queue (queue.h) and the beats that
 * change are pinned (beats.h); after it, where nothing is looked up, allocated or raised,
 * the beats are changed and the worker's latch is set.
 *
 * Where there is no worker, an event is a NOTIFY of the transaction itself:
 * just before commit while a worker is missing, at once without preload.
 */
#include "postgres.h"

#include "events.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "json.h"
#include "presence.h"
#include "publisher.h"
#include "queue.h"
#include "store.h"

typedef struct Pending
{
	struct Pending *parent;
	int nest_level;
	DatabaseSlot *slot; /* found here, so that nothing is looked up at commit */
	TimestampTz wake_at;
	uint32 counters[NUM_COUNTERS];
	dlist_head events;  /* of QueuedEvent */
	dlist_head changes; /* of BeatChange */
} Pending;

/* Of the innermost level that has anything; in TopTransactionContext. */
static Pending *pending = NULL;

/* What became of this transaction's events just before its commit. */
static struct
{
	bool appended;
	bool dropped; /* the queue was full */
	uint32 generation;
} outcome;

static Pending *
pending_here(void)
{
	int nest_level = GetCurrentTransactionNestLevel();

	if (pending == NULL || pending->nest_level < nest_level)
	{
		Pending *node = MemoryContextAllocZero(TopTransactionContext, sizeof(Pending));

		node->parent = pending;
		node->nest_level = nest_level;
		node->slot = shared_use();
		node->wake_at = PG_INT64_MAX;
		dlist_init(&node->events);
		dlist_init(&node->changes);
		pending = node;
	}
	return pending;
}

static const char *
event_name(EventKind kind)
{
	switch (kind)
	{
		case MEMBER_ADDED:
			return "member_added";
		case MEMBER_UPDATED:
			return "member_updated";
		case MEMBER_REMOVED:
			return "member_removed";
	}
	elog(ERROR, "unknown kind of event %d", (int) kind);
}

static text *
keep_text(text *value)
{
	Size size;
	text *kept;

	if (value == NULL)
		return NULL;
	size = VARSIZE_ANY(value);
	kept = MemoryContextAlloc(TopTransactionContext, size);
	memcpy(kept, value, size);
	return kept;
}

void
event_change_beat(const BeatChange *change)
{
	Pending *here = pending_here();
	BeatChange *kept;

	if (here->slot == NULL)
		return;
	kept = MemoryContextAlloc(TopTransactionContext, sizeof(BeatChange));
	*kept = *change;
	kept->user_id = keep_text(change->user_id);
	kept->book_id = keep_text(change->book_id);
	kept->connection_id = keep_text(change->connection_id);
	dlist_push_tail(&here->changes, &kept->node);
	if (change->kind == BEAT_OPEN || change->kind == BEAT_LINGER)
		event_wake_worker_at(change->expires);
}

bool
event_beats_change(void)
{
	for (Pending *node = pending; node != NULL; node = node->parent)
		if (!dlist_is_empty(&node->changes))
			return true;
	return false;
}

/*
 * The payload after {"event":"name","seq":n, in the current memory context. It
 * always fits a NOTIFY (8000 bytes): user_id, at most 128 characters, is the
 * longest with 768 bytes of escapes, user_info has at most 1024.
 */
static char *
payload_rest(const Event *event)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, ",\"channel\":\"%s%.*s\",\"book_id\":", presence_channel_prefix,
					 (int) VARSIZE_ANY_EXHDR(event->book_id), VARDATA_ANY(event->book_id));
	json_append_text(&out, event->book_id);
	appendStringInfoString(&out, ",\"user_id\":");
	json_append_text(&out, event->user_id);
	appendStringInfoString(&out, ",\"user_info\":");
	if (event->user_info)
		json_append_jsonb(&out, event->user_info);
	else
		appendStringInfoString(&out, "null");
	appendStringInfo(&out, ",\"is_author\":%s,\"presence_id\":" INT64_FORMAT,
					 event->is_author ? "true" : "false", event->presence_id);
	if (event->reason)
		appendStringInfo(&out, ",\"reason\":\"%s\",\"at\":", event->reason);
	else
		appendStringInfoString(&out, ",\"reason\":null,\"at\":");
	json_append_timestamp(&out, event->at);
	appendStringInfoChar(&out, '}');
	return out.data;
}

void
event_lock_seq(void)
{
	LockSharedObject(DatabaseRelationId, InvalidOid, 0, AccessExclusiveLock);
}

void
event_notify(const QueuedEvent *event, uint64 seq)
{
	char *payload =
		psprintf("{\"event\":\"%s\",\"seq\":" UINT64_FORMAT "%s", event->name, seq, event->rest);

	Async_Notify(event->channel, payload);
	pfree(payload);
}

static uint64
next_seq(DatabaseSlot *slot)
{
	if (slot == NULL)
		return (uint64) nextval_internal(store_relation("event_seq"), false);
	return pg_atomic_add_fetch_u64(&slot->seq, 1);
}

void
event_emit(const Event *event)
{
	Pending *here = pending_here();
	MemoryContext old;
	QueuedEvent *queued;

	if (event->kind == MEMBER_ADDED)
		here->counters[COUNT_JOINS]++;
	else if (event->kind == MEMBER_REMOVED)
		here->counters[strcmp(event->reason, "timeout") == 0 ? COUNT_TIMEOUTS : COUNT_LEAVES]++;
	event_change_beat(&(BeatChange){.kind = BEAT_ROOM, .book_id = event->book_id});
	if (!presence_notify)
		return;

	old = MemoryContextSwitchTo(TopTransactionContext);
	queued = palloc(sizeof(QueuedEvent));
	queued->channel = pstrdup(presence_channel);
	queued->name = pstrdup(event_name(event->kind));
	queued->rest = payload_rest(event);
	MemoryContextSwitchTo(old);
	if (here->slot != NULL)
		dlist_push_tail(&here->events, &queued->node);
	else
		event_notify(queued, next_seq(NULL));
	here->counters[COUNT_EVENTS]++;
}

void
event_wake_worker_at(TimestampTz at)
{
	Pending *here = pending_here();

	here->wake_at = Min(here->wake_at, at);
}

/* Sends the events in this transaction. */
static void
notify_all(DatabaseSlot *slot)
{
	dlist_iter iter;

	event_lock_seq();
	dlist_foreach (iter, &pending->events)
		event_notify(dlist_container(QueuedEvent, node, iter.cur), next_seq(slot));
}

/* Hands the events over; may raise, and then the transaction is aborted. */
static void
before_commit(void)
{
	DatabaseSlot *slot;
	dlist_iter iter;
	BeatsMode mode = BEATS_NONE;

	/* the extension's, and with it the slot, may have changed hands */
	if (pending->slot != NULL && pending->slot->dboid != MyDatabaseId)
		pending->slot = shared_use();
	slot = pending->slot;

	/* asked once: memory that is pinned must stay mapped */
	if (!dlist_is_empty(&pending->changes))
		mode = beats_mode();
	if (mode != BEATS_NONE)
		dlist_foreach (iter, &pending->changes)
			beats_prepare(dlist_container(BeatChange, node, iter.cur), mode);
	if (dlist_is_empty(&pending->events))
		return;
	if (slot == NULL)
	{
		notify_all(NULL);
		return;
	}
	if (publisher_is_me())
	{
		publisher_take(slot, &pending->events);
		return;
	}
	switch (queue_append(slot, &pending->events, &outcome.generation))
	{
		case QUEUE_APPENDED:
			outcome.appended = true;
			break;
		case QUEUE_FULL:
			outcome.dropped = true;
			break;
		case QUEUE_CLOSED:
			notify_all(slot);
			break;
	}
}

static void
after_commit(void)
{
	DatabaseSlot *slot = pending->slot;
	bool publish = outcome.appended || outcome.dropped;
	bool wake = publish;
	dlist_iter iter;

	dlist_foreach (iter, &pending->changes)
		beats_finish(dlist_container(BeatChange, node, iter.cur));
	if (slot == NULL || slot->dboid != MyDatabaseId)
		return;
	for (int i = 0; i < NUM_COUNTERS; i++)
		if (pending->counters[i] > 0)
			pg_atomic_fetch_add_u64(&slot->counters[i], pending->counters[i]);

	/* the ring that has the events may be gone */
	if (outcome.dropped || (outcome.appended && !queue_is_current(slot, outcome.generation)))
		pg_atomic_fetch_add_u64(&slot->resyncs_wanted, 1);
	if ((uint64) pending->wake_at < pg_atomic_read_u64(&slot->next_wakeup))
	{
		pg_atomic_write_u32(&slot->sweep, 1);
		wake = true;
	}
	if (publish)
		pg_atomic_write_u32(&slot->publish, 1);
	if (wake)
		shared_wake_worker(slot);
}

static void
forget_all(void)
{
	pending = NULL;
	memset(&outcome, 0, sizeof(outcome));
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	dlist_iter iter;

	if (pending == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_COMMIT:
			after_commit();
			forget_all();
			break;
		case XACT_EVENT_ABORT:
			dlist_foreach (iter, &pending->changes)
				beats_cancel(dlist_container(BeatChange, node, iter.cur));
			if (outcome.appended)
			{
				pg_atomic_write_u32(&pending->slot->publish, 1);
				shared_wake_worker(pending->slot);
			}
			forget_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (!dlist_is_empty(&pending->events) || !dlist_is_empty(&pending->changes) ||
				pending->wake_at != PG_INT64_MAX)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("cannot PREPARE a transaction that has changed who is in a "
									   "room")));
			break;
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid pg_attribute_unused(),
					  SubTransactionId parent_subid pg_attribute_unused(),
					  void *arg pg_attribute_unused())
{
	int nest_level = GetCurrentTransactionNestLevel();
	Pending *node = pending;

	if (node == NULL || node->nest_level < nest_level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		pending = node->parent;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		Pending *parent = node->parent;

		if (parent == NULL || parent->nest_level < nest_level - 1)
		{
			node->nest_level--;
			return;
		}
		while (!dlist_is_empty(&node->events))
			dlist_push_tail(&parent->events, dlist_pop_head_node(&node->events));
		while (!dlist_is_empty(&node->changes))
			dlist_push_tail(&parent->changes, dlist_pop_head_node(&node->changes));
		parent->wake_at = Min(parent->wake_at, node->wake_at);
		for (int i = 0; i < NUM_COUNTERS; i++)
			parent->counters[i] += node->counters[i];
		pending = parent;
	}
}

void
events_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
