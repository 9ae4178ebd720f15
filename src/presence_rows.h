/*
 * presence_rows.h
 *	  A row of presence.room_presence: its columns, a struct, and the look-ups by the unique index.
 */
#ifndef PRESENCE_PRESENCE_ROWS_H
#define PRESENCE_PRESENCE_ROWS_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "storage/lockdefs.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "liveness.h"

/* One stay of one user in one room. */
typedef struct Presence
{
	int64 id;
	ItemPointerData row; /* where it is, if that is known */
	MemberKey member;
	TimestampTz joined_at;
	TimestampTz last_active_at;
	TimestampTz left_at; /* of one that was closed */
	const char *leave_reason;
	bool open; /* of those that were forgotten */
	bool is_author;
	Jsonb *user_info; /* NULL: none */
} Presence;

/* A list of presences, from one statement. */
typedef struct Presences
{
	int n;
	Presence *list;
} Presences;

/* Columns of the table, as the install script makes them. */
enum
{
	COLUMN_ID,
	COLUMN_USER_ID,
	COLUMN_BOOK_ID,
	COLUMN_JOINED_AT,
	COLUMN_LAST_ACTIVE_AT,
	COLUMN_LEFT_AT,
	COLUMN_LEAVE_REASON,
	COLUMN_IS_AUTHOR,
	COLUMN_USER_INFO,
	NUM_COLUMNS
};

/* A row as all statements return it, in the order of the table, and its types (store.h). */
#define PRESENCE_COLUMNS                                                                           \
	" p.id, p.user_id, p.book_id, p.joined_at, p.last_active_at, p.left_at, p.leave_reason,"       \
	" p.is_author, p.user_info"
#define PRESENCE_TYPES "ittzzztbj"

/* Raises 42804 unless the table has these columns. */
extern void presence_rows_check(TupleDesc columns);

/* What presence_row_find found, with a copy of user_info; the names are the caller's. */
extern void presence_from_slot(TupleTableSlot *slot, MemberKey member, Presence *presence);

/* Of the last result of a statement: a row (from 0), or all. */
extern void presence_from_result(uint64 row, Presence *presence);
extern Presences presences_from_result(uint64 nrows);

extern HeldPresence presence_held(const Presence *presence);

/*
 * The open row of a member where it may be, all its columns in the slot; false if it is not there.
 * The block has to be, and the columns have been checked.
 */
extern bool presence_row_at(Relation table, ItemPointerData row, MemberKey member,
							Snapshot snapshot, TupleTableSlot *slot);

/*
 * The open row of a member by the unique index, all its columns in the slot; false if there is
 * none. A statement would take several times as long. lock: of the index, NoLock if it is locked.
 */
extern bool presence_row_find(Relation table, LOCKMODE lock, MemberKey member, Snapshot snapshot,
							  TupleTableSlot *slot);

/*
 * All open rows of a user by the same index, in the order of book_id, or of a room by the index of
 * rooms, in the order of user_id: the other of the two is NULL in the key. And how many a room has,
 * limit at most.
 */
extern Presences presence_rows_of(Relation table, LOCKMODE lock, MemberKey key, Snapshot snapshot);
extern int32 presence_rows_count(Relation table, LOCKMODE lock, text *book_id, int32 limit,
								 Snapshot snapshot);

#endif /* PRESENCE_PRESENCE_ROWS_H */
