/*
 * store.h
 *	  Runs the statements of presence on its tables.
 *
 * A statement is declared beside the function that reads its rows, in plain SQL in which every
 * name and operator is qualified, with the types of its columns. A function opens the
 * store, executes statements, reads the rows, and closes it. Between open and close the
 * current user is the owner of presence.room_presence, and a setting that a trigger of his
 * changes is changed back at the close. An error in between needs no clean-up: the end of the
 * (sub)transaction resets SPI, the user and the settings.
 */
#ifndef PRESENCE_STORE_H
#define PRESENCE_STORE_H

#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"

#define MAX_ARGS 8

typedef struct Statement
{
	const char *sql;
	const char *args;      /* types of the parameters, a letter each: type_of() */
	const char *columns;   /* of the result, likewise; none: nothing is read */
	bool callers_snapshot; /* a read for the caller; all others see the latest */
	SPIPlanPtr plan;       /* prepared with first use, kept for the session */
} Statement;

typedef enum StoreAccess
{
	STORE_READ, /* the caller's snapshot; also on a standby */
	STORE_WRITE /* refused (25006) in a read-only transaction and on a standby */
} StoreAccess;

typedef struct Store
{
	MemoryContext caller; /* where results that outlive the store belong */
	Oid userid;
	int sec_context;
	int guc_nest_level;
} Store;

/* Raises what a write does in a read-only transaction, on a standby or in a parallel worker. */
extern void store_require_write(const char *function);

extern void store_open(Store *store, StoreAccess access, const char *function);
extern void store_close(Store *store);

extern void store_init(void);

/*
 * To be called when a relation changes, relid, or any may have (invalid). Asked for when the
 * library is loaded. The server has ten such callbacks for all libraries, of which Citus takes
 * five: presence takes one.
 */
typedef void (*RelationChanged)(Oid relid);
extern void store_watch_relations(RelationChanged changed);

/* OID of a relation of presence, remembered until it changes; name: a literal. Raises 3F000, 42P01.
 */
extern Oid store_relation(const char *name);
extern Oid store_room_presence(void);

/*
 * The same, locked until the end of the transaction: it is what has the name now, and is not
 * dropped before.
 */
extern Oid store_lock_relation(const char *name, LOCKMODE mode);

/* The next number of a sequence; no privilege is asked for. */
extern int64 store_nextval(const char *name);

/*
 * Runs a statement; nulls as for SPI, or NULL. Returns the number of rows,
 * which are in SPI_tuptable until store_close.
 */
extern uint64 store_execute(Statement *statement, Datum *values, const char *nulls);

/* Raises 42804: the owner altered the tables, or his trigger kept a row from being written. */
pg_noreturn extern void store_broken(const char *detail);

/* A row (from 0) of the last result, all columns at once. */
extern void store_row(SPITupleTable *rows, uint64 row, Datum *values, bool *nulls);

/* The value of a column that is never NULL, unless the tables were altered: then an error. */
extern Datum store_datum(Datum *values, bool *nulls, int column);

/* The same, of a statement that returns one value: its first row. */
extern Datum store_value(void);

static inline Jsonb *
store_jsonb(Datum *values, bool *nulls, int column)
{
	return nulls[column] ? NULL : DatumGetJsonbP(values[column]);
}

/* All rows of the last result become the rows of a materialized SRF. */
extern void store_return_rows(ReturnSetInfo *rsinfo, uint64 nrows);

/* Whole text[], bigint[], timestamptz[], boolean[] of n values; jsonb[] of n values or NULLs (0).
 */
extern Datum store_text_array(Datum *values, int n);
extern Datum store_jsonb_array(Datum *values, int n);
extern Datum store_bigint_array(Datum *values, int n);
extern Datum store_timestamptz_array(Datum *values, int n);
extern Datum store_bool_array(Datum *values, int n);

/* Microseconds as an interval, and back. */
extern Datum store_interval(int64 usec);
extern int64 store_usec(Datum interval);

#endif /* PRESENCE_STORE_H */
