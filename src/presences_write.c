/*
 * presences_write.c
 *	  The table presence.room_presence: what inserts, changes and closes its rows.
 *
 * What is always true: at most one row of a user and a room has no left_at, by the unique
 * index; it is inserted and closed by who has locked the member, and by nobody else but
 * people with psql, against whom the index and the row locks still hold.
 *
 * A row is written by the access methods (row_writer.h) if nobody else has a say in it, and by a
 * statement otherwise: with triggers, and against a row that somebody is writing by hand. The
 * statement decides, also what to wait for. A batch is matched to its rows by ids that are drawn
 * before, not by an order of RETURNING, which PostgreSQL does not promise.
 */
#include "postgres.h"

#include "presences_write.h"

#include "access/tableam.h"
#include "commands/sequence.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "limits.h"
#include "row_writer.h"
#include "store.h"

static bool
open_writer(RowWriter *writer)
{
	static const int updated[] = {COLUMN_LAST_ACTIVE_AT + 1, COLUMN_LEFT_AT + 1,
								  COLUMN_LEAVE_REASON + 1, 0};

	if (!row_writer_open(writer, store_lock_relation("room_presence", RowExclusiveLock),
						 NUM_COLUMNS, updated))
		return false;
	presence_rows_check(RelationGetDescr(writer->table));
	return true;
}

static bool
insert_row(RowWriter *writer, Presence *presence)
{
	TupleTableSlot *row = row_writer_new(writer);
	Datum *values = row->tts_values;

	memset(row->tts_isnull, false, sizeof(bool) * NUM_COLUMNS);
	values[COLUMN_ID] = Int64GetDatum(presence->id);
	values[COLUMN_USER_ID] = PointerGetDatum(presence->member.user_id);
	values[COLUMN_BOOK_ID] = PointerGetDatum(presence->member.book_id);
	values[COLUMN_JOINED_AT] = TimestampTzGetDatum(presence->joined_at);
	values[COLUMN_LAST_ACTIVE_AT] = TimestampTzGetDatum(presence->joined_at);
	values[COLUMN_IS_AUTHOR] = BoolGetDatum(presence->is_author);
	values[COLUMN_USER_INFO] = PointerGetDatum(presence->user_info);
	row->tts_isnull[COLUMN_LEFT_AT] = row->tts_isnull[COLUMN_LEAVE_REASON] = true;
	row->tts_isnull[COLUMN_USER_INFO] = presence->user_info == NULL;
	if (!row_writer_insert(writer))
		return false;
	presence->row = row->tts_tid;
	return true;
}

typedef struct DrawnId
{
	int64 id;
	int position;
} DrawnId;

static int
compare_ids(const void *a, const void *b)
{
	int64 x = ((const DrawnId *) a)->id;
	int64 y = ((const DrawnId *) b)->id;

	return x < y ? -1 : x > y;
}

/* Arrays of the columns of those that are not inserted; their ids in order; how many. */
static int
rest_arrays(const Presence *presences, int n, const bool *inserted, Datum *values, DrawnId *drawn)
{
	Datum *columns[5];
	int rest = 0;

	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		if (inserted[i])
			continue;
		drawn[rest] = (DrawnId){presences[i].id, i};
		columns[0][rest] = Int64GetDatum(presences[i].id);
		columns[1][rest] = PointerGetDatum(presences[i].member.user_id);
		columns[2][rest] = PointerGetDatum(presences[i].member.book_id);
		columns[3][rest] = BoolGetDatum(presences[i].is_author);
		columns[4][rest] = PointerGetDatum(presences[i].user_info);
		rest++;
	}
	values[0] = store_bigint_array(columns[0], rest);
	values[1] = store_text_array(columns[1], rest);
	values[2] = store_text_array(columns[2], rest);
	values[3] = store_bool_array(columns[3], rest);
	values[4] = store_jsonb_array(columns[4], rest);
	qsort(drawn, rest, sizeof(DrawnId), compare_ids);
	return rest;
}

/* Those that are not inserted, if they can be; sets inserted[i] of those that were. */
static void
insert_by_statement(const Presence *presences, int n, bool *inserted)
{
	static Statement insert = {
		.sql = "INSERT INTO presence.room_presence AS p"
			   " (id, user_id, book_id, joined_at, last_active_at, is_author, user_info)"
			   " OVERRIDING SYSTEM VALUE"
			   " SELECT d.id, d.user_id, d.book_id, $6, $6, d.is_author, d.user_info"
			   " FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"
			   " pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))"
			   " AS d(id, user_id, book_id, is_author, user_info)"
			   " ON CONFLICT DO NOTHING RETURNING p.id",
		.args = "aTTBJz",
		.columns = "i"};
	DrawnId *drawn = palloc(sizeof(DrawnId) * n);
	Datum values[6];
	int rest = rest_arrays(presences, n, inserted, values, drawn);
	uint64 nrows;

	values[5] = TimestampTzGetDatum(presences[0].joined_at);
	nrows = store_execute(&insert, values, NULL);
	for (uint64 i = 0; i < nrows; i++)
	{
		DrawnId key = {0};
		DrawnId *found;
		Datum id[1];
		bool isnull[1];

		store_row(SPI_tuptable, i, id, isnull);
		key.id = DatumGetInt64(store_datum(id, isnull, 0));
		found = bsearch(&key, drawn, rest, sizeof(DrawnId), compare_ids);
		if (found == NULL)
			store_broken("A row has another id than it was given.");
		inserted[found->position] = true;
	}
}

