/*
 * join.h
 *	  Joins of seats, many in one call of join_rooms.
 */
#ifndef GATEWAY_JOIN_H
#define GATEWAY_JOIN_H

#include "seat.h"

/* The seat is to be joined; it has no join yet. again: it was, before the database went away. */
extern void join_want(Seat *seat, bool again);

/* The database is back: the seat is to be joined before rooms are read. */
extern void join_again_after_loss(Seat *seat);

/* The seat goes. */
extern void join_cancel(Seat *seat);

/* Whether those of join_again_after_loss() are done. */
extern bool joins_all_again(void);

/* Whether a call is to be sent now (drops go before it); sends it. */
extern bool joins_due(void);
extern void joins_send(void);

#endif /* GATEWAY_JOIN_H */
