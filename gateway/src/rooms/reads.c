/*
 * reads.c
 *	  Reads of rooms: ROOMS_A_READ in a call; a large answer is taken in over several turns.
 */
#include "rooms/reads.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "database/database.h"
#include "rooms/changes.h"
#include "rooms/room.h"

#define ROOMS_A_READ 50
#define ROWS_A_TURN  1000

/* A read under way. Rooms that are freed or have to be read again point to another one. */
typedef struct Read
{
	int nrooms;
	char *book_ids[ROOMS_A_READ];
	unsigned number;
	PGresult *result;         /* that is being taken in */
	int row;                  /* that is next */
	int nready;               /* rooms that are done with it */
	struct Read *prev, *next; /* of those that have come */
} Read;

/* To be sent to one database. */
typedef struct Gathered
{
	Read *read;
	Buf book_ids;
} Gathered;

static Read *arrived;
static Gathered all_gathered[MAX_DATABASES];

static void
free_read(void *arg)
{
	Read *read = arg;

	for (int i = 0; i < read->nrooms; i++)
		free(read->book_ids[i]);
	PQclear(read->result);
	free(read);
}

/* The rooms of a read that still wait for this one. */
static Room *
still_reading(const Read *read, const char *book_id)
{
	Room *room = room_find(bytes_of(book_id));

	return room && room->reading == read ? room : NULL;
}

static void
read_failed(Read *read, const PGresult *result)
{
	log_line(LOG_ERROR, "rooms can't be read: %s", PQresultErrorMessage(result));
	for (int i = 0; i < read->nrooms; i++)
	{
		Room *room = still_reading(read, read->book_ids[i]);

		if (!room) /* not again before something else happens to it: no busy loop */
			continue;
		room_read_failed(room);
	}
	free_read(read);
}

static void
rooms_read(const PGresult *result, bool ok, void *arg)
{
	Read *read = arg;

	if (!ok)
	{
		read_failed(read, result);
		return;
	}
	read->result = database_keep(result);
	DL_APPEND(arrived, read);
}

static void
take_row(const Read *read, int i)
{
	const PGresult *result = read->result;
	Room *room = still_reading(read, PQgetvalue(result, i, 1));
	MemberRow row = {.presence_id = strtoll(PQgetvalue(result, i, 0), NULL, 10),
					 .user_id = PQgetvalue(result, i, 2),
					 .user_info = PQgetisnull(result, i, 3) ? NULL : PQgetvalue(result, i, 3),
					 .is_author = *PQgetvalue(result, i, 4) == 't'};

	if (room)
		change_read(&room->members, room->channels, &row, read->number);
}

bool
reads_busy(void)
{
	return arrived != NULL;
}

/* Rooms of which all rows are in; each costs what its list does. Returns what is left. */
static int
make_ready(Read *read, int left)
{
	for (; read->nready < read->nrooms && left > 0; read->nready++)
	{
		Room *room = still_reading(read, read->book_ids[read->nready]);

		if (!room)
			continue;
		left -= 1 + (int) members_count(&room->members);
		room_become_ready(room, read->number);
	}
	return left;
}

/* A part of what has come. */
static void
take_in(void)
{
	int left = ROWS_A_TURN;

	while (arrived && left > 0)
	{
		Read *read = arrived;
		int rows = PQntuples(read->result);

		for (; read->row < rows && left > 0; left--)
			take_row(read, read->row++);
		if (read->row == rows)
			left = make_ready(read, left);
		if (read->row < rows || read->nready < read->nrooms)
			return;
		DL_DELETE(arrived, read);
		free_read(read);
	}
}

/* Its connection is gone, alone: the rooms are read on the next one. */
static void
read_forgotten(void *arg)
{
	Read *read = arg;

	for (int i = 0; i < read->nrooms; i++)
	{
		Room *room = still_reading(read, read->book_ids[i]);

		if (!room)
			continue;
		room_read_failed(room);
		room_want(room);
	}
	free_read(read);
}

static void
send_read(Database *database)
{
	Gathered *gathered = &all_gathered[database->number];
	const char *values[1];
	Read *read = gathered->read;

	gathered->read = NULL;
	buf_addc(&gathered->book_ids, '}');
	values[0] = gathered->book_ids.data;
	database_ask(database, STATEMENT_READ, values, rooms_read, read_forgotten, read);
	buf_free(&gathered->book_ids);
}

static void
add_room(Room *room)
{
	Gathered *gathered = &all_gathered[room->database->number];
	Read *read = gathered->read;

	if (!read)
	{
		read = gathered->read = xcalloc(1, sizeof(Read));
		read->number = rooms_next_read();
		buf_addc(&gathered->book_ids, '{');
	}
	room_begin_read(room, read, read->number);
	read->book_ids[read->nrooms++] = xstrdup(room->book_id);
	buf_add_element(&gathered->book_ids, bytes_of(room->book_id));
	if (read->nrooms == ROOMS_A_READ)
		send_read(room->database);
}

void
reads_flush(void)
{
	take_in();
	if (!rooms_begin_reads(add_room))
		return;
	for (Database *database = HOME; database; database = database_next(database))
		if (all_gathered[database->number].read)
			send_read(database);
}
