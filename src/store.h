/*
 * store.h
 *	  The statements that presence runs on its tables.
 *
 * A function opens the store, executes statements, reads their rows with the
 * macros below, and closes it. Between open and close the current user is
 * the owner of presence.room_presence. An error in between needs no clean-up:
 * the end of the (sub)transaction resets SPI and the user.
 */
#ifndef PRESENCE_STORE_H
#define PRESENCE_STORE_H

#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef enum StatementId
{
	/* one presence */
	INSERT_PRESENCE,
	LOCK_PRESENCE,
	UPDATE_MEMBER,
	LEAVE,
	CLOSE_PRESENCE,
	/* its connections */
	CONNECT,
	DISCONNECT,
	DISCONNECT_ALL,
	DROP_STAND_INS,
	CONNECTION_STATE,
	TOUCH_ROOM,
	TOUCH,
	/* many presences */
	INSERT_MANY,
	MEMBERS_MANY,
	LIVENESS_MANY,
	DROP_STAND_INS_MANY,
	CONNECT_MANY,
	LOCK_BY_HANDLE,
	DROP_HANDLES,
	LINGER_HANDLES,
	LOCK_EXPIRED,
	LOCK_EXPIRED_HANDLES,
	DROP_LOCKED,
	DROP_STRAYS,
	DROP_STRAYS_HANDLES,
	CLOSE_UNCONNECTED,
	DISCONNECT_PRESENCES,
	LOCK_ROOM,
	LOCK_USER,
	EMPTY_ROOM,
	ADOPT,
	NEXT_EXPIRY,
	/* what is in shared memory, and the rows */
	LOAD_CONNECTIONS,
	WRITE_CONNECTIONS,
	WRITE_PRESENCES,
	GONE_HANDLES,
	/* reads; the bare ones look at no connections */
	ROOM_MEMBERS,
	ROOM_MEMBERS_BARE,
	POLL_MEMBERS,
	MEMBER_COUNT,
	MEMBER_COUNT_BARE,
	USER_ROOMS,
	USER_ROOMS_BARE,
	MEMBER_INFO,
	MEMBER_INFO_BARE,
	LIVENESS,
	COUNT_OPEN,
	COUNT_CONNECTIONS,
	MEMBERS_AT,
	PEAK_MEMBERS,
	TIME_IN_ROOM,
	/* upkeep */
	PURGE,
	PURGE_BLOCKS,
	FORGET_USER_PAST,
	FORGET_USER,
	FORGET_BOOK_PAST,
	FORGET_BOOK,
	/* Pusher */
	APP_BY_KEY,
	APPS,
	NUM_STATEMENTS
} StatementId;

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
} Store;

/* Raises what a write does in a read-only transaction, on a standby or in a parallel worker. */
extern void store_require_write(const char *function);

extern void store_open(Store *store, StoreAccess access, const char *function);
extern void store_close(Store *store);

/* OIDs of presence's own objects as of now; raises 3F000 or 42P01. */
extern Oid store_relation(const char *name);

/*
 * Runs a statement; nulls as for SPI, or NULL. Returns the number of rows,
 * which are in SPI_tuptable until store_close.
 */
extern uint64 store_execute(StatementId id, Datum *values, const char *nulls);

/* Column (from 0) of a row (from 0) of the last result. */
extern Datum store_value(SPITupleTable *rows, uint64 row, int column, bool *isnull);

/* The same, of a column that is never NULL, unless the tables were altered: then an error. */
extern Datum store_datum(SPITupleTable *rows, uint64 row, int column);

/* That error. */
extern void store_not_null(bool isnull);

/* All columns of a row at once, which is much faster where many rows are read. */
extern void store_row(SPITupleTable *rows, uint64 row, Datum *values, bool *nulls);

/* A jsonb, or NULL. */
static inline Jsonb *
store_jsonb(SPITupleTable *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = store_value(rows, row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbP(value);
}

/* The first columns of the last result become the rows of a materialized SRF. */
extern void store_return_rows(ReturnSetInfo *rsinfo, uint64 nrows);

/* Whole text[], bigint[], timestamptz[] of n values; jsonb[] of n values or NULLs (0). */
extern Datum store_text_array(Datum *values, int n);
extern Datum store_jsonb_array(Datum *values, int n);
extern Datum store_bigint_array(Datum *values, int n);
extern Datum store_timestamptz_array(Datum *values, int n);

#endif /* PRESENCE_STORE_H */
