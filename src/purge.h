/*
 * purge.h
 *	  The worker's part that deletes history.
 */
#ifndef PRESENCE_PURGE_H
#define PRESENCE_PURGE_H

#include "postgres.h"

/*
 * Deletes some of what ended longer ago than presence.history_retention, in transactions of its
 * own. Returns the microseconds to wait for the next call by presence.purge_rate; 0: there is no
 * more.
 */
extern int64 purge_run(void);

#endif /* PRESENCE_PURGE_H */
