/*
 * room.c
 *	  Rooms with a subscriber here, and their members as the database has them.
 *
 * What is known of a room comes from three sides: reads, events, and the answers to
 * joins. Reads and joins travel on one connection, so their answers are in the order in
 * which they were carried out; events come on the other one, earlier or later. Each says
 * which presence it tells of, so:
 *
 * - An event about what the read had already is recognized by its presence id, and does
 *   nothing. Those that come while reading are kept, and applied after.
 * - The answer to a join adds its member at once, without waiting for the event. Unless
 *   an event about that presence came while the join was under way (changed): that one
 *   is newer.
 */
#include "room.h"

#include <stdlib.h>
#include <utlist.h>

#include "database.h"
#include "json.h"
#include "log.h"
#include "member.h"
#include "metrics.h"
#include "room_tell.h"

#define ROOMS_A_READ 200

typedef struct KeptEvent
{
	struct KeptEvent *next;
	struct KeptEvent *prev;
	json_t *json;
} KeptEvent;

/* A read under way. Rooms that are freed or have to be read again point to another one. */
typedef struct Read
{
	int nrooms;
	char *book_ids[ROOMS_A_READ];
} Read;

void (*room_on_ready)(Room *room);

static Room *rooms;
static unsigned nstale; /* rooms that were read once and have to be again */
static bool any_wanted;

static Room *
find(Bytes book_id)
{
	Room *room;

	HASH_FIND(hh, rooms, book_id.data, book_id.len, room);
	return room;
}

Room *
room_of(Channel *channel, Bytes book_id)
{
	Room *room = find(book_id);

	if (!room)
	{
		room = xcalloc(1, sizeof(Room) + book_id.len + 1);
		memcpy(room->book_id, book_id.data, book_id.len);
		HASH_ADD(hh, rooms, book_id, book_id.len, room);
		metrics.rooms++;
	}
	channel->room = room;
	DL_APPEND2(room->channels, channel, room_prev, room_next);
	return room;
}

static void
set_stale(Room *room, bool stale)
{
	nstale += (unsigned) stale - (unsigned) room->stale;
	room->stale = stale;
}

bool
rooms_restored(void)
{
	return nstale == 0;
}

static void
forget_kept(Room *room)
{
	KeptEvent *kept;
	KeptEvent *next;

	DL_FOREACH_SAFE(room->kept, kept, next)
	{
		json_decref(kept->json);
		free(kept);
	}
	room->kept = NULL;
}

static void
free_if_unused(Room *room)
{
	if (room->channels || room->joining > 0)
		return;
	set_stale(room, false);
	members_free(room);
	forget_kept(room);
	free(room->changed);
	HASH_DEL(rooms, room);
	metrics.rooms--;
	free(room);
}

void
room_leave(Channel *channel)
{
	Room *room = channel->room;

	DL_DELETE2(room->channels, channel, room_prev, room_next);
	channel->room = NULL;
	free_if_unused(room);
}

void
room_join_begins(Room *room)
{
	room->joining++;
}

void
room_join_ends(Room *room)
{
	if (--room->joining == 0)
	{
		free(room->changed);
		room->changed = NULL;
		room->nchanged = 0;
	}
	free_if_unused(room);
}

bool
room_joined(Room *room, const MemberRow *row)
{
	const Member *member = member_find(room, row->user_id);

	if (room->state != ROOM_READY)
		return true;
	for (size_t i = 0; i < room->nchanged; i++)
		if (room->changed[i] == row->presence_id)
			return member && member->presence_id == row->presence_id;
	member_put(room, row);
	return true;
}

const char *
room_user_info(const Room *room, const char *user_id)
{
	const Member *member = member_find(room, user_id);

	return member ? member->user_info : NULL;
}

Frame *
room_list(Room *room)
{
	if (!room->list)
		room->list = room_list_frame(room);
	return room->list;
}

/*
 * Events
 */

static void
note_change(Room *room, int64_t presence_id)
{
	if (room->joining == 0)
		return;
	room->changed = xrealloc(room->changed, sizeof(int64_t) * (room->nchanged + 1));
	room->changed[room->nchanged++] = presence_id;
}

/* A stay of a user who is known with another one is over already: events of one user are in order.
 */
static void
apply(Room *room, const json_t *json)
{
	const char *event = json_string_value(json_object_get(json, "event"));
	const json_t *info = json_object_get(json, "user_info");
	MemberRow row = {.presence_id = json_integer_value(json_object_get(json, "presence_id")),
					 .user_id = json_string_value(json_object_get(json, "user_id")),
					 .is_author = json_is_true(json_object_get(json, "is_author"))};
	Member *member = member_find(room, row.user_id);
	bool known = member && member->presence_id == row.presence_id;
	Buf text = {0};

	if (json_is_object(info))
		json_add(&text, info);
	row.user_info = text.data;
	if (strcmp(event, "member_added") == 0 && !member)
		member_add(room, &row);
	else if (strcmp(event, "member_updated") == 0)
	{
		note_change(room, row.presence_id);
		if (known)
			member_update(room, member, &row);
	}
	else if (strcmp(event, "member_removed") == 0)
	{
		note_change(room, row.presence_id);
		if (known)
			member_remove(room, member);
	}
	buf_free(&text);
}

