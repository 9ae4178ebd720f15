/*
 * events.c
 *	  What this transaction will tell its listeners.
 *
 * What happens is collected in one node for each level of subtransaction, merged
 * into the parent's at a subcommit and dropped at a subabort. Just before commit
 * the events are appended to the worker's queue (queue.h); after it, where nothing is
 * allocated or raised, the counters are moved and the worker's latch is set.
 *
 * Where there is no worker, an event is a NOTIFY of the transaction itself: just before commit
 * while there is none, at once without preload. If a worker that ended has left events behind,
 * that transaction sends them as well, or says resync.
 */
#include "postgres.h"

#include "events.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "bytes.h"
#include "json.h"
#include "notify.h"
#include "settings.h"
#include "queue.h"
#include "shared.h"
#include "store.h"

#define MAX_LEFT 1000 /* events of others that a transaction sends */

typedef struct Pending
{
	struct Pending *parent;
	int nest_level;
	DatabaseSlot *slot; /* found here, so that nothing is looked up at commit */
	uint32 counters[NUM_COUNTERS];
	dlist_head events; /* of QueuedEvent */
} Pending;

/* Of the innermost level that has anything; in TopTransactionContext. */
static Pending *pending = NULL;

/* What became of this transaction's events just before its commit. */
static struct
{
	bool appended;
	bool dropped;  /* the queue was full */
	bool notified; /* there was no worker: it did it, also for what others left */
	bool resynced;
	uint64 resyncs; /* wanted then */
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
		dlist_init(&node->events);
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
channel_of(text *book_id)
{
	Size prefix = strlen(presence_channel_prefix);
	Size size = VARHDRSZ + prefix + VARSIZE_ANY_EXHDR(book_id);
	text *channel = palloc(size);

	SET_VARSIZE(channel, size);
	memcpy(VARDATA(channel), presence_channel_prefix, prefix);
	memcpy(VARDATA(channel) + prefix, VARDATA_ANY(book_id), VARSIZE_ANY_EXHDR(book_id));
	return channel;
}

/*
 * The payload after {"event":"name","seq":n, without its end, in the current memory context. What
 * the functions write always fits: a user_id of 128 characters has 768 bytes of escapes at
 * most, a user_info 1024. Rows written by hand may hold anything.
 */
static char *
payload_rest(const Event *event, Jsonb *user_info)
{
	StringInfoData out;
	text *channel = channel_of(event->book_id);

	initStringInfo(&out);
	appendStringInfoString(&out, ",\"channel\":");
	json_append_text(&out, channel);
	appendStringInfoString(&out, ",\"book_id\":");
	json_append_text(&out, event->book_id);
	appendStringInfoString(&out, ",\"user_id\":");
	json_append_text(&out, event->user_id);
	appendStringInfoString(&out, ",\"user_info\":");
	if (user_info)
		json_append_jsonb(&out, user_info);
	else
		appendStringInfoString(&out, "null");
	appendStringInfoString(&out, event->is_author ? ",\"is_author\":true,\"presence_id\":"
												  : ",\"is_author\":false,\"presence_id\":");
	json_append_number(&out, event->presence_id);
	appendStringInfoString(&out, ",\"reason\":");
	if (event->reason)
		json_append_text(&out, cstring_to_text(event->reason));
	else
		appendStringInfoString(&out, "null");
	appendStringInfoString(&out, ",\"at\":");
	json_append_timestamp(&out, event->at);
	return out.data;
}

/*
 * A row that is too long for a payload is told without its user_info, or not by itself. Nor is one
 * of bytes that no listener can get.
 */
static void
describe(const Event *event, QueuedEvent *queued)
{
	queued->name = event_name(event->kind);
	queued->rest = payload_rest(event, event->user_info);
	if (strlen(queued->rest) > NOTIFY_MAX_REST)
		queued->rest = payload_rest(event, NULL);
	if (strlen(queued->rest) > NOTIFY_MAX_REST ||
		!has_utf8(queued->rest, (int) strlen(queued->rest)))
	{
		queued->name = "resync";
		queued->rest = "";
	}
}

static uint64
next_seq(DatabaseSlot *slot)
{
	if (slot == NULL)
		return (uint64) store_nextval("event_seq");
	return pg_atomic_add_fetch_u64(&slot->seq, 1);
}

static void
notify_now(DatabaseSlot *slot, const QueuedEvent *event)
{
	notify_send(event->channel, event->name, next_seq(slot), event->rest);
}

static void
count(Pending *here, const Event *event)
{
	if (event->kind == MEMBER_ADDED)
		here->counters[COUNT_JOINS]++;
	else if (event->kind == MEMBER_REMOVED)
		here->counters[strcmp(event->reason, "timeout") == 0 ? COUNT_TIMEOUTS : COUNT_LEAVES]++;
	if (presence_notify)
		here->counters[COUNT_EVENTS]++;
}

static void
tell(Pending *here, const QueuedEvent *event)
{
	if (here->slot != NULL)
	{
		dlist_push_tail(&here->events, unconstify(dlist_node *, &event->node));
		return;
	}
	notify_load_key(false);
	notify_now(NULL, event);
}

void
event_emit(const Event *event)
{
	Pending *here = pending_here();
	MemoryContext old;
	QueuedEvent *queued;

	count(here, event);
	if (!presence_notify)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	queued = palloc0(sizeof(QueuedEvent));
	queued->channel = pstrdup(presence_channel);
	describe(event, queued);
	MemoryContextSwitchTo(old);
	tell(here, queued);
}

void
event_apps(void)
{
	Pending *here = pending_here();
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	QueuedEvent *queued = palloc0(sizeof(QueuedEvent));

	queued->channel = pstrdup(presence_channel);
	queued->name = "apps";
	queued->rest = "";
	MemoryContextSwitchTo(old);
	tell(here, queued);
}

/* What an earlier worker left; true: too much, a resync is due. */
static bool
notify_left_behind(DatabaseSlot *slot)
{
	QueuedEvent *left = palloc(sizeof(QueuedEvent) * MAX_LEFT);
	int n = queue_cover(slot, left, MAX_LEFT);

	for (int i = 0; i < n; i++)
		notify_now(slot, &left[i]);
	pfree(left);
	return n < 0;
}

/*
 * Sends the events in this transaction, after those that an earlier worker left; and a resync
 * at last, if they were too many, or some were dropped, or no other worker can be had: who
 * knows when it ended.
 */
static void
notify_all(DatabaseSlot *slot)
{
	bool owed = notify_left_behind(slot);
	dlist_iter iter;

	dlist_foreach (iter, &pending->events)
		notify_now(slot, dlist_container(QueuedEvent, node, iter.cur));
	outcome.notified = true;
	outcome.resyncs = pg_atomic_read_u64(&slot->resyncs_wanted);
	owed |= pg_atomic_read_u32(&slot->orphaned) != 0 && slot->no_worker_slot;
	owed |= outcome.resyncs != pg_atomic_read_u64(&slot->resyncs_sent);
	if (!owed)
		return;
	notify_send(presence_channel, "resync", next_seq(slot), "");
	outcome.resynced = true;
}

/* True if there is no worker, and it is this transaction's turn to notify. */
static bool
must_notify(DatabaseSlot *slot)
{
	if (slot->worker_pid != 0)
		return false;
	notify_load_key(false);
	notify_lock_seq();
	return slot->worker_pid == 0; /* it may have come while we waited for the lock */
}

/* Hands the events over; may raise, and then the transaction is aborted. */
static void
before_commit(void)
{
	DatabaseSlot *slot;

	/* the extension's, and with it the slot, may have changed hands */
	if (pending->slot != NULL && pending->slot->dboid != MyDatabaseId)
		pending->slot = shared_use();
	slot = pending->slot;
	if (slot == NULL || dlist_is_empty(&pending->events))
		return;
	if (must_notify(slot))
		notify_all(slot);
	else if (queue_append(slot, &pending->events))
		outcome.appended = true;
	else
		outcome.dropped = true;
}

/* Who finds the flag set need not wake the worker: it looks at the flag before it sleeps. */
static void
ask_to_publish(DatabaseSlot *slot)
{
	if (pg_atomic_exchange_u32(&slot->publish, 1) == 0)
		shared_wake_worker(slot);
}

static void
after_commit(void)
{
	DatabaseSlot *slot = pending->slot;

	if (slot == NULL || slot->dboid != MyDatabaseId)
		return;
	for (int i = 0; i < NUM_COUNTERS; i++)
		if (pending->counters[i] > 0)
			pg_atomic_fetch_add_u64(&slot->counters[i], pending->counters[i]);
	if (outcome.notified)
		queue_remove_covered(slot);
	if (outcome.resynced)
	{
		pg_atomic_write_u32(&slot->orphaned, 0);
		pg_atomic_write_u64(&slot->resyncs_sent, outcome.resyncs);
	}
	if (outcome.dropped)
		pg_atomic_fetch_add_u64(&slot->resyncs_wanted, 1);
	if (outcome.appended || outcome.dropped)
		ask_to_publish(slot);
}

static void
after_abort(void)
{
	if (!outcome.appended)
		return;
	ask_to_publish(pending->slot); /* the worker frees what was appended */
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
			after_abort();
			forget_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (!dlist_is_empty(&pending->events))
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
merge_into_parent(Pending *node, int nest_level)
{
	Pending *parent = node->parent;

	if (parent == NULL || parent->nest_level < nest_level - 1)
	{
		node->nest_level--;
		return;
	}
	while (!dlist_is_empty(&node->events))
		dlist_push_tail(&parent->events, dlist_pop_head_node(&node->events));
	for (int i = 0; i < NUM_COUNTERS; i++)
		parent->counters[i] += node->counters[i];
	pending = parent;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid pg_attribute_unused(),
					  SubTransactionId parent_subid pg_attribute_unused(),
					  void *arg pg_attribute_unused())
{
	int nest_level = GetCurrentTransactionNestLevel();

	if (pending == NULL || pending->nest_level < nest_level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		pending = pending->parent;
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		merge_into_parent(pending, nest_level);
}

void
events_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}
