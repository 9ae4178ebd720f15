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

#include <uthash.h>

#include "channel.h"

typedef struct Member
{
	int64_t presence_id;
	char *user_info; /* compact JSON, or NULL */
	bool is_author;
	bool seen; /* by the read that is being taken in */
	UT_hash_handle hh;
	char user_id[];
} Member;

/* A member as the database tells of one. */
typedef struct MemberRow
{
	int64_t presence_id;
	const char *user_id;
	const char *user_info; /* JSON, or NULL */
	bool is_author;
} MemberRow;

typedef enum RoomState
{
	ROOM_UNREAD, /* not read since the database was connected; the members are old or none */
	ROOM_READING,
	ROOM_READY
} RoomState;

typedef struct Room
{
	Channel *channels; /* that show it: one for each app */
	Member *members;
	RoomState state;
	bool wanted;          /* to be read in this turn of the loop */
	bool stale;           /* was ready once, and is not */
	struct Read *reading; /* the read whose answer counts */
	unsigned joining;     /* joins under way; they keep the room in memory */
	int64_t *changed;     /* presences of which events came meanwhile */
	size_t nchanged;
	struct KeptEvent *kept; /* events that came while reading */
	Frame *list;            /* the answer to a subscriber, while nothing changes */
	UT_hash_handle hh;
	char book_id[];
} Room;

/* The room of a new channel, made if it is not there. */
extern Room *room_of(Channel *channel, Bytes book_id);

/* The channel goes: with the last one, the room. */
extern void room_leave(Channel *channel);

/* A join of this room is sent; its answer came (the room may go with the last one). */
extern void room_join_begins(Room *room);
extern void room_join_ends(Room *room);

/*
 * What a join answered. False: this presence has ended since, join again.
 * In a room that is not read yet it does nothing: the read will have it.
 */
extern bool room_joined(Room *room, const MemberRow *row);

/* An event of the extension. */
extern void room_event(const char *payload);

/* Reads the room, if that is not done or asked for. */
extern void room_want(Room *room);

/* Asks the database for the rooms that are wanted; at the end of each turn of the loop. */
extern void rooms_flush(void);

/* All rooms have to be read again: after a reconnect, after a resync. */
extern void rooms_unread(void);
extern void rooms_want_all(void);

/* Whether the rooms that had been read once are read again. */
extern bool rooms_restored(void);

/* What a subscriber is answered: the list. The reference is the room's. */
extern Frame *room_list(Room *room);

/* An event without data, to all subscribers of all rooms. */
extern void rooms_tell(Bytes event);

/* What a member's user_info is now; NULL if there is none, or no such member. */
extern const char *room_user_info(const Room *room, const char *user_id);

/* Called when a room has been read: its seats can be answered (seat.c). */
extern void (*room_on_ready)(Room *room);

#endif /* GATEWAY_ROOM_H */
