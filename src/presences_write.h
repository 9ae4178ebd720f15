/*
 * presences_write.h
 *	  The table presence.room_presence: what inserts, changes and closes its rows.
 *
 * All functions are called with the store open, and by who has locked the members
 * (connections.h). What is returned is in SPI's memory until the store is closed.
 */
#ifndef PRESENCE_PRESENCES_WRITE_H
#define PRESENCE_PRESENCES_WRITE_H

#include "presence_rows.h"

/* How a presence ends. */
typedef struct Ending
{
	MemberKey member;
	ItemPointerData row; /* where it may be, or invalid */
	TimestampTz left_at;
	TimestampTz last_active_at;
	const char *reason; /* left, timeout */
} Ending;

/* Inserts an open presence, whose id it sets; false if there is one. */
extern bool presence_insert(Presence *presence);

/* The same for many; sets inserted[i]. No two are of the same member. */
extern void presences_insert(Presence *presences, int n, bool *inserted);

/*
 * After an insert that found neither room nor presence: the sequence of ids lags behind rows that
 * were copied in, and is moved behind them.
 */
extern void presences_advance_ids(void);

/* Writes is_author and user_info. */
extern void presence_update(const Presence *presence);

/* Closes the open presence of a member; false if there is none. */
extern bool presence_close(const Ending *ending, Presence *closed);

/* The same for many. skip_locked: but those whose rows another transaction holds locked. */
extern Presences presences_close(const Ending *endings, int n, bool skip_locked);

#endif /* PRESENCE_PRESENCES_WRITE_H */
