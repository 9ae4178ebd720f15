/*
 * upkeep.c
 *	  The SQL functions that end and delete: sweep, purge, forget.
 *
 * Errors of all: 22004 and 22023 for bad arguments, 25006 on a standby.
 */
#include "postgres.h"

#include <limits.h>

#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "connections.h"
#include "limits.h"
#include "member.h"
#include "members.h"
#include "settings.h"
#include "shards.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_sweep);
PG_FUNCTION_INFO_V1(presence_purge_history);
PG_FUNCTION_INFO_V1(presence_forget_user);
PG_FUNCTION_INFO_V1(presence_forget_book);
PG_FUNCTION_INFO_V1(presence_on_delete_forget);

#define SWEEP_BATCH 1000
#define ADOPT_BATCH 1000

/* Gives those without any connection a lease, and ends those whose rooms are on another node. */
static void
adopt_all(void)
{
	MemberKey after = {NULL, NULL};
	bool busy; /* the next sweep will have it */

	if (presences_come_by_replication())
		return;
	while (!members_adopt(&after, ADOPT_BATCH, (int64) presence_timeout * 1000, &busy))
		CHECK_FOR_INTERRUPTS();
}

/*
 * sweep(at): ends what has expired at that moment, all of it but what another
 * transaction holds locked. Gives those without any connection a lease first.
 */
Datum
presence_sweep(PG_FUNCTION_ARGS)
{
	Moment moment = moment_at(arg_timestamptz(fcinfo, 0, "at"));
	int32 removed = 0;
	MemberKey *members;
	int n;
	bool more;
	Store store;

	store_open(&store, STORE_WRITE, "presence.sweep()");
	adopt_all();
	members = connections_ended(moment, INT_MAX, &n, &more);
	for (int from = 0; from < n; from += SWEEP_BATCH)
	{
		removed += members_expire(members + from, Min(SWEEP_BATCH, n - from), moment);
		CHECK_FOR_INTERRUPTS();
	}
	store_close(&store);
	PG_RETURN_INT32(removed);
}

/* purge_history(older_than): deletes what ended longer ago than that */
Datum
presence_purge_history(PG_FUNCTION_ARGS)
{
	Interval zero = {0};
	Datum before;
	int64 purged;
	Store store;

	if (PG_ARGISNULL(0))
		null_argument("older_than");
	if (DatumGetBool(
			DirectFunctionCall2(interval_lt, PG_GETARG_DATUM(0), IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid older_than: \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, PG_GETARG_DATUM(0)))),
				 errdetail("The limit is 0 or more.")));
	before = DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(presence_now()),
								 PG_GETARG_DATUM(0));
	store_open(&store, STORE_WRITE, "presence.purge_history()");
	purged = presences_purge(DatumGetTimestampTz(before));
	store_close(&store);
	PG_RETURN_INT64(purged);
}

static int64
forget_user(text *user_id)
{
	int64 forgotten;
	Store store;

	check_user_id(user_id);
	store_open(&store, STORE_WRITE, "presence.forget_user()");
	forgotten = members_forget_user(user_id);
	store_close(&store);
	return forgotten;
}

static int64
forget_book(text *book_id)
{
	int64 forgotten;
	Store store;

	check_past_book_id(book_id);
	store_open(&store, STORE_WRITE, "presence.forget_book()");
	forgotten = members_forget_book(book_id);
	store_close(&store);
	return forgotten;
}

/* forget_user(user_id): returns the number of presences forgotten, open and past */
Datum
presence_forget_user(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(forget_user(arg_text(fcinfo, 0, "user_id")));
}

/* forget_book(book_id) */
Datum
presence_forget_book(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(forget_book(arg_text(fcinfo, 0, "book_id")));
}

/* The deleted row's value of the column that the trigger's second argument names. */
static char *
deleted_value(TriggerData *trigger, const char *column)
{
	TupleDesc tupdesc = trigger->tg_relation->rd_att;
	int attnum = SPI_fnumber(tupdesc, column);

	if (attnum <= 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of relation \"%s\" does not exist", column,
							   RelationGetRelationName(trigger->tg_relation))));
	return SPI_getvalue(trigger->tg_trigtuple, tupdesc, attnum);
}

/* on_delete_forget('user' or 'book', column): AFTER DELETE FOR EACH ROW */
Datum
presence_on_delete_forget(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	char **args;
	char *id;
	bool book;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("on_delete_forget must be fired after delete for each row")));
	args = trigger->tg_trigger->tgargs;
	if (trigger->tg_trigger->tgnargs != 2 ||
		(strcmp(args[0], "user") != 0 && strcmp(args[0], "book") != 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid arguments of trigger \"%s\"", trigger->tg_trigger->tgname),
						errdetail("They are 'user' or 'book', and the name of a column.")));

	book = strcmp(args[0], "book") == 0;
	if (!book && shards_there())
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("trigger \"%s\" forgets a user on this node only", trigger->tg_trigger->tgname),
			 errhint("Drop it, and call presence.on_all_nodes() for presence.forget_user().")));
	id = deleted_value(trigger, args[1]);
	if (id == NULL)
		return PointerGetDatum(NULL);
	/* an id that can't be one of presence's has none to forget */
	if (!book && is_user_id(cstring_to_text(id)))
		forget_user(cstring_to_text(id));
	else if (book && is_book_id(cstring_to_text(id)))
		forget_book(cstring_to_text(id));
	return PointerGetDatum(NULL);
}