void
presences_insert(Presence *presences, int n, bool *inserted)
{
	Oid sequence;
	RowWriter writer;
	int done = 0;

	memset(inserted, 0, sizeof(bool) * n);
	(void) store_lock_relation("room_presence", RowExclusiveLock); /* with all that belongs to it */
	sequence = store_relation("room_presence_id_seq");
	for (int i = 0; i < n; i++)
		presences[i].id = nextval_internal(sequence, false);
	if (n > 0 && open_writer(&writer))
	{
		/* in their order, also when one has to be waited for: else two batches could wait crosswise
		 */
		while (done < n && insert_row(&writer, &presences[done]))
			inserted[done++] = true;
		row_writer_close(&writer);
	}
	if (done < n)
		insert_by_statement(presences, n, inserted);
}

bool
presence_insert(Presence *presence)
{
	bool inserted;

	presences_insert(presence, 1, &inserted);
	return inserted;
}

void
presences_advance_ids(void)
{
	static Statement advance = {
		.sql = "SELECT pg_catalog.setval("
			   "'presence.room_presence_id_seq'::pg_catalog.regclass, m.id)"
			   " FROM (SELECT pg_catalog.max(p.id) AS id FROM presence.room_presence AS p) AS m"
			   " WHERE m.id OPERATOR(pg_catalog.>) (SELECT s.last_value"
			   " FROM presence.room_presence_id_seq AS s)",
		.args = "",
		.columns = "i"};

	store_execute(&advance, NULL, NULL); /* no row: drawing, or somebody else, has passed them */
}

void
presence_update(const Presence *presence)
{
	static Statement update = {
		.sql = "UPDATE presence.room_presence AS p SET is_author = $3, user_info = $4"
			   " WHERE p.user_id OPERATOR(pg_catalog.=) $1 AND p.book_id OPERATOR(pg_catalog.=) $2"
			   " AND p.left_at IS NULL",
		.args = "ttbj",
		.columns = ""};
	Datum values[] = {PointerGetDatum(presence->member.user_id),
					  PointerGetDatum(presence->member.book_id), BoolGetDatum(presence->is_author),
					  PointerGetDatum(presence->user_info)};

	store_execute(&update, values, presence->user_info ? NULL : "   n");
}

typedef enum CloseResult
{
	CLOSED,
	NOT_THERE,
	LEFT_TO_STATEMENT
} CloseResult;

/* What a number of rows is closed with. */
typedef struct Closing
{
	RowWriter writer;
	TupleTableSlot *found;
	Snapshot snapshot;
	BlockNumber nblocks;
	bool wait;
} Closing;

/* The table may have been written anew since, with less in it, or something else in a row's place.
 */
static bool
find_row(const Closing *closing, const Ending *ending)
{
	Relation table = closing->writer.table;
	ItemPointerData row = ending->row;

	return (ItemPointerIsValid(&row) && ItemPointerGetBlockNumber(&row) < closing->nblocks &&
			presence_row_at(table, row, ending->member, closing->snapshot, closing->found)) ||
		   presence_row_find(table, NoLock, ending->member, closing->snapshot, closing->found);
}

static CloseResult
close_row(Closing *closing, const Ending *ending, Presence *closed)
{
	TupleTableSlot *found = closing->found;
	TupleTableSlot *row = row_writer_new(&closing->writer);
	Datum *values = row->tts_values;

	if (!find_row(closing, ending))
		return NOT_THERE;
	presence_from_slot(found, ending->member, closed);
	closed->open = false;
	closed->left_at = Max(ending->left_at, closed->joined_at);
	closed->last_active_at = Max(ending->last_active_at, closed->last_active_at);
	closed->leave_reason = ending->reason;

	memcpy(values, found->tts_values, sizeof(Datum) * NUM_COLUMNS);
	memcpy(row->tts_isnull, found->tts_isnull, sizeof(bool) * NUM_COLUMNS);
	values[COLUMN_LAST_ACTIVE_AT] = TimestampTzGetDatum(closed->last_active_at);
	values[COLUMN_LEFT_AT] = TimestampTzGetDatum(closed->left_at);
	values[COLUMN_LEAVE_REASON] = CStringGetTextDatum(ending->reason);
	row->tts_isnull[COLUMN_LEFT_AT] = row->tts_isnull[COLUMN_LEAVE_REASON] = false;
	return row_writer_update(&closing->writer, &found->tts_tid, closing->snapshot, closing->wait)
			   ? CLOSED
			   : LEFT_TO_STATEMENT;
}

/*
 * Closes endings from the first on, up to one that a statement has to decide, which is waited for
 * (of those after it none may be locked before); returns how many were looked at.
 */
