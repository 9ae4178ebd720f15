/*
 * join.h
 *	  Joins of seats, many in one call of join_rooms.
 */
#ifndef GATEWAY_JOIN_H
#define GATEWAY_JOIN_H

#include "rooms/room.h"

typedef struct JoinEvents
{
	/* The database took it. False: somebody else has ended the presence meanwhile. */
	bool (*joined)(Seat *seat, int64_t handle, const MemberRow *row);
	/* All of its call have joined: the client can be given the list. */
	void (*all_joined)(Seat *seat);
	/* The database refuses this one, and will again. */
	void (*refused)(Seat *seat, const char *why);
	/* The room is on another node of its cluster. */
	void (*elsewhere)(Seat *seat, const char *why);
	/* The seat went while it joined. */
	void (*orphaned)(Database *database, int64_t handle);
} JoinEvents;

extern const JoinEvents *join_events;

/* The seat is to be joined; it has no join yet, and it is known on which database. */
extern void join_want(Seat *seat);

/* The database is back: the seat is to be joined before rooms are read. */
extern void join_again_after_loss(Seat *seat);

/* The seat goes. */
extern void join_cancel(Seat *seat);

/* Whether those of join_again_after_loss() are done there, but for what somebody's transaction
 * holds. */
extern bool joins_all_again(const Database *database);

/* Sends a call, if it is time; at the end of each turn of the loop. */
extern void joins_flush(void);

#endif /* GATEWAY_JOIN_H */
