/*
 * presence_rows.c
 *	  A row of presence.room_presence: its columns, a struct, and the look-ups by the unique index.
 *
 * The table belongs to who created the extension and can be altered: what is read from it
 * is checked, since a column of another type would be read as an address.
 */
#include "postgres.h"

#include "presence_rows.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"

#include "store.h"

/* All but user_info, which may have to be fetched: once, and where it is to stay. */
static void
from_values(Datum *values, bool *nulls, Presence *presence)
{
	*presence = (Presence){
		.id = DatumGetInt64(store_datum(values, nulls, COLUMN_ID)),
		.member = {DatumGetTextPP(store_datum(values, nulls, COLUMN_USER_ID)),
				   DatumGetTextPP(store_datum(values, nulls, COLUMN_BOOK_ID))},
		.joined_at = DatumGetTimestampTz(store_datum(values, nulls, COLUMN_JOINED_AT)),
		.last_active_at = DatumGetTimestampTz(store_datum(values, nulls, COLUMN_LAST_ACTIVE_AT)),
		.open = nulls[COLUMN_LEFT_AT],
		.left_at = nulls[COLUMN_LEFT_AT] ? 0 : DatumGetTimestampTz(values[COLUMN_LEFT_AT]),
		.leave_reason =
			nulls[COLUMN_LEAVE_REASON] ? NULL : TextDatumGetCString(values[COLUMN_LEAVE_REASON]),
		.is_author = DatumGetBool(store_datum(values, nulls, COLUMN_IS_AUTHOR))};
}

void
presence_from_result(uint64 row, Presence *presence)
{
	Datum values[NUM_COLUMNS];
	bool nulls[NUM_COLUMNS];

	store_row(SPI_tuptable, row, values, nulls);
	from_values(values, nulls, presence);
	presence->user_info = store_jsonb(values, nulls, COLUMN_USER_INFO);
}

void
presence_from_slot(TupleTableSlot *slot, MemberKey member, Presence *presence)
{
	from_values(slot->tts_values, slot->tts_isnull, presence);
	presence->row = slot->tts_tid;
	presence->member = member;
	if (!slot->tts_isnull[COLUMN_USER_INFO])
		presence->user_info = (Jsonb *) PG_DETOAST_DATUM_COPY(slot->tts_values[COLUMN_USER_INFO]);
}

Presences
presences_from_result(uint64 nrows)
{
	Presences presences = {
		.n = (int) nrows,
		.list = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Presence) * Max(nrows, 1))};

	for (uint64 i = 0; i < nrows; i++)
		presence_from_result(i, &presences.list[i]);
	return presences;
}

void
presence_rows_check(TupleDesc tupdesc)
{
	static const Oid types[NUM_COLUMNS] = {INT8OID,        TEXTOID,        TEXTOID,
										   TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
										   TEXTOID,        BOOLOID,        JSONBOID};

	for (int i = 0; i < NUM_COLUMNS; i++)
		if (tupdesc->natts <= i || TupleDescAttr(tupdesc, i)->atttypid != types[i])
			store_broken(psprintf("Column %d of \"room_presence\" has another type.", i + 1));
}

HeldPresence
presence_held(const Presence *presence)
{
	return (HeldPresence){presence->id, presence->row};
}

static bool
is_text(TupleTableSlot *slot, int column, text *value)
{
	text *there = DatumGetTextPP(slot->tts_values[column]);
	bool same = same_name(there, value);

	if (PointerGetDatum(there) != slot->tts_values[column])
		pfree(there);
	return same;
}

bool
presence_row_at(Relation table, ItemPointerData row, MemberKey member, Snapshot snapshot,
				TupleTableSlot *slot)
{
	if (!table_tuple_fetch_row_version(table, &row, snapshot, slot))
		return false;
	slot_getallattrs(slot);
	return slot->tts_isnull[COLUMN_LEFT_AT] && !slot->tts_isnull[COLUMN_USER_ID] &&
		   !slot->tts_isnull[COLUMN_BOOK_ID] && is_text(slot, COLUMN_USER_ID, member.user_id) &&
		   is_text(slot, COLUMN_BOOK_ID, member.book_id);
}

static void
set_key(ScanKey key, AttrNumber attribute, text *value)
{
	ScanKeyInit(key, attribute, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(value));
	key->sk_collation = C_COLLATION_OID;
}

bool
presence_row_find(Relation table, LOCKMODE lock, MemberKey member, Snapshot snapshot,
				  TupleTableSlot *slot)
{
	Relation index = index_open(store_relation("room_presence_open_key"), lock);
	IndexScanDesc scan = begin_index_scan(table, index, snapshot, 2);
	ScanKeyData keys[2];
	bool found;

	presence_rows_check(RelationGetDescr(table));
	set_key(&keys[0], 1, member.user_id);
	set_key(&keys[1], 2, member.book_id);
	index_rescan(scan, keys, 2, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
		slot_getallattrs(slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return found;
}

/* The open rows of a user, or of a room: of what the key has. */
typedef struct OpenRows
{
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} OpenRows;

static OpenRows
begin_rows(Relation table, LOCKMODE lock, MemberKey key, Snapshot snapshot)
{
	OpenRows rows;
	ScanKeyData scan_key;

	presence_rows_check(RelationGetDescr(table));
	rows.index = index_open(
		store_relation(key.user_id ? "room_presence_open_key" : "room_presence_room_idx"), lock);
	rows.scan = begin_index_scan(table, rows.index, snapshot, 1);
	rows.slot = table_slot_create(table, NULL);
	set_key(&scan_key, 1, key.user_id ? key.user_id : key.book_id);
	index_rescan(rows.scan, &scan_key, 1, NULL, 0);
	return rows;
}

static bool
next_row(OpenRows *rows)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(rows->scan, ForwardScanDirection, rows->slot);
}

static void
end_rows(OpenRows *rows)
{
	ExecDropSingleTupleTableSlot(rows->slot);
	index_endscan(rows->scan);
	index_close(rows->index, NoLock);
}

Presences
presence_rows_of(Relation table, LOCKMODE lock, MemberKey key, Snapshot snapshot)
{
	OpenRows rows = begin_rows(table, lock, key, snapshot);
	TupleTableSlot *slot = rows.slot;
	Presences found = {.list = palloc(sizeof(Presence) * 4)};
	int max = 4;

	while (next_row(&rows))
	{
		MemberKey member = key;
		text **other = key.user_id ? &member.book_id : &member.user_id;

		if (found.n == max)
			found.list = repalloc_huge(found.list, sizeof(Presence) * (Size) (max *= 2));
		slot_getallattrs(slot);
		*other = DatumGetTextPCopy(store_datum(slot->tts_values, slot->tts_isnull,
											   key.user_id ? COLUMN_BOOK_ID : COLUMN_USER_ID));
		presence_from_slot(slot, member, &found.list[found.n++]);
	}
	end_rows(&rows);
	return found;
}

int32
presence_rows_count(Relation table, LOCKMODE lock, text *book_id, int32 limit, Snapshot snapshot)
{
	OpenRows rows = begin_rows(table, lock, (MemberKey){.book_id = book_id}, snapshot);
	int32 n = 0;

	while (n < limit && next_row(&rows))
		n++;
	end_rows(&rows);
	return n;
}
