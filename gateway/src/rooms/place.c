/*
 * place.c
 *	  On which database a room is, where a cluster spreads rooms over several.
 *
 * Home knows the node of each room; each database knows what its own node is called. One call at a
 * time asks for many rooms. A room is asked for when it is new here, when its node refuses it, and
 * when home says that rooms have moved.
 */
#include "rooms/place.h"

#include <stdlib.h>

#include "base/log.h"
#include "rooms/seat.h"

#define ROOMS_A_CALL 1000
#define RETRY_MS     1000
#define PATIENCE_MS  10000 /* a node that no database is of: it may be new, and be learned yet */

/* What was asked. */
typedef struct Question
{
	int n;
	char *book_ids[ROOMS_A_CALL];
} Question;

static bool asking;

static void
free_question(Question *question)
{
	for (int i = 0; i < question->n; i++)
		free(question->book_ids[i]);
	free(question);
}

/* None of ours is that node; not yet, maybe. */
static void
not_found(Room *room, const char *node)
{
	int64_t now = now_ms();

	if (!room->unplaced_at)
		room->unplaced_at = now;
	databases_refresh();
	room_doubt(room, RETRY_MS);
	if (room->unplaced_at + PATIENCE_MS > now)
		return;
	room->unplaced_at = now;
	log_line(LOG_ERROR, "room %s is on node %s, which no --database is of", room->book_id, node);
	seats_place(room, NULL);
}

/* node: NULL where rooms are not spread. */
static void
found(Room *room, const char *node)
{
	Database *database = node ? database_of_node(node) : HOME;

	if (!database)
	{
		not_found(room, node);
		return;
	}
	room->unplaced_at = 0;
	if (database != room->database)
		seats_place(room, database);
}

/*
 * Asking
 */

/* Once more, later. */
static void
forgotten(void *arg)
{
	Question *question = arg;

	asking = false;
	for (int i = 0; i < question->n; i++)
	{
		Room *room = room_find(bytes_of(question->book_ids[i]));

		if (room)
			room_doubt(room, RETRY_MS);
	}
	free_question(question);
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	if (!ok)
	{
		log_line(LOG_ERROR, "where rooms are can't be asked: %s", PQresultErrorMessage(result));
		forgotten(arg);
		return;
	}
	asking = false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		Room *room = room_find(bytes_of(PQgetvalue(result, i, 0)));

		if (room)
			found(room, PQgetisnull(result, i, 1) ? NULL : PQgetvalue(result, i, 1));
	}
	free_question(arg);
}

static void
ask(void)
{
	Question *question = NULL;
	Buf book_ids = {0};
	const Room *room;

	while ((!question || question->n < ROOMS_A_CALL) && (room = rooms_take_unsure()))
	{
		if (!question)
		{
			question = xcalloc(1, sizeof(Question));
			buf_addc(&book_ids, '{');
		}
		question->book_ids[question->n++] = xstrdup(room->book_id);
		buf_add_element(&book_ids, bytes_of(room->book_id));
	}
	if (!question)
		return;
	buf_addc(&book_ids, '}');
	asking = true;
	database_ask(HOME, STATEMENT_NODES, (const char *const[]){book_ids.data}, answered, forgotten,
				 question);
	buf_free(&book_ids);
}

static void
place_at_home(void)
{
	Room *room;

	while ((room = rooms_take_unsure()))
		found(room, NULL);
}

void
places_flush(void)
{
	if (!databases_several() ||
		(database_connected(HOME) && !database_knows(HOME, STATEMENT_NODES)))
		place_at_home();
	else if (database_connected(HOME) && !asking)
		ask();
}
