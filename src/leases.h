/*
 * leases.h
 *	  For the worker: which leases end when, without reading them all.
 *
 * The functions are called with the store open but where it is said.
 */
#ifndef PRESENCE_LEASES_H
#define PRESENCE_LEASES_H

#include "utils/timestamp.h"

#include "shared.h"

/* Makes the memory of beats, and loads it as soon as it can; again, if it is stale. */
extern void leases_look(DatabaseSlot *slot);

/* Ends what has expired, a batch; true if there may be more. */
extern bool leases_expire(TimestampTz now);

/* After the commit of leases_expire, without the store: what of its batch is still to be ended. */
extern void leases_settle(void);

/* When the next lease ends, at the earliest; PG_INT64_MAX if there is none. */
extern TimestampTz leases_next(void);

/* Writes a batch of heartbeats into the tables, for who reads those; true if there are more. */
extern bool leases_write(void);

/* After the commit of leases_write, without the store. */
extern void leases_written(void);

/* Without the store: forgets the versions of rooms where nothing has happened for an hour. */
extern void leases_forget_rooms(TimestampTz now);

#endif /* PRESENCE_LEASES_H */
