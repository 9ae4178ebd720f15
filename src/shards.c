/*
 * shards.c
 *	  Which rooms are this node's, where a cluster of Citus spreads them over several.
 *
 * Citus sends a call on to the node of its room only if the statement is nothing but that call;
 * in any other form it runs where it was sent, and would write there, unseen by the others. So
 * every function that is about a room asks here first.
 *
 * A session reads once from the catalogue of Citus which ranges of hashes are on which node, and
 * reads it again when Citus changes it, which it tells by an invalidation of presence.room_shard.
 * Where nothing is spread, to ask is to look at two variables. What Citus hashes is the text, as
 * hashtext() does.
 *
 * Called by limits.c, which all arguments pass, and by who does something to all rooms of a node.
 */
#include "postgres.h"

#include "shards.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "result.h"
#include "store.h"

PG_FUNCTION_INFO_V1(presence_is_sharded);
PG_FUNCTION_INFO_V1(presence_room_node);
PG_FUNCTION_INFO_V1(presence_shards);

typedef struct Shard
{
	int32 first; /* the hashes in it */
	int32 last;
	bool here;
	const char *host; /* NULL: Citus does not say */
	int32 port;
} Shard;

/* What was read; by their hashes. In a context of its own. */
static Shard *shards;
static int nshards;
static MemoryContext context;

static bool current;     /* it is as it was read */
static Oid anchor;       /* presence.room_shard, when it was read */
static uint64 forgotten; /* how often it was found to be old */
static uint64 readings;  /* how often shards were found */

static void
forget(Oid relid)
{
	if (OidIsValid(relid) && relid != anchor)
		return;
	current = false;
	forgotten++;
}

void
shards_init(void)
{
	store_watch_relations(forget);
}

static Shard
shard_of_row(uint64 row)
{
	Datum values[5];
	bool nulls[5];

	store_row(SPI_tuptable, row, values, nulls);
	return (Shard){.first = DatumGetInt32(store_datum(values, nulls, 0)),
				   .last = DatumGetInt32(store_datum(values, nulls, 1)),
				   .here = DatumGetBool(store_datum(values, nulls, 2)),
				   .host = nulls[3] ? NULL
									: MemoryContextStrdup(context, TextDatumGetCString(values[3])),
				   .port = nulls[4] ? 0 : DatumGetInt32(values[4])};
}

static void
read_shards(void)
{
	static Statement list = {
		.sql =
			"SELECT s.shardminvalue::pg_catalog.int4, s.shardmaxvalue::pg_catalog.int4,"
			" p.groupid OPERATOR(pg_catalog.=) l.groupid, n.nodename::pg_catalog.text, n.nodeport"
			" FROM pg_catalog.pg_dist_shard AS s"
			" JOIN pg_catalog.pg_dist_placement AS p ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
			" CROSS JOIN pg_catalog.pg_dist_local_group AS l"
			" LEFT JOIN pg_catalog.pg_dist_node AS n ON n.groupid OPERATOR(pg_catalog.=) p.groupid"
			" AND n.noderole::pg_catalog.text OPERATOR(pg_catalog.=) 'primary'"
			" WHERE s.logicalrelid OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass"
			" ORDER BY s.shardminvalue::pg_catalog.int4",
		.args = "i",
		.columns = "nnbtn"};
	Datum values[] = {Int64GetDatum((int64) anchor)};
	int found;
	Store store;

	store_open(&store, STORE_READ, "presence");
	found = (int) store_execute(&list, values, NULL);
	shards = MemoryContextAlloc(context, sizeof(Shard) * Max(found, 1));
	for (int i = 0; i < found; i++)
		shards[i] = shard_of_row(i);
	store_close(&store);
	nshards = found;
	readings += nshards > 0;
}

static Oid
find_anchor(void)
{
	Oid namespace = get_namespace_oid("presence", true);

	return OidIsValid(namespace) ? get_relname_relid("room_shard", namespace) : InvalidOid;
}

/* An extension of before 0.3 has no such table: then nothing is remembered, since nothing would
 * tell of one. */
static void
look(void)
{
	uint64 before = forgotten;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "presence shards", ALLOCSET_SMALL_SIZES);
	nshards = 0;
	MemoryContextReset(context);
	anchor = find_anchor();
	if (!OidIsValid(anchor))
		return;
	if (OidIsValid(get_relname_relid("pg_dist_shard", PG_CATALOG_NAMESPACE)))
		read_shards();
	current = before == forgotten;
}

bool
shards_there(void)
{
	if (unlikely(!current))
		look();
	return nshards > 0;
}

bool
shards_changed(void)
{
	static uint64 seen = 0;
	bool changed = shards_there() && seen != readings;

	seen = readings;
	return changed;
}

/* Its shard; NULL if Citus has none for it. */
static const Shard *
find_shard(text *book_id)
{
	int32 hash =
		DatumGetInt32(DirectFunctionCall1Coll(hashtext, C_COLLATION_OID, PointerGetDatum(book_id)));
	int low = 0;
	int high = nshards;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (hash > shards[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < nshards && shards[low].first <= hash ? &shards[low] : NULL;
}

bool
shards_is_here(text *book_id)
{
	const Shard *shard = shards_there() ? find_shard(book_id) : NULL;

	return shard == NULL || shard->here;
}

void
shards_require_here(text *book_id)
{
	const Shard *shard;

	if (likely(!shards_there()))
		return;
	shard = find_shard(book_id);
	if (shard == NULL || shard->here)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_ROOM_ON_ANOTHER_NODE),
		 errmsg("room \"%s\" is on another node", text_to_cstring(book_id)),
		 shard->host ? errdetail("It is on %s:%d.", shard->host, shard->port) : 0,
		 errhint("Citus sends a call there if it is all of the statement, as in SELECT * FROM "
				 "presence.join_room(...), with constants or parameters. Others go to that node "
				 "itself.")));
}

/* is_sharded() */
Datum
presence_is_sharded(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_BOOL(shards_there());
}

/* room_node(book_id): where its room is; NULL, NULL where rooms are not spread over nodes */
Datum
presence_room_node(PG_FUNCTION_ARGS)
{
	text *book_id = PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0);
	const Shard *shard = book_id && shards_there() ? find_shard(book_id) : NULL;
	Datum values[2] = {0, 0};
	bool nulls[2] = {true, true};

	if (shard && shard->host)
	{
		values[0] = CStringGetTextDatum(shard->host);
		values[1] = Int32GetDatum(shard->port);
		nulls[0] = nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_type(fcinfo), values, nulls)));
}

/* shards(): which hashes are on which node, and whether that is this one */
Datum
presence_shards(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (!shards_there())
		return (Datum) 0;
	for (int i = 0; i < nshards; i++)
	{
		const Shard *shard = &shards[i];
		Datum values[5] = {Int32GetDatum(shard->first), Int32GetDatum(shard->last), 0,
						   Int32GetDatum(shard->port), BoolGetDatum(shard->here)};
		bool nulls[5] = {false, false, shard->host == NULL, shard->host == NULL, false};

		if (shard->host)
			values[2] = CStringGetTextDatum(shard->host);
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	return (Datum) 0;
}
