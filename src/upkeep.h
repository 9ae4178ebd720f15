/*
 * upkeep.h
 *	  What keeps the tables in order, for the worker.
 */
#ifndef PRESENCE_UPKEEP_H
#define PRESENCE_UPKEEP_H

#include "utils/timestamp.h"

/*
 * Deletes, from some blocks on, history older than presence.history_retention.
 * Returns the block to go on with, 0 at the end of the table. The store must be open.
 */
extern uint32 upkeep_purge_blocks(uint32 block, TimestampTz now);

#endif /* PRESENCE_UPKEEP_H */
