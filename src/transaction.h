/*
 * transaction.h
 *	  The worker's transactions.
 */
#ifndef PRESENCE_TRANSACTION_H
#define PRESENCE_TRANSACTION_H

#include "postgres.h"

/* What the process does, for pg_stat_activity; a literal. */
extern void transaction_begin(const char *activity);
extern void transaction_end(void);

/* Waits until what the transactions above have committed is on disk. */
extern void transaction_flush(void);

/*
 * In a transaction: whether the extension is there, and kept from being dropped until its end.
 * *busy: somebody is about to drop it.
 */
extern bool transaction_has_extension(bool *busy);

#endif /* PRESENCE_TRANSACTION_H */
