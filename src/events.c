/*
 * events.c
 *	  What this transaction will tell, and whom it will wake.
 *
 * An event is a NOTIFY in the transaction that causes it: PostgreSQL sends
 * it after commit, in commit order, and drops it with an aborted subtransaction. What
 * the extension keeps itself (the counters, the time the worker must
 * wake) follows the same rule: it is collected in one node for each level of
 * subtransaction, merged into the parent's at a subcommit, dropped at a
 * subabort, and applied at commit, where nothing is allocated or raised.
 */
#include "postgres.h"

#include "events.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/sequence.h"
#include "utils/memutils.h"

#include "json.h"
#include "presence.h"
#include "store.h"

typedef struct Pending
{
	struct Pending *parent;
	int nest_level;
	DatabaseSlot *slot; /* found here, so that nothing is looked up at commit */
	TimestampTz wake_at;
	uint32 counters[NUM_COUNTERS];
} Pending;

/* Of the innermost level that has anything; in TopTransactionContext. */
static Pending *pending = NULL;

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

/*
 * The payload. It always fits a NOTIFY (8000 bytes): user_id, at most 128
 * characters, is the longest with 768 bytes of escapes, user_info has at most 1024.
 */
static char *
event_payload(const Event *event, int64 seq)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "{\"event\":\"%s\",\"seq\":" INT64_FORMAT, event_name(event->kind), seq);
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
event_emit(const Event *event)
{
	Pending *here = pending_here();

	if (event->kind == MEMBER_ADDED)
		here->counters[COUNT_JOINS]++;
	else if (event->kind == MEMBER_REMOVED)
		here->counters[strcmp(event->reason, "timeout") == 0 ? COUNT_TIMEOUTS : COUNT_LEAVES]++;

	if (presence_notify)
	{
		int64 seq = nextval_internal(store_relation("event_seq"), false);

		Async_Notify(presence_channel, event_payload(event, seq));
		here->counters[COUNT_EVENTS]++;
	}
}

void
event_wake_worker_at(TimestampTz at)
{
	Pending *here = pending_here();

	here->wake_at = Min(here->wake_at, at);
}

static void
apply_at_commit(void)
{
	DatabaseSlot *slot = pending->slot;

	if (slot == NULL)
		return;
	for (int i = 0; i < NUM_COUNTERS; i++)
		if (pending->counters[i] > 0)
			pg_atomic_fetch_add_u64(&slot->counters[i], pending->counters[i]);
	if ((uint64) pending->wake_at < pg_atomic_read_u64(&slot->next_wakeup))
		shared_wake_worker(slot);
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (pending != NULL)
				apply_at_commit();
			pending = NULL;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending = NULL;
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