static int
close_rows(const Ending *endings, int n, bool skip_locked, Presences *closed)
{
	Closing closing = {.wait = !skip_locked};
	int done = 0;

	if (!open_writer(&closing.writer))
		return 0;
	closing.found = table_slot_create(closing.writer.table, NULL);
	closing.snapshot = RegisterSnapshot(GetLatestSnapshot());
	closing.nblocks = RelationGetNumberOfBlocks(closing.writer.table);
	for (; done < n; done++)
	{
		CloseResult result = close_row(&closing, &endings[done], &closed->list[closed->n]);

		if (result == LEFT_TO_STATEMENT)
			break;
		closed->n += result == CLOSED;
	}
	UnregisterSnapshot(closing.snapshot);
	ExecDropSingleTupleTableSlot(closing.found);
	row_writer_close(&closing.writer);
	return done;
}

/* Each row is looked up by itself (LIMIT), however many the planner takes to be open. */
#define CLOSE(lock)                                                                                \
	"UPDATE presence.room_presence AS p"                                                           \
	" SET left_at = GREATEST(d.left_at, p.joined_at), leave_reason = d.reason,"                    \
	" last_active_at = GREATEST(d.last_active_at, p.last_active_at)"                               \
	" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2),"                               \
	" pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))"                        \
	" AS d(user_id, book_id, left_at, reason, last_active_at)"                                     \
	" CROSS JOIN LATERAL (SELECT o.ctid FROM presence.room_presence AS o"                          \
	" WHERE o.user_id OPERATOR(pg_catalog.=) d.user_id"                                            \
	" AND o.book_id OPERATOR(pg_catalog.=) d.book_id AND o.left_at IS NULL LIMIT 1 " lock ") AS l" \
	" WHERE p.ctid OPERATOR(pg_catalog.=) l.ctid RETURNING" PRESENCE_COLUMNS

static Presences
close_by_statement(const Ending *endings, int n, bool skip_locked)
{
	static Statement close = {
		.sql = CLOSE("FOR NO KEY UPDATE"), .args = "TTZTZ", .columns = PRESENCE_TYPES};
	static Statement close_free = {
		.sql = CLOSE("FOR NO KEY UPDATE SKIP LOCKED"), .args = "TTZTZ", .columns = PRESENCE_TYPES};
	Datum *columns[5];
	Datum values[5];

	for (int c = 0; c < 5; c++)
		columns[c] = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		columns[0][i] = PointerGetDatum(endings[i].member.user_id);
		columns[1][i] = PointerGetDatum(endings[i].member.book_id);
		columns[2][i] = TimestampTzGetDatum(endings[i].left_at);
		columns[3][i] = CStringGetTextDatum(endings[i].reason);
		columns[4][i] = TimestampTzGetDatum(endings[i].last_active_at);
	}
	values[0] = store_text_array(columns[0], n);
	values[1] = store_text_array(columns[1], n);
	values[2] = store_timestamptz_array(columns[2], n);
	values[3] = store_text_array(columns[3], n);
	values[4] = store_timestamptz_array(columns[4], n);
	return presences_from_result(store_execute(skip_locked ? &close_free : &close, values, NULL));
}

/* Of what was closed, the stays in rooms of channels: those have no history. */
static void
forget_stays_in_channels(const Presences *closed)
{
	static Statement forget = {
		.sql = "DELETE FROM presence.room_presence AS p"
			   " USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(book_id, id)"
			   " WHERE p.book_id OPERATOR(pg_catalog.=) d.book_id"
			   " AND p.id OPERATOR(pg_catalog.=) d.id",
		.args = "Ta",
		.columns = ""};
	Datum *book_ids = palloc(sizeof(Datum) * Max(closed->n, 1));
	Datum *ids = palloc(sizeof(Datum) * Max(closed->n, 1));
	Datum values[2];
	int n = 0;

	for (int i = 0; i < closed->n; i++)
	{
		if (!is_channel_room(closed->list[i].member.book_id))
			continue;
		book_ids[n] = PointerGetDatum(closed->list[i].member.book_id);
		ids[n++] = Int64GetDatum(closed->list[i].id);
	}
	if (n == 0)
		return;
	values[0] = store_text_array(book_ids, n);
	values[1] = store_bigint_array(ids, n);
	store_execute(&forget, values, NULL);
}

Presences
presences_close(const Ending *endings, int n, bool skip_locked)
{
	Presences closed = {
		.list = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Presence) * Max(n, 1))};
	int done = close_rows(endings, n, skip_locked, &closed);

	if (done < n)
	{
		Presences rest = close_by_statement(&endings[done], n - done, skip_locked);

		memcpy(&closed.list[closed.n], rest.list, sizeof(Presence) * rest.n);
		closed.n += rest.n;
	}
	forget_stays_in_channels(&closed);
	return closed;
}

bool
presence_close(const Ending *ending, Presence *closed)
{
	Presences presences = presences_close(ending, 1, false);

	if (presences.n == 0)
		return false;
	*closed = presences.list[0];
	return true;
}
