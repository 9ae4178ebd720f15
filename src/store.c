/*
 * store.c
 *	  Runs the statements of presence on its tables.
 *
 * Each statement is prepared once a session and kept, as a generic plan. A
 * plan holds names, not OIDs, so that it survives DROP and CREATE EXTENSION.
 * Every name and operator is qualified: the caller's search_path is not used.
 *
 * Who may do what is decided by the privileges on the SQL functions. The
 * statements run as the owner of presence.room_presence, as those of a foreign
 * key do (ri_triggers.c), which costs less than SECURITY DEFINER with SET.
 *
 * Isolation. What a call does to a presence has to be right for everybody, not
 * for the snapshot of a REPEATABLE READ caller, who could miss the tab
 * that joined since. So statements that write, and the reads they depend on,
 * run with the latest snapshot, as those of a foreign key do; a row changed under
 * them is a clean 40001. Reads for the caller run with the caller's snapshot.
 *
 * Plans. They are made as if no table were small and nothing worth a compilation, whatever
 * the session's settings: a plan is kept, and one that was made for an empty table, or by a
 * planner who was told otherwise, would be used when thousands are online.
 */
#include "postgres.h"

#include "store.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "settings.h"
#include "shared.h"

/* Relations that were looked up, by their names, which are literals; invalid: to be looked up. */
static struct
{
	const char *name;
	Oid relid;
} known[8];

static Oid
look_up(const char *name)
{
	Oid namespace = get_namespace_oid("presence", false);
	Oid relid = get_relname_relid(name, namespace);

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"presence.%s\" does not exist", name)));
	return relid;
}

Oid
store_relation(const char *name)
{
	for (size_t i = 0; i < lengthof(known); i++)
	{
		if (known[i].name == NULL)
			known[i].name = name;
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (!OidIsValid(known[i].relid))
			known[i].relid = look_up(name);
		return known[i].relid;
	}
	return look_up(name);
}

Oid
store_lock_relation(const char *name, LOCKMODE mode)
{
	for (;;)
	{
		Oid relid = store_relation(name);

		LockRelationOid(relid, mode); /* and what has changed is known */
		if (store_relation(name) == relid)
			return relid;
		UnlockRelationOid(relid, mode);
	}
}

int64
store_nextval(const char *name)
{
	return nextval_internal(store_lock_relation(name, RowExclusiveLock), false);
}

/* Whom else a change of a relation is told. */
static RelationChanged watchers[4];
static int nwatchers = 0;

void
store_watch_relations(RelationChanged changed)
{
	if (nwatchers == lengthof(watchers))
		elog(ERROR, "too many files watch relations");
	watchers[nwatchers++] = changed;
}

static void
relation_changed(Datum arg pg_attribute_unused(), Oid relid)
{
	for (int i = 0; i < nwatchers; i++)
		watchers[i](relid);
	for (size_t i = 0; i < lengthof(known); i++)
		if (!OidIsValid(relid) || relid == known[i].relid)
			known[i].relid = InvalidOid;
}

void
store_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
}

Oid
store_room_presence(void)
{
	return store_relation("room_presence");
}

static Oid
store_owner(void)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(store_room_presence()));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
	{
		/* somebody commits that it is dropped: what is there after him? */
		Oid relid = store_lock_relation("room_presence", AccessShareLock);

		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for relation %u", relid);
	}
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The security context of the owner. What he made to run later (a deferred trigger, a
 * cursor held over the commit) would run as the caller: if that is a superuser, as the
 * worker is, and he is none, such things are refused.
 */
static int
owner_context(Oid owner, Oid caller)
{
	int context = SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS;

	if (superuser_arg(caller) && !superuser_arg(owner))
		context |= SECURITY_RESTRICTED_OPERATION;
	return context;
}

void
store_require_write(const char *function)
{
	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

void
store_open(Store *store, StoreAccess access, const char *function)
{
	Oid owner;

	if (access == STORE_WRITE)
		store_require_write(function);
	store->caller = CurrentMemoryContext;
	GetUserIdAndSecContext(&store->userid, &store->sec_context);
	owner = store_owner();
	SetUserIdAndSecContext(owner, store->sec_context | owner_context(owner, store->userid));
	store->guc_nest_level = NewGUCNestLevel();
	shared_use(); /* whoever uses presence wants a worker */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
store_close(Store *store)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, store->guc_nest_level);
	SetUserIdAndSecContext(store->userid, store->sec_context);
}

