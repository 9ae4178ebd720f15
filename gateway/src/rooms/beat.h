/*
 * beat.h
 *	  Heartbeats: one call keeps the connections of thousands of seats alive.
 */
#ifndef GATEWAY_BEAT_H
#define GATEWAY_BEAT_H

#include "rooms/room.h"

/* Called for a seat whose connection the database does not know: it has none now. */
extern void (*beat_on_lost)(Seat *seat);

/* The handle of the connection that a seat has from now on; 0: none. alive_at: until when the one
 * before was there at least. */
extern void beat_hold(Seat *seat, int64_t handle, int lease_ms);

/* A heartbeat for all, if it is time: a third of the shortest lease after the last. */
extern void beats_tick(void);

/* That database is there again: the next one is a third of a lease from now. */
extern void beats_start(const Database *database);

#endif /* GATEWAY_BEAT_H */
