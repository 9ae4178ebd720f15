/*
 * row_writer.h
 *	  Writes rows of a table by its access methods, without a statement.
 *
 * Only into a table that is plain: no trigger, rule, child, policy for its owner, or generated
 * column is passed over. Where this refuses a table or a row, a statement has to be used.
 */
#ifndef PRESENCE_ROW_WRITER_H
#define PRESENCE_ROW_WRITER_H

#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct RowWriter
{
	Relation table;      /* locked until the end of the transaction */
	TupleTableSlot *row; /* the values to write: row_writer_new() */
} RowWriter;

extern void row_writer_init(void);

/*
 * Opens a table, which is locked, of ncolumns columns, whose updates change a set of them
 * (numbers from 1, of who asks first). False, and nothing is open: the table is not plain, or is
 * being written right now.
 */
extern bool row_writer_open(RowWriter *writer, Oid table, int ncolumns, const int *updated);

/* A row to fill in, tts_values and tts_isnull, all of them. */
extern TupleTableSlot *row_writer_new(RowWriter *writer);

/* Inserts it. False, and nothing is written: it would be, or may become, a second one of a key. */
extern bool row_writer_insert(RowWriter *writer);

/*
 * Replaces the row at tid, which the snapshot sees, by it. wait: for who has it locked. False,
 * and nothing is written: somebody changed it since, or has it locked.
 */
extern bool row_writer_update(RowWriter *writer, ItemPointer tid, Snapshot snapshot, bool wait);

/* What was written is seen by what comes next. */
extern void row_writer_close(RowWriter *writer);

#endif /* PRESENCE_ROW_WRITER_H */
