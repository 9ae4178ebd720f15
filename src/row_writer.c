/*
 * row_writer.c
 *	  Writes rows of a table by its access methods, without a statement.
 *
 * An INSERT … ON CONFLICT DO NOTHING and an UPDATE by key do the same, and take twice as long:
 * most of it for what is the same each time, the plan's nodes and what is known of the
 * indexes. Here that is kept for the session, until the relation cache says that the table
 * changed, or a function that an index or a constraint may call.
 *
 * What is always true: what is kept is used by who has locked the table, which has let the
 * invalidations in. Who changes a table's constraints or triggers waits for that lock; who makes an
 * index while others write waits for those who had it before each step, so that what they do
 * not know of is found by him. What is kept holds no open relation, no pin and no memory of a
 * call: those are the caller's transaction's, and an error needs no clean-up.
 *
 * A function of the owner's, in an index or a constraint, may call presence again: the inner
 * call finds the writer in use and takes a statement.
 *
 * Called by presences_write.c.
 */
#include "postgres.h"

#include "row_writer.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "store.h"

/* The table that was written last. */
static struct
{
	Oid relid;
	bool valid; /* until somebody changes the table */
	bool plain;
	bool in_use;
	bool learning;
	EState *estate; /* owns the rest; NULL: nothing is known */
	ResultRelInfo *target;
	Oid *indexes;
	int nindexes;
} known;

/* An index by itself too: that it is to be written from now on is no change of the table. */
static void
forget_relation(Oid relid)
{
	if (!OidIsValid(relid) || relid == known.relid || known.learning)
		known.valid = false;
	for (int i = 0; i < known.nindexes; i++)
		if (relid == known.indexes[i])
			known.valid = false;
}

static void
forget_functions(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
				 uint32 hashvalue pg_attribute_unused())
{
	known.valid = false;
}

void
row_writer_init(void)
{
	store_watch_relations(forget_relation);
	CacheRegisterSyscacheCallback(PROCOID, forget_functions, (Datum) 0);
}

static bool
is_plain(Relation table, int ncolumns)
{
	TupleDesc columns = RelationGetDescr(table);

	if (table->rd_rel->relkind != RELKIND_RELATION || table->rd_rel->relispartition ||
		table->rd_rel->relhassubclass || table->rd_rel->relhasrules ||
		table->rd_rel->relforcerowsecurity || table->trigdesc != NULL)
		return false;
	return columns->natts == ncolumns &&
		   !(columns->constr && columns->constr->has_generated_stored);
}

/* A hint for B-trees: whether all that an update does to an index is another version of an entry.
 */
static void
set_unchanged(IndexInfo *index, const int *updated)
{
	index->ii_CheckedUnchanged = true;
	index->ii_IndexUnchanged = index->ii_Expressions == NIL;
	for (int i = 0; i < index->ii_NumIndexKeyAttrs; i++)
		for (const int *column = updated; *column != 0; column++)
			if (index->ii_IndexAttrNumbers[i] == *column)
				index->ii_IndexUnchanged = false;
}

/* Opens the indexes of a table that was not known, or has changed. */
static void
learn_indexes(Relation table, const int *updated)
{
	MemoryContext old = MemoryContextSwitchTo(known.estate->es_query_cxt);
	ResultRelInfo *target = makeNode(ResultRelInfo);

	InitResultRelInfo(target, table, 0, NULL, 0);
	ExecOpenIndices(target, false);
	known.indexes = palloc(sizeof(Oid) * Max(target->ri_NumIndices, 1));
	for (int i = 0; i < target->ri_NumIndices; i++)
	{
		known.indexes[i] = RelationGetRelid(target->ri_IndexRelationDescs[i]);
		set_unchanged(target->ri_IndexRelationInfo[i], updated);
	}
	known.nindexes = target->ri_NumIndices;
	known.target = target;
	MemoryContextSwitchTo(old);
}

static void
forget_all(void)
{
	EState *estate = known.estate;

	memset(&known, 0, sizeof(known));
	if (estate != NULL)
		FreeExecutorState(estate);
}

static void
learn(Relation table, int ncolumns, const int *updated)
{
	MemoryContext old;

	forget_all();
	old = MemoryContextSwitchTo(TopMemoryContext);
	known.estate = CreateExecutorState();
	MemoryContextSwitchTo(old);
	known.relid = RelationGetRelid(table);
	known.plain = is_plain(table, ncolumns);
	known.valid = known.learning = true; /* what changes meanwhile is right for this call only */
	if (known.plain)
		learn_indexes(table, updated);
	known.learning = false;
}

