/*
 * room.h
 *	  Rooms with a subscriber here, and their members as the database has them.
 *
 * A room's members are read when its first subscriber has joined, and kept by events
 * from then on. Every change of the list goes to the subscribers: what a client
 * was given first and what it heard since always add up to the list here.
 */
#ifndef GATEWAY_ROOM_H
#define GATEWAY_ROOM_H

#include "database/database.h"
#include "rooms/channel.h"
#include "rooms/members.h"

typedef enum RoomState
{
	ROOM_UNREAD, /* not read since the database was connected; the members are old or none */
	ROOM_READING,
	ROOM_READY
} RoomState;

typedef struct Room
{
	Database *database;  /* where it is; NULL: that is not known yet */
	bool unsure;         /* it may be on another one: that is to be asked (place.c), */
	int64_t ask_at;      /* not before (ms) */
	bool degraded;       /* as its clients were told */
	int64_t unplaced_at; /* ms; since when no database has its node; 0: one has */
	Channel *channels;   /* that show it: one for each app, and one of those who watch */
	Members members;
	RoomState state;
	unsigned read_number;   /* of the read that members were last seen by */
	bool wanted;            /* to be read in this turn of the loop */
	bool stale;             /* was ready once, and is not */
	struct Read *reading;   /* the read whose answer counts */
	unsigned joining;       /* joins under way; they keep the room in memory */
	struct Change *changed; /* presences of which events came meanwhile */
	size_t nchanged;
	struct KeptEvent *kept; /* what came while reading */
	struct Room *unsure_prev, *unsure_next;
	UT_hash_handle hh;
	char book_id[];
} Room;

/* The room of a new channel, made if it is not there. */
extern Room *room_of(Channel *channel, Bytes book_id);

/* NULL: nobody here is in it. */
extern Room *room_find(Bytes book_id);

/* The channel goes: with the last one, the room. */
extern void room_leave(Channel *channel);

/* A join of this room is sent; its answer came (the room may go with the last one). */
extern void room_join_begins(Room *room);
extern void room_join_ends(Room *room);

typedef enum RoomJoined
{
	ROOM_HELD,
	ROOM_ENDED,  /* since, somehow: join again */
	ROOM_REMOVED /* since, by the application */
} RoomJoined;

/* What a join answered. In a room that is not read yet it does nothing: the read will have it. */
extern RoomJoined room_joined(Room *room, const MemberRow *row);

/* Whether a client can be given the list: it is right, or was so and is being read again. */
extern bool room_can_answer(const Room *room);

/* An event of the extension about that room, which is one. */
extern void room_event(Room *room, json_t *event);

/* Reads the room, if that is not done or asked for. */
extern void room_want(Room *room);

/* Calls for each room that is wanted; false: none is. Then what reads.c tells of a read. */
extern bool rooms_begin_reads(void (*each)(Room *room));
extern unsigned rooms_next_read(void);
extern void room_begin_read(Room *room, struct Read *read, unsigned number);
extern void room_read_failed(Room *room);
extern void room_become_ready(Room *room, unsigned number);

/* All rooms of a database have to be read again: after a reconnect, after a resync. */
extern void rooms_unread(const Database *database);
extern void rooms_want_all(const Database *database);

/* Whether the rooms of a database that had been read once are read again. */
extern bool rooms_restored(const Database *database);

/* Says on which databases nothing gets through; rooms there, and all if it is home, are told. */
extern void rooms_degrade(const Database *database, bool degraded);
extern bool rooms_degraded(const Database *database);

/* It is not known any more where a room is; where all are. It is asked in so many ms. */
extern void room_doubt(Room *room, int ms);
extern void rooms_doubt_all(void);

/* One whose place is to be asked now, which is in doubt no more; NULL: there is none. */
extern Room *rooms_take_unsure(void);

/* It is there from now on, unread; NULL: nowhere. No seat of it may have a join or a handle. */
extern void room_place(Room *room, Database *database);

/* Apps may list more members or fewer than before. */
extern void rooms_relist(void);

/* What a member's user_info is now; NULL if there is none, or no such member. */
extern const char *room_user_info(const Room *room, const char *user_id);

/* Called when a room has been read: its seats can be answered (seat.c). */
extern void (*room_on_ready)(Room *room);

/* Called when a presence has ended, whether the room is read or not; reason: as in the event. */
extern void (*room_on_ended)(Room *room, const char *user_id, int64_t presence_id,
							 const char *reason);

#endif /* GATEWAY_ROOM_H */