static bool
is_member_event(const json_t *json)
{
	const char *event = json_string_value(json_object_get(json, "event"));

	return event &&
		   (strcmp(event, "member_added") == 0 || strcmp(event, "member_updated") == 0 ||
			strcmp(event, "member_removed") == 0) &&
		   json_is_string(json_object_get(json, "book_id")) &&
		   json_is_string(json_object_get(json, "user_id")) &&
		   json_is_integer(json_object_get(json, "presence_id"));
}

void
room_event(const char *payload)
{
	json_t *json = json_parse(bytes_of(payload));
	Bytes book_id;
	Room *room;

	if (!is_member_event(json))
	{
		metrics.resyncs++;
		log_line(LOG_INFO, "events were lost, all rooms are read again");
		rooms_unread();
		rooms_want_all();
	}
	else if (json_get_bytes(json, "book_id", &book_id) && (room = find(book_id)))
	{
		metrics.member_events++;
		if (room->state == ROOM_READING)
		{
			KeptEvent *kept = xcalloc(1, sizeof(KeptEvent));

			kept->json = json_incref(json);
			DL_APPEND(room->kept, kept);
		}
		else if (room->state == ROOM_READY)
			apply(room, json);
	}
	json_decref(json);
}

/*
 * Reads
 */

void
room_want(Room *room)
{
	if (room->state == ROOM_UNREAD)
		room->wanted = any_wanted = true;
}

void
rooms_want_all(void)
{
	for (Room *room = rooms; room; room = room->hh.next)
		room_want(room);
}

void
rooms_unread(void)
{
	for (Room *room = rooms; room; room = room->hh.next)
	{
		set_stale(room, room->stale || room->state == ROOM_READY);
		room->state = ROOM_UNREAD;
		room->reading = NULL;
		room->wanted = false;
		forget_kept(room);
	}
}

static void
free_read(void *arg)
{
	Read *read = arg;

	for (int i = 0; i < read->nrooms; i++)
		free(read->book_ids[i]);
	free(read);
}

static void
become_ready(Room *room)
{
	KeptEvent *kept;

	members_end_read(room);
	room->reading = NULL;
	room->state = ROOM_READY;
	set_stale(room, false);
	DL_FOREACH(room->kept, kept)
	{
		apply(room, kept->json);
	}
	forget_kept(room);
	room_on_ready(room);
}

/* The rooms of a read that still wait for this one. */
static Room *
still_reading(const Read *read, const char *book_id)
{
	Room *room = find(bytes_of(book_id));

	return room && room->reading == read ? room : NULL;
}

static void
rooms_read(const PGresult *result, bool ok, void *arg)
{
	Read *read = arg;

	for (int i = 0; i < read->nrooms; i++)
	{
		Room *room = still_reading(read, read->book_ids[i]);

		if (room && ok)
			members_begin_read(room);
		else if (room) /* not again before something else happens to it: no busy loop */
		{
			room->state = ROOM_UNREAD;
			room->reading = NULL;
			forget_kept(room);
		}
	}
	if (!ok)
		log_line(LOG_ERROR, "rooms can't be read: %s", PQresultErrorMessage(result));
	for (int i = 0; ok && i < PQntuples(result); i++)
	{
		Room *room = still_reading(read, PQgetvalue(result, i, 1));
		MemberRow row = {.presence_id = strtoll(PQgetvalue(result, i, 0), NULL, 10),
						 .user_id = PQgetvalue(result, i, 2),
						 .user_info = PQgetisnull(result, i, 3) ? NULL : PQgetvalue(result, i, 3),
						 .is_author = *PQgetvalue(result, i, 4) == 't'};

		if (room)
			member_put(room, &row);
	}
	for (int i = 0; ok && i < read->nrooms; i++)
	{
		Room *room = still_reading(read, read->book_ids[i]);

		if (room)
			become_ready(room);
	}
	free_read(read);
}

static void
send_read(Read *read, Buf *book_ids)
{
	const char *values[1];

	buf_addc(book_ids, '}');
	values[0] = book_ids->data;
	database_ask(STATEMENT_READ, 1, values, rooms_read, free_read, read);
	buf_free(book_ids);
}

void
rooms_flush(void)
{
	Read *read = NULL;
	Buf book_ids = {0};

	if (!any_wanted)
		return;
	any_wanted = false;
	for (Room *room = rooms; room; room = room->hh.next)
	{
		if (!room->wanted)
			continue;
		if (!read)
		{
			read = xcalloc(1, sizeof(Read));
			buf_addc(&book_ids, '{');
		}
		room->wanted = false;
		room->reading = read;
		room->state = ROOM_READING;
		read->book_ids[read->nrooms++] = xstrdup(room->book_id);
		buf_add_element(&book_ids, bytes_of(room->book_id));
		if (read->nrooms == ROOMS_A_READ)
		{
			send_read(read, &book_ids);
			read = NULL;
		}
	}
	if (read)
		send_read(read, &book_ids);
}

void
rooms_tell(Bytes event)
{
	for (Room *room = rooms; room; room = room->hh.next)
		room_tell(room, event);
}
