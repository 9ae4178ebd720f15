/*
 * batch.h
 *	  The worker's batches: one bad row among many does not keep the others from being done.
 */
#ifndef PRESENCE_BATCH_H
#define PRESENCE_BATCH_H

#include "postgres.h"

/* Does some of the items, in a transaction of its own; may raise. */
typedef void (*BatchFunction)(void *items, int from, int n);

/* Takes note of one that can't be done. */
typedef void (*BatchSetAside)(void *items, int at, const ErrorData *error);

/* Whether an error says more of the server (a full disk, a cancelled statement) than of an item. */
extern bool batch_error_is_of_server(const ErrorData *error);

/*
 * Does n items. What fails is halved until the items are found that fail by themselves; those are
 * set aside. If several have failed, an error that says more of the server is raised.
 */
extern void batch_do(void *items, int n, BatchFunction function, BatchSetAside set_aside);

#endif /* PRESENCE_BATCH_H */
