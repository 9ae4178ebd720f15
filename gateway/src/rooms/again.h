/*
 * again.h
 *	  Seats that are joined again: the database was away, or has forgotten their connection.
 *
 * A lease that ended is joined again, and so is what a crash lost. What the application has ended
 * is not: leave_room of all, forget_user, a deleted book. Which it was, an event tells; events may
 * be lost, so before a seat is joined again the database is asked how its presence ended.
 */
#ifndef GATEWAY_AGAIN_H
#define GATEWAY_AGAIN_H

#include "rooms/room.h"

/* Called for a seat that is not to be joined again: the application has ended its presence. */
extern void (*again_on_removed)(Seat *seat);

/* A seat has no connection any more. */
extern void again_want(Seat *seat);

/* The seat goes. */
extern void again_cancel(Seat *seat);

/* At the end of each turn of the loop; twice a second. */
extern void again_flush(void);
extern void again_tick(void);

/* A seat could not be joined, and is to be tried later. */
extern void again_later(Seat *seat);

/* That database is there again: all join, then all its rooms are read. */
extern void seats_rejoin(const Database *database);

/* Whether that is done. */
extern bool seats_restored(const Database *database);

/* It is back, and not all of them have joined again. */
extern bool seats_rejoining(const Database *database);

#endif /* GATEWAY_AGAIN_H */
