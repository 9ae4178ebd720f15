/*
 * seat.h
 *	  A socket's place in a room: taken, joined, answered, left.
 */
#ifndef GATEWAY_SEAT_H
#define GATEWAY_SEAT_H

#include "rooms/room.h"

/*
 * Gives a subscription to a room's channel its seat; takes the strings of the member. False: he
 * came too often, and there is no seat.
 */
extern bool seat_take(Subscription *subscription, Bytes book_id, char *user_id, char *user_info);

/* The subscription ends; at_once: by the client's own wish. */
extern void seat_leave(Seat *seat, bool at_once);

/*
 * The room is on that database from now on: its seats join there, and are dropped where they were.
 * NULL: on none; its seats end with an error.
 */
extern void seats_place(Room *room, Database *database);

/* Sends what was gathered, if it is time; at the end of each turn of the loop. */
extern void seats_flush(void);

/* What has to be tried again, and heartbeats; twice a second. */
extern void seats_tick(void);

/* Once at the start. */
extern void seats_init(void);

#endif /* GATEWAY_SEAT_H */
