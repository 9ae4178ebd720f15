/*
 * settings.h
 *	  What every file of the extension shares: the settings and the clocks.
 */
#ifndef PRESENCE_SETTINGS_H
#define PRESENCE_SETTINGS_H

#include "access/xact.h"
#include "fmgr.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

/* That of the SQL objects the library is made for. */
#define PRESENCE_VERSION "0.3"

/* Settings; documented where they are defined, in settings.c. */
extern int presence_timeout; /* ms */
extern int presence_linger;  /* ms */
extern char *presence_channel_prefix;
extern char *presence_channel;
extern bool presence_notify;
extern int presence_pusher_max_members;
extern int presence_history_retention; /* s */
extern int presence_purge_rate;        /* rows a second */
extern int presence_event_queue_size;  /* kB */
extern int presence_memory_limit;      /* kB */
extern int presence_max_databases;
extern bool presence_moved_rooms;

extern void settings_define(void);

/* A commit that comes later after its join than this has the lease count from the commit. */
#define SLOW_COMMIT (100 * 1000) /* microseconds */

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

/* Microseconds by a clock that nobody sets, the same in all processes of this host. */
static inline int64
presence_monotonic(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

#endif /* PRESENCE_SETTINGS_H */
