/*
 * hooks.c
 *	  Commands on databases that need the worker out of the way.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME and ... SET TABLESPACE, and CREATE
 * DATABASE ... TEMPLATE refuse to run while anybody is connected to the
 * database. Before such a command the worker is held (launcher.c), after it, and also
 * if it fails or its session is terminated, released. DROP EXTENSION has
 * the worker look, and find that it has no more to do.
 */
#include "postgres.h"

#include "hooks.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "compat.h"
#include "shared.h"
#include "worker.h"

static ProcessUtility_hook_type next_utility = NULL;

/* The copy of a database: it may have members, and is seen after commit. */
static Oid created = InvalidOid;

/* This transaction drops the extension: the worker looks after its commit. */
static bool dropped = false;

static void
run(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
	ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	(next_utility ? next_utility : standard_ProcessUtility)(pstmt, query, read_only_tree, context,
															params, env, dest, qc);
}

static const char *
option_value(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg)
			return defGetString(option);
	}
	return NULL;
}

static bool
may_create_databases(void)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool may = false;

	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

static bool
is_template(Oid dboid)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(dboid));
	bool template = false;

	if (HeapTupleIsValid(tuple))
	{
		template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return template;
}

/* The database that a command needs to itself; invalid if none, or if the user may not. */
static Oid
database_needed(Node *statement)
{
	const char *name = NULL;
	bool creates = IsA(statement, CreatedbStmt);
	Oid dboid;

	if (creates)
	{
		name = option_value(castNode(CreatedbStmt, statement)->options, "template");
		if (name == NULL)
			name = "template1";
	}
	else if (IsA(statement, DropdbStmt))
		name = castNode(DropdbStmt, statement)->dbname;
	else if (IsA(statement, RenameStmt) &&
			 castNode(RenameStmt, statement)->renameType == OBJECT_DATABASE)
		name = castNode(RenameStmt, statement)->subname;
	else if (IsA(statement, AlterDatabaseStmt) &&
			 option_value(castNode(AlterDatabaseStmt, statement)->options, "tablespace"))
		name = castNode(AlterDatabaseStmt, statement)->dbname;

	dboid = name ? get_database_oid(name, true) : InvalidOid;
	if (!OidIsValid(dboid) || (dboid == MyDatabaseId && !creates))
		return InvalidOid;
	if (owns_database(dboid, GetUserId()) ||
		(creates && is_template(dboid) && may_create_databases()))
		return dboid;
	return InvalidOid;
}

static bool
drops_presence(Node *statement)
{
	ListCell *cell;

	if (!IsA(statement, DropStmt) || castNode(DropStmt, statement)->removeType != OBJECT_EXTENSION)
		return false;
	foreach (cell, castNode(DropStmt, statement)->objects)
		if (strcmp(strVal(lfirst(cell)), "presence") == 0)
			return true;
	return false;
}

static void
release(int code pg_attribute_unused(), Datum dboid)
{
	worker_release(DatumGetObjectId(dboid));
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *env,
				DestReceiver *dest, QueryCompletion *qc)
{
	Node *statement = pstmt->utilityStmt;
	Oid dboid = database_needed(statement);

	if (!OidIsValid(dboid))
	{
		run(pstmt, query, read_only_tree, context, params, env, dest, qc);
		dropped |= drops_presence(statement);
		return;
	}

	PG_ENSURE_ERROR_CLEANUP(release, ObjectIdGetDatum(dboid));
	{
		worker_hold(dboid);
		run(pstmt, query, read_only_tree, context, params, env, dest, qc);
	}
	PG_END_ENSURE_ERROR_CLEANUP(release, ObjectIdGetDatum(dboid));

	if (IsA(statement, DropdbStmt))
		worker_forget(dboid);
	else
		worker_release(dboid);
	if (IsA(statement, CreatedbStmt))
		created = get_database_oid(castNode(CreatedbStmt, statement)->dbname, true);
}

static void
wake_worker(void)
{
	DatabaseSlot *slot = shared_find(MyDatabaseId, false);

	if (slot == NULL)
		return;
	pg_atomic_write_u32(&slot->look, 1);
	shared_wake_worker(slot);
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_COMMIT && OidIsValid(created))
		worker_look(created);
	if (event == XACT_EVENT_COMMIT && dropped)
		wake_worker();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		created = InvalidOid;
		dropped = false;
	}
}

void
hooks_init(void)
{
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(at_transaction_end, NULL);
}
