/*
 * compat.h
 *	  What differs between PostgreSQL 15 and 18; the only place that asks
 *	  for PG_VERSION_NUM.
 */
#ifndef PRESENCE_COMPAT_H
#define PRESENCE_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_database.h"
#include "executor/executor.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "presence needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 160000
#define owns_database(dboid, roleid) pg_database_ownercheck(dboid, roleid)
#else
#define owns_database(dboid, roleid) object_ownercheck(DatabaseRelationId, dboid, roleid)
#endif

/* Since 16 an index may hold summaries only, and an update need not write into the others. */
#if PG_VERSION_NUM < 160000
typedef bool TU_UpdateIndexes;
#define TU_None        false
#define TU_Summarizing 2
#define insert_index_tuples(target, slot, estate, update, no_error, conflict, summarizing)         \
	ExecInsertIndexTuples(target, slot, estate, update, no_error, conflict, NIL)
#else
#define insert_index_tuples(target, slot, estate, update, no_error, conflict, summarizing)         \
	ExecInsertIndexTuples(target, slot, estate, update, no_error, conflict, NIL, summarizing)
#endif

/* Since 17 an access method may hold buffers between the rows of a statement. */
#if PG_VERSION_NUM < 170000
#define index_insert_done(index, info) ((void) 0)
#else
#define index_insert_done(index, info) index_insert_cleanup(index, info)
#endif

/* Since 16 under another name: the n-th session, from 1. */
#if PG_VERSION_NUM < 160000
#define local_backend(n) pgstat_fetch_stat_local_beentry(n)
#else
#define local_backend(n) pgstat_get_local_beentry_by_index(n)
#endif

#if PG_VERSION_NUM < 180000
#define begin_index_scan(table, index, snapshot, nkeys)                                            \
	index_beginscan(table, index, snapshot, nkeys, 0)
#else
#define begin_index_scan(table, index, snapshot, nkeys)                                            \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#endif

#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#endif /* PRESENCE_COMPAT_H */
