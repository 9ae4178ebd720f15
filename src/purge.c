/*
 * purge.c
 *	  The worker's part that deletes history.
 *
 * Goes through the old rows in rounds, by the index on left_at, in the order in which they
 * lie in the table (a bitmap scan), and reads little more than it deletes. What can't be
 * deleted, as a trigger of the owner's raises for it, is passed over for an hour with a WARNING.
 * However much of it there is, the round goes on behind it.
 *
 * Called by worker.c, outside of a transaction.
 */
#include "postgres.h"

#include "purge.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "batch.h"
#include "presences.h"
#include "settings.h"
#include "store.h"
#include "transaction.h"

#define FIND         4000 /* rows at once: to find them is to pass by those that were deleted */
#define BATCH        500  /* rows a transaction: events wait for no more */
#define SMALL_BATCH  16   /* among rows that can't be deleted: each takes transactions of its own */
#define PASS_OVER    (3600 * USECS_PER_SEC)
#define MAX_PASSED   100000 /* more are tried again in each round */
#define MAX_WARNINGS 10
#define MAX_CTID_LEN 32
#define BEFORE_ALL   "(0,0)"

/* Rows that could not be deleted. */
static struct
{
	HTAB *ids;   /* of int64, in TopMemoryContext; NULL: none */
	int64 until; /* monotonic */
	int64 n;
	int64 untold; /* of them, those without a warning */
} passed_over;

/* The round at hand. */
static struct
{
	char after[MAX_CTID_LEN]; /* up to there, what is left was found, or can't be deleted */
	bool last;                /* there is nothing behind what was found */
	int batch;

	/* what was found: n rows, to be deleted from at on, as long as these are the same */
	Oid relid;
	int retention;
	MemoryContext context;
	Presence *rows;
	int n;
	int at;
} round_at = {.after = BEFORE_ALL, .batch = BATCH};

static void
forget_passed_over(void)
{
	if (passed_over.ids != NULL)
		hash_destroy(passed_over.ids);
	memset(&passed_over, 0, sizeof(passed_over));
}

static void
remember(int64 id)
{
	HASHCTL control = {
		.keysize = sizeof(int64), .entrysize = sizeof(int64), .hcxt = TopMemoryContext};

	if (passed_over.ids == NULL)
	{
		passed_over.until = presence_monotonic() + PASS_OVER;
		passed_over.ids = hash_create("presence: rows that can't be deleted", 128, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (hash_get_num_entries(passed_over.ids) < MAX_PASSED)
		(void) hash_search(passed_over.ids, &id, HASH_ENTER, NULL);
}

static bool
is_passed_over(int64 id)
{
	return passed_over.ids != NULL && hash_search(passed_over.ids, &id, HASH_FIND, NULL) != NULL;
}

static void
delete_some(void *items, int from, int n)
{
	Store store;

	transaction_begin("presence: deleting history");
	store_open(&store, STORE_WRITE, "presence worker");
	if (store_room_presence() == round_at.relid)
		presences_delete((Presence *) items + from, n);
	store_close(&store);
	transaction_end();
}

static void
pass_over(void *items, int at, const ErrorData *error)
{
	const Presence *presence = (Presence *) items + at;

	remember(presence->id);
	round_at.batch = SMALL_BATCH;
	if (passed_over.n++ < MAX_WARNINGS)
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not delete the presence with id " INT64_FORMAT, presence->id),
				 errdetail("%s", error->message), errhint("It is tried again in an hour.")));
	else
		passed_over.untold++;
}

/* Its key, and its place. */
static Presence
read_row(uint64 at, char *ctid)
{
	Datum values[3];
	bool nulls[3];
	Presence presence = {.id = 0};

	store_row(SPI_tuptable, at, values, nulls);
	presence.id = DatumGetInt64(store_datum(values, nulls, 0));
	presence.member.book_id = DatumGetTextPP(store_datum(values, nulls, 1));
	text_to_cstring_buffer(DatumGetTextPP(store_datum(values, nulls, 2)), ctid, MAX_CTID_LEN);
	return presence;
}

static void
forget_plan(Statement *statement)
{
	if (statement->plan != NULL)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
}

/* A row that was found. */
static void
keep(const Presence *old)
{
	MemoryContext context = MemoryContextSwitchTo(round_at.context);

	round_at.rows[round_at.n++] = (Presence){
		.id = old->id, .member.book_id = DatumGetTextPCopy(PointerGetDatum(old->member.book_id))};
	MemoryContextSwitchTo(context);
}

static void
begin_found(void)
{
	if (round_at.context == NULL)
		round_at.context =
			AllocSetContextCreate(TopMemoryContext, "presence history", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(round_at.context);
	round_at.rows = MemoryContextAlloc(round_at.context, sizeof(Presence) * FIND);
	round_at.n = round_at.at = 0;
	round_at.relid = store_room_presence();
	round_at.retention = presence_history_retention;
}

/*
 * The next old rows of the round. IS NOT FALSE keeps the planner from a scan by ctid, of
 * rows that are not old, and MATERIALIZED from an index in whose order they would come. It plans
 * anew in each round, for the table as it is: a small one may have grown since.
 */
static void
find_old(void)
{
	static Statement find = {
		.sql = "WITH old AS MATERIALIZED (SELECT p.id, p.book_id, p.ctid"
			   " FROM presence.room_presence AS p WHERE p.left_at OPERATOR(pg_catalog.<) $1"
			   " AND (p.ctid OPERATOR(pg_catalog.>) $3::pg_catalog.tid) IS NOT FALSE)"
			   " SELECT o.id, o.book_id, o.ctid::pg_catalog.text FROM old AS o LIMIT $2",
		.args = "zit",
		.columns = "itt"};
	TimestampTz before = GetCurrentTimestamp() - (int64) presence_history_retention * USECS_PER_SEC;
	Datum values[] = {TimestampTzGetDatum(before), Int64GetDatum(FIND), 0};
	Store store;
	int found;

	transaction_begin("presence: looking for old history");
	store_open(&store, STORE_WRITE, "presence worker");
	if (strcmp(round_at.after, BEFORE_ALL) == 0)
		forget_plan(&find);
	values[2] = CStringGetTextDatum(round_at.after);
	found = (int) store_execute(&find, values, NULL);
	begin_found();
	for (int i = 0; i < found; i++)
	{
		Presence old = read_row(i, round_at.after);

		if (!is_passed_over(old.id))
			keep(&old);
	}
	round_at.last = found < FIND;
	store_close(&store);
	transaction_end();
}

static void
end_round(void)
{
	strlcpy(round_at.after, BEFORE_ALL, MAX_CTID_LEN);
	round_at.n = round_at.at = 0;
	round_at.batch = BATCH;
	if (passed_over.untold > 0)
		ereport(WARNING,
				(errmsg("could not delete " INT64_FORMAT " presences more", passed_over.untold),
				 errhint("They are tried again in an hour.")));
	passed_over.untold = 0;
}

int64
purge_run(void)
{
	int batch = round_at.batch;
	int n;

	if (passed_over.ids != NULL && passed_over.until <= presence_monotonic())
		forget_passed_over();
	if (round_at.retention != presence_history_retention)
		end_round();
	if (round_at.at == round_at.n)
		find_old();
	n = Min(batch, round_at.n - round_at.at);
	round_at.batch = Min(2 * batch, BATCH);
	batch_do(round_at.rows + round_at.at, n, delete_some, pass_over);
	round_at.at += n;
	if (round_at.at == round_at.n && round_at.last)
	{
		end_round();
		return 0;
	}
	return Max(n * USECS_PER_SEC / presence_purge_rate, 1);
}
