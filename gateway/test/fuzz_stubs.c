/*
 * fuzz_stubs.c
 *	  What rooms/event.c calls beside its parsers: nothing here.
 */
#include "database/database.h"
#include "rooms/room.h"
#include "rooms/watchlist.h"

Database databases[MAX_DATABASES];

Database *
database_next(const Database *database)
{
	(void) database;
	return NULL;
}

Room *
room_find(Bytes book_id)
{
	(void) book_id;
	return NULL;
}

void
room_event(Room *room, json_t *event)
{
	(void) room;
	(void) event;
}

void
rooms_unread(const Database *database)
{
	(void) database;
}

void
rooms_want_all(const Database *database)
{
	(void) database;
}

void
databases_refresh(void)
{
}

void
database_wake_in(int ms)
{
	(void) ms;
}

bool
watchlist_concerns(Bytes user_id, Bytes book_id)
{
	(void) user_id;
	(void) book_id;
	return true;
}

void
watchlist_event(const json_t *event)
{
	(void) event;
}

void
watchlist_unsure(void)
{
}
