/*
 * waits.h
 *	  How long connections may wait for something, and who makes room.
 */
#ifndef GATEWAY_WAITS_H
#define GATEWAY_WAITS_H

#include "transport/conn.h"

/* Ends those whose time is over; twice a second. */
extern void conns_tick(void);

/* Closes the one that has waited longest for a request, if any did for a second. */
extern bool conns_evict(void);

/* Ends those that have no request under way: no more will come. */
extern void conns_end_idle(void);

#endif /* GATEWAY_WAITS_H */
