/*
 * seat.h
 *	  A socket's place in a room: its connection in the database.
 *
 * Joins and drops are gathered and sent many at a time; one touch keeps all
 * of them alive. After the database was away all are joined again.
 */
#ifndef GATEWAY_SEAT_H
#define GATEWAY_SEAT_H

#include <uthash.h>

#include "channel.h"
#include "message.h"
#include "room.h"

struct Join;

typedef struct Seat
{
	Subscription *subscription;
	Room *room;
	char *user_id;
	char *user_info;   /* as this client knows it, or NULL */
	int64_t handle;    /* of the connection; 0: none */
	struct Join *join; /* under way, or NULL */
	int64_t asked_at;  /* us */
	bool answered;     /* the client has the list: it gets events */
	UT_hash_handle hh; /* by handle */
} Seat;

/* Gives a subscription to a room's channel its seat; takes the strings of the member. */
extern void seat_take(Subscription *subscription, Bytes book_id, const MemberData *member);

/* The subscription ends. */
extern void seat_leave(Seat *seat);

/* The user's info is now this one. True if the client did not know; it does from now on. */
extern bool seat_learns(Seat *seat, const char *user_info);

/* Sends what was gathered, if it is time; at the end of each turn of the loop. */
extern void seats_flush(void);

/* A heartbeat for all; a third of the lease apart. */
extern void seats_touch(void);

/* The database is there again: all join, then all rooms are read. */
extern void seats_rejoin(void);

/* Whether that is done. */
extern bool seats_restored(void);

/* Whether drops are still to be sent or answered. */
extern bool seats_dropping(void);

/* Once at the start. */
extern void seats_init(void);

/*
 * For join.c
 */

/* The handle of the connection that it has from now on; 0: none. */
extern void seat_hold(Seat *seat, int64_t handle);

/* A connection that nobody sits on any more is to be dropped. */
extern void seat_drop(int64_t handle);

/* Gives the client the list, if it has a connection and was not answered yet. */
extern void seat_answer(Seat *seat);

/* The database refuses this one, and will again. */
extern void seat_refuse(Seat *seat, const char *why);

#endif /* GATEWAY_SEAT_H */
