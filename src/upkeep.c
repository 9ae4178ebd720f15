/*
 * upkeep.c
 *	  The SQL functions that end and delete: sweep, purge, forget.
 *
 * Errors of all: 22004 and 22023 for bad arguments, 25006 on a standby.
 */
#include "postgres.h"

#include "upkeep.h"

#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "access/relation.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "beats.h"
#include "limits.h"
#include "liveness.h"
#include "members.h"
#include "presence.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_sweep);
PG_FUNCTION_INFO_V1(presence_purge_history);
PG_FUNCTION_INFO_V1(presence_forget_user);
PG_FUNCTION_INFO_V1(presence_forget_book);
PG_FUNCTION_INFO_V1(presence_on_delete_forget);

#define PURGE_STEP 1024 /* blocks a transaction of the worker */

/* What follows asks the rows. */
static void
write_beats(void)
{
	int64 *handles;
	int n;

	if (beats_mode() == BEATS_NONE)
		return;
	handles = beats_heard(&n);
	liveness_write(handles, n);
}

/*
 * sweep(at): ends what has expired at that moment, all of it but what another
 * transaction holds locked. Gives those without any connection a lease first.
 */
Datum
presence_sweep(PG_FUNCTION_ARGS)
{
	TimestampTz at = arg_timestamptz(fcinfo, 0, "at");
	int32 removed = 0;
	int dropped;
	Store store;

	store_open(&store, STORE_WRITE, "presence.sweep()");
	liveness_adopt(presence_now());
	write_beats();
	do
	{
		removed += members_expire(at, NULL, &dropped);
		CHECK_FOR_INTERRUPTS();
	} while (dropped > 0);
	store_close(&store);
	PG_RETURN_INT32(removed);
}

/* purge_history(older_than): deletes what ended longer ago than that */
Datum
presence_purge_history(PG_FUNCTION_ARGS)
{
	Interval zero = {0};
	Datum values[1];
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
	values[0] = DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(presence_now()),
									PG_GETARG_DATUM(0));
	store_open(&store, STORE_WRITE, "presence.purge_history()");
	purged = (int64) store_execute(PURGE, values, NULL);
	store_close(&store);
	PG_RETURN_INT64(purged);
}

static BlockNumber
history_blocks(void)
{
	Relation rel = table_open(store_relation("room_presence"), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, NoLock);
	return blocks;
}

uint32
upkeep_purge_blocks(uint32 block, TimestampTz now)
{
	BlockNumber end = block + PURGE_STEP;
	ItemPointerData from;
	ItemPointerData to;
	Datum values[3];

	ItemPointerSet(&from, block, 0);
	ItemPointerSet(&to, end, 0);
	values[0] = TimestampTzGetDatum(now - (int64) presence_history_retention * USECS_PER_SEC);
	values[1] = PointerGetDatum(&from);
	values[2] = PointerGetDatum(&to);
	store_execute(PURGE_BLOCKS, values, NULL);
	return end < history_blocks() ? end : 0;
}

static int64
forget_user(text *user_id)
{
	int64 forgotten;
	Store store;

	check_user_id(user_id);
	store_open(&store, STORE_WRITE, "presence.forget_user()");
	forgotten = members_forget_user(user_id, presence_now());
	store_close(&store);
	return forgotten;
}

static int64
forget_book(text *book_id)
{
	int64 forgotten;
	Store store;

	check_book_id(book_id);
	store_open(&store, STORE_WRITE, "presence.forget_book()");
	forgotten = members_forget_book(book_id, presence_now());
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
