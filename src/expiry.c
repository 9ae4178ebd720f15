/*
 * expiry.c
 *	  The worker's part that ends leases, and gives one to what a restart left.
 *
 * A presence that can't be ended, as a trigger of the owner's raises for it, is set aside with a
 * WARNING (batch.h), and tried again later.
 *
 * Called by worker.c, outside of a transaction.
 */
#include "postgres.h"

#include "expiry.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "batch.h"
#include "connections.h"
#include "connections_methods.h"
#include "members.h"
#include "settings.h"
#include "store.h"
#include "transaction.h"

#define BATCH       250                  /* presences a transaction: events wait for no more */
#define SET_ASIDE   (30 * USECS_PER_SEC) /* before the next try */
#define PASSES      USECS_PER_SEC        /* the same, if the error is not the row's */
#define ADOPT_BATCH 500

/* One whose end failed, in TopMemoryContext. */
typedef struct SetAside
{
	slist_node node;
	int64 until; /* monotonic */
	MemberKey member;
} SetAside;

static slist_head set_aside = SLIST_STATIC_INIT(set_aside);

static bool
same_member(const MemberKey *a, const MemberKey *b)
{
	return DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID,
												PointerGetDatum(a->user_id),
												PointerGetDatum(b->user_id))) &&
		   DatumGetBool(DirectFunctionCall2Coll(
			   texteq, C_COLLATION_OID, PointerGetDatum(a->book_id), PointerGetDatum(b->book_id)));
}

/* Forgets those whose time has come. */
static bool
is_set_aside(const MemberKey *member)
{
	int64 now = presence_monotonic();
	slist_mutable_iter iter;

	slist_foreach_modify(iter, &set_aside)
	{
		SetAside *one = slist_container(SetAside, node, iter.cur);

		if (one->until <= now)
		{
			slist_delete_current(&iter);
			pfree(one->member.user_id);
			pfree(one->member.book_id);
			pfree(one);
		}
		else if (same_member(&one->member, member))
			return true;
	}
	return false;
}

static void
put_aside(void *items, int at, const ErrorData *error)
{
	const MemberKey *member = (MemberKey *) items + at;
	bool passes = batch_error_is_of_server(error);
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	SetAside *one = palloc(sizeof(SetAside));

	one->until = presence_monotonic() + (passes ? PASSES : SET_ASIDE);
	one->member.user_id = DatumGetTextPCopy(PointerGetDatum(member->user_id));
	one->member.book_id = DatumGetTextPCopy(PointerGetDatum(member->book_id));
	slist_push_head(&set_aside, &one->node);
	MemoryContextSwitchTo(old);
	ereport(WARNING, (errcode(error->sqlerrcode),
					  errmsg("could not end the presence of user \"%s\" in room \"%s\"",
							 text_to_cstring(member->user_id), text_to_cstring(member->book_id)),
					  errdetail("%s", error->message),
					  errhint("It is tried again in %s.", passes ? "a second" : "half a minute")));
}

static void
expire(void *items, int from, int n)
{
	Store store;

	transaction_begin("presence: ending what has expired");
	store_open(&store, STORE_WRITE, "presence worker");
	members_expire((MemberKey *) items + from, n, moment_now());
	store_close(&store);
	transaction_end();
}

/* Those to be ended now, in the caller's memory context. */
static MemberKey *
find_ended(int *n, bool *more)
{
	MemoryContext context = CurrentMemoryContext;
	MemberKey *ended;
	MemberKey *keys;
	int found;

	transaction_begin("presence: looking for what has expired");
	(void) store_room_presence();
	ended = connections_ended(moment_now(), BATCH, &found, more);
	MemoryContextSwitchTo(context);
	keys = palloc(sizeof(MemberKey) * Max(found, 1));
	*n = 0;
	for (int i = 0; i < found; i++)
		if (!is_set_aside(&ended[i]))
			keys[(*n)++] = (MemberKey){DatumGetTextPCopy(PointerGetDatum(ended[i].user_id)),
									   DatumGetTextPCopy(PointerGetDatum(ended[i].book_id))};
	transaction_end();
	MemoryContextSwitchTo(context);
	return keys;
}

bool
expiry_run(void)
{
	MemberKey *members;
	int n;
	bool more;

	members = find_ended(&n, &more);
	batch_do(members, n, expire, put_aside);
	return more;
}

/* Where the next batch begins. */
static void
remember(MemberKey *after, MemberKey last, bool done)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	MemberKey copy = {NULL, NULL};

	if (!done)
		copy = (MemberKey){DatumGetTextPCopy(PointerGetDatum(last.user_id)),
						   DatumGetTextPCopy(PointerGetDatum(last.book_id))};
	if (after->user_id != NULL)
	{
		pfree(after->user_id);
		pfree(after->book_id);
	}
	*after = copy;
	MemoryContextSwitchTo(old);
}

bool
expiry_adopt(DatabaseSlot *slot, bool *busy)
{
	static MemberKey after = {NULL, NULL}; /* in TopMemoryContext */
	MemberKey last = after;
	bool adopts;
	bool done = true;
	Store store;

	transaction_begin("presence: adopting what a restart left");
	store_open(&store, STORE_WRITE, "presence worker");
	adopts = !presences_come_by_replication();
	if (after.user_id == NULL)
		connections_clear_table();
	if (adopts)
		done = members_adopt(&last, ADOPT_BATCH, (int64) presence_timeout * 1000, busy);
	remember(&after, last, done);
	store_close(&store);
	transaction_end();
	if (done)
		pg_atomic_write_u32(&slot->adopted, adopts);
	return !done;
}