static Oid
type_of(char letter)
{
	switch (letter)
	{
		case 'a':
			return INT8ARRAYOID;
		case 'b':
			return BOOLOID;
		case 'B':
			return BOOLARRAYOID;
		case 'd':
			return DATEOID;
		case 'f':
			return FLOAT8OID;
		case 'i':
			return INT8OID;
		case 'j':
			return JSONBOID;
		case 'J':
			return JSONBARRAYOID;
		case 'n':
			return INT4OID;
		case 'N':
			return INT4ARRAYOID;
		case 't':
			return TEXTOID;
		case 'T':
			return TEXTARRAYOID;
		case 'v':
			return INTERVALOID;
		case 'x':
			return BYTEAOID;
		case 'z':
			return TIMESTAMPTZOID;
		case 'Z':
			return TIMESTAMPTZARRAYOID;
	}
	elog(ERROR, "unknown type '%c' of a statement", letter);
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

static SPIPlanPtr
prepare(const Statement *statement)
{
	Oid args[MAX_ARGS];
	int nargs = (int) strlen(statement->args);
	SPIPlanPtr plan;

	for (int i = 0; i < nargs; i++)
		args[i] = type_of(statement->args[i]);
	plan = SPI_prepare_cursor(statement->sql, nargs, args, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	return plan;
}

static void
make_plan(Statement *statement)
{
	int nest_level = NewGUCNestLevel();
	CachedPlan *cached;

	set_locally("enable_seqscan", "off");
	set_locally("enable_hashjoin", "off");
	set_locally("enable_mergejoin", "off");
	set_locally("enable_indexscan", "on");
	set_locally("enable_nestloop", "on");
	set_locally("enable_sort", "on");
	set_locally("jit", "off");
	set_locally("plan_cache_mode", "auto");
	if (statement->plan == NULL)
		statement->plan = prepare(statement);
	cached = SPI_plan_get_cached_plan(statement->plan);
	if (cached != NULL)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
	AtEOXact_GUC(false, nest_level);
}

/*
 * The tables belong to who created the extension, need not be a superuser's, and
 * can be altered. A column of another type, taken for what it should be, would be
 * read as an address.
 */
static void
check_columns(const Statement *statement)
{
	TupleDesc tupdesc = SPI_tuptable ? SPI_tuptable->tupdesc : NULL;
	int ncolumns = (int) strlen(statement->columns);

	if (ncolumns == 0)
		return;
	for (int i = 0; i < ncolumns; i++)
		if (tupdesc == NULL || tupdesc->natts != ncolumns ||
			TupleDescAttr(tupdesc, i)->atttypid != type_of(statement->columns[i]))
			store_broken(psprintf("Column %d of \"%s\" has another type.", i + 1, statement->sql));
}

uint64
store_execute(Statement *statement, Datum *values, const char *nulls)
{
	Snapshot snapshot = InvalidSnapshot;
	int result;

	if (statement->plan == NULL || !SPI_plan_is_valid(statement->plan))
		make_plan(statement);
	if (plan_cache_mode == PLAN_CACHE_MODE_FORCE_CUSTOM_PLAN)
		set_locally("plan_cache_mode", "auto"); /* until the store is closed */
	if (!statement->callers_snapshot && IsolationUsesXactSnapshot())
		snapshot = GetLatestSnapshot();

	result = SPI_execute_snapshot(statement->plan, values, nulls, snapshot, InvalidSnapshot,
								  statement->callers_snapshot, true, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql, SPI_result_code_string(result));
	check_columns(statement);
	return SPI_processed;
}

void
store_broken(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("the tables of extension \"presence\" are not as it made them"),
					errdetail("%s", detail)));
}

void
store_row(SPITupleTable *rows, uint64 row, Datum *values, bool *nulls)
{
	if (rows == NULL || row >= rows->numvals)
		store_broken("A row is missing.");
	heap_deform_tuple(rows->vals[row], rows->tupdesc, values, nulls);
}

Datum
store_datum(Datum *values, bool *nulls, int column)
{
	if (nulls[column])
		store_broken("A value is null.");
	return values[column];
}

Datum
store_value(void)
{
	Datum value;
	bool isnull;

	store_row(SPI_tuptable, 0, &value, &isnull);
	return store_datum(&value, &isnull, 0);
}

Datum
store_text_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
store_jsonb_array(Datum *values, int n)
{
	bool *nulls = palloc(sizeof(bool) * Max(n, 1));
	int lower_bound = 1;

	for (int i = 0; i < n; i++)
		nulls[i] = values[i] == (Datum) 0;
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, &n, &lower_bound, JSONBOID, -1, false, TYPALIGN_INT));
}

Datum
store_bigint_array(Datum *values, int n)
{
	return PointerGetDatum(
		construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
store_timestamptz_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, TIMESTAMPTZOID, sizeof(TimestampTz),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
store_bool_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR));
}

Datum
store_interval(int64 usec)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	return IntervalPGetDatum(interval);
}

int64
store_usec(Datum interval)
{
	const Interval *value = DatumGetIntervalP(interval);

	return value->time + ((int64) value->month * DAYS_PER_MONTH + value->day) * USECS_PER_DAY;
}

void
store_return_rows(ReturnSetInfo *rsinfo, uint64 nrows)
{
	int ncolumns = rsinfo->setDesc->natts;
	Datum *values = palloc(sizeof(Datum) * Max(ncolumns, SPI_tuptable->tupdesc->natts));
	bool *nulls = palloc(sizeof(bool) * Max(ncolumns, SPI_tuptable->tupdesc->natts));

	for (uint64 i = 0; i < nrows; i++)
	{
		store_row(SPI_tuptable, i, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}