static void
open_indexes(Relation table)
{
	known.target->ri_RelationDesc = table;
	for (int i = 0; i < known.nindexes; i++)
		known.target->ri_IndexRelationDescs[i] = index_open(known.indexes[i], RowExclusiveLock);
}

bool
row_writer_open(RowWriter *writer, Oid relid, int ncolumns, const int *updated)
{
	Relation table;

	if (known.in_use)
		return false;
	table = table_open(relid, NoLock);
	if (!known.valid || known.relid != relid || known.learning)
		learn(table, ncolumns, updated);
	else if (known.plain)
		open_indexes(table);
	if (!known.plain)
	{
		table_close(table, NoLock);
		return false;
	}
	/* what an access method keeps for a statement is for this call only */
	for (int i = 0; i < known.nindexes; i++)
	{
		known.target->ri_IndexRelationInfo[i]->ii_Context = CurrentMemoryContext;
		known.target->ri_IndexRelationInfo[i]->ii_AmCache = NULL;
	}
	writer->table = table;
	writer->row = table_slot_create(table, NULL);
	return true;
}

TupleTableSlot *
row_writer_new(RowWriter *writer)
{
	return ExecClearTuple(writer->row);
}

static void
check_row(RowWriter *writer)
{
	ExecStoreVirtualTuple(writer->row);
	if (RelationGetDescr(writer->table)->constr)
		ExecConstraints(known.target, writer->row, known.estate);
}

/*
 * As a statement with ON CONFLICT: the row counts once its keys are in the indexes, so that of two
 * that are inserted at the same time neither is an error.
 */
static bool
insert_speculatively(RowWriter *writer)
{
	bool conflict = false;
	uint32 token;

	check_row(writer);
	token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
	table_tuple_insert_speculative(writer->table, writer->row, GetCurrentCommandId(true), 0, NULL,
								   token);
	(void) insert_index_tuples(known.target, writer->row, known.estate, false, true, &conflict,
							   false);
	table_tuple_complete_speculative(writer->table, writer->row, token, !conflict);
	SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	return !conflict;
}

/* Locks a row as an UPDATE of no key does, unless somebody else has. */
static bool
lock_row(RowWriter *writer, ItemPointer tid, Snapshot snapshot)
{
	TupleTableSlot *locked = table_slot_create(writer->table, NULL);
	TM_FailureData failure;
	TM_Result result =
		table_tuple_lock(writer->table, tid, snapshot, locked, GetCurrentCommandId(true),
						 LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure);

	ExecDropSingleTupleTableSlot(locked);
	return result == TM_Ok;
}

static bool
update(RowWriter *writer, ItemPointer tid, Snapshot snapshot, bool wait)
{
	TM_FailureData failure;
	LockTupleMode lock;
	TU_UpdateIndexes indexes;

	check_row(writer);
	if (!wait && !lock_row(writer, tid, snapshot))
		return false;
	if (table_tuple_update(writer->table, tid, writer->row, GetCurrentCommandId(true), snapshot,
						   InvalidSnapshot, true, &failure, &lock, &indexes) != TM_Ok)
		return false;
	if (indexes != TU_None)
		(void) insert_index_tuples(known.target, writer->row, known.estate, true, false, NULL,
								   indexes == TU_Summarizing);
	return true;
}

bool
row_writer_insert(RowWriter *writer)
{
	bool inserted = false;

	known.in_use = true;
	PG_TRY();
	{
		inserted = insert_speculatively(writer);
	}
	PG_FINALLY();
	{
		known.in_use = false;
	}
	PG_END_TRY();
	ResetPerTupleExprContext(known.estate);
	return inserted;
}

bool
row_writer_update(RowWriter *writer, ItemPointer tid, Snapshot snapshot, bool wait)
{
	bool updated = false;

	known.in_use = true;
	PG_TRY();
	{
		CheckCmdReplicaIdentity(writer->table, CMD_UPDATE);
		updated = update(writer, tid, snapshot, wait);
	}
	PG_FINALLY();
	{
		known.in_use = false;
	}
	PG_END_TRY();
	ResetPerTupleExprContext(known.estate);
	return updated;
}

void
row_writer_close(RowWriter *writer)
{
	for (int i = 0; i < known.nindexes; i++)
	{
		index_insert_done(known.target->ri_IndexRelationDescs[i],
						  known.target->ri_IndexRelationInfo[i]);
		index_close(known.target->ri_IndexRelationDescs[i], NoLock);
	}
	ExecDropSingleTupleTableSlot(writer->row);
	table_close(writer->table, NoLock);
	CommandCounterIncrement();
}
