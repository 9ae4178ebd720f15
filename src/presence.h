/*
 * presence.h
 *	  What every file of the extension shares: the settings and the clock.
 */
#ifndef PRESENCE_H
#define PRESENCE_H

#include "access/xact.h"
#include "fmgr.h"
#include "utils/timestamp.h"

/* Settings; documented where they are defined, in presence.c. */
extern int presence_timeout; /* ms */
extern int presence_linger;  /* ms */
extern char *presence_channel_prefix;
extern char *presence_channel;
extern bool presence_notify;
extern int presence_pusher_max_members;
extern int presence_history_retention; /* s */
extern int presence_event_queue_size;  /* kB */

/*
 * The time of what a call does: the start of the client's statement. Outside
 * a transaction block that is now(). Inside one, now() would count a lease from
 * the transaction's start and could date a leave before the join it ends.
 */
static inline TimestampTz
presence_now(void)
{
	return GetCurrentStatementStartTimestamp();
}

#endif /* PRESENCE_H */
