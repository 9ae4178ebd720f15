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
#include "rooms/room.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "rooms/changes.h"
#include "rooms/list.h"
#include "rooms/tell.h"

/* An event about a presence, that came while a join was under way. */
typedef struct Change
{
	int64_t presence_id;
	bool removed; /* by the application */
} Change;

typedef struct KeptEvent
{
	struct KeptEvent *next;
	struct KeptEvent *prev;
	json_t *json;
} KeptEvent;

void (*room_on_ready)(Room *room);
void (*room_on_ended)(Room *room, const char *user_id, int64_t presence_id, const char *reason);

static Room *rooms;
static unsigned nstale[MAX_DATABASES]; /* rooms that were read once and have to be again */
static bool degraded[MAX_DATABASES];
static bool any_wanted;
static Room *unsure;
static unsigned reads;

Room *
room_find(Bytes book_id)
{
	Room *room;

	HASH_FIND(hh, rooms, book_id.data, book_id.len, room);
	return room;
}

/* What its clients are told. Without home there is nobody to say that it moves, and no bus. */
static bool
is_degraded(const Room *room)
{
	return degraded[0] || (room->database && degraded[room->database->number]);
}

Room *
room_of(Channel *channel, Bytes book_id)
{
	Room *room = room_find(book_id);

	if (!room)
	{
		room = xcalloc(1, sizeof(Room) + book_id.len + 1);
		memcpy(room->book_id, book_id.data, book_id.len);
		HASH_ADD(hh, rooms, book_id, book_id.len, room);
		metrics.rooms++;
		if (databases_several())
			room_doubt(room, 0);
		else
			room->database = HOME;
		room->degraded = is_degraded(room);
	}
	channel->room = room;
	DL_APPEND2(room->channels, channel, room_prev, room_next);
	return room;
}

static void
set_stale(Room *room, bool stale)
{
	if (room->database)
		nstale[room->database->number] += (unsigned) stale - (unsigned) room->stale;
	room->stale = stale && room->database;
}

bool
rooms_restored(const Database *database)
{
	return nstale[database->number] == 0;
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
be_sure(Room *room)
{
	if (room->unsure)
		DL_DELETE2(unsure, room, unsure_prev, unsure_next);
	room->unsure = false;
}

static void
free_if_unused(Room *room)
{
	if (room->channels || room->joining > 0)
		return;
	set_stale(room, false);
	be_sure(room);
	members_free(&room->members);
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

	list_forget(channel);
	members_forget_frames(&room->members);
	DL_DELETE2(room->channels, channel, room_prev, room_next);
	channel->room = NULL;
	free_if_unused(room);
}

const char *
room_user_info(const Room *room, const char *user_id)
{
	const Member *member = member_find(&room->members, user_id);

	return member ? member->user_info : NULL;
}

void
rooms_relist(void)
{
	const Channel *channel;

	for (Room *room = rooms; room; room = room->hh.next)
	{
		lists_consider(room->channels, &room->members);
		DL_FOREACH2(room->channels, channel, room_next)
		{
			list_changed(channel);
		}
	}
}

static void
tell_if_degraded(Room *room)
{
	if (room->degraded == is_degraded(room))
		return;
	room->degraded = !room->degraded;
	tell_all(room->channels,
			 room->degraded ? BYTES("presence:degraded") : BYTES("presence:restored"));
}

void
rooms_degrade(const Database *database, bool is)
{
	degraded[database->number] = is;
	for (Room *room = rooms; room; room = room->hh.next)
		tell_if_degraded(room);
}

bool
rooms_degraded(const Database *database)
{
	return degraded[database->number];
}

/*
 * Where they are
 */

void
room_doubt(Room *room, int ms)
{
	room->ask_at = ms ? now_ms() + ms : 0;
	if (ms)
		database_wake_in(ms);
	if (room->unsure)
		return;
	room->unsure = true;
	DL_APPEND2(unsure, room, unsure_prev, unsure_next);
}

void
rooms_doubt_all(void)
{
	for (Room *room = rooms; room; room = room->hh.next)
		room_doubt(room, 0);
}

Room *
rooms_take_unsure(void)
{
	int64_t now = unsure ? now_ms() : 0;
	Room *room;

	DL_FOREACH2(unsure, room, unsure_next)
	{
		if (room->ask_at > now)
			continue;
		be_sure(room);
		return room;
	}
	return NULL;
}

static void
unread(Room *room)
{
	set_stale(room, room->stale || room->state == ROOM_READY);
	room->state = ROOM_UNREAD;
	room->reading = NULL;
	room->wanted = false;
	forget_kept(room);
}

void
room_place(Room *room, Database *database)
{
	bool was_known;

	unread(room);
	was_known = room->stale;
	set_stale(room, false);
	room->database = database;
	set_stale(room, was_known);
	tell_if_degraded(room);
}

/*
 * Joins
 */

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

/* What came of that presence last; NULL: nothing. */
static const Change *
find_change(const Room *room, int64_t presence_id)
{
	for (size_t i = room->nchanged; i > 0; i--)
		if (room->changed[i - 1].presence_id == presence_id)
			return &room->changed[i - 1];
	return NULL;
}

static const char *
event_text(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

static bool
is_removal(const json_t *event)
{
	return strcmp(event_text(event, "event"), "member_removed") == 0;
}

/* Whether an event that waits for the end of the read ends that presence, and how. */
static RoomJoined
by_kept(const Room *room, int64_t presence_id)
{
	const KeptEvent *kept;

	DL_FOREACH(room->kept, kept)
	{
		if (json_integer_value(json_object_get(kept->json, "presence_id")) == presence_id &&
			is_removal(kept->json))
			return strcmp(event_text(kept->json, "reason"), "removed") == 0 ? ROOM_REMOVED
																			: ROOM_ENDED;
	}
	return ROOM_HELD;
}

RoomJoined
room_joined(Room *room, const MemberRow *row)
{
	Member *member = member_find(&room->members, row->user_id);
	const Change *change = find_change(room, row->presence_id);
	RoomJoined ended = by_kept(room, row->presence_id);

	if (change && change->removed)
		return ROOM_REMOVED;
	if (room->state == ROOM_UNREAD || ended != ROOM_HELD)
		return ended;
	if (change)
		return member && member->presence_id == row->presence_id ? ROOM_HELD : ROOM_ENDED;
	/* Whether the read under way has it or not, it is here. */
	change_read(&room->members, room->channels, row, room->reading ? room->read_number : reads);
	return ROOM_HELD;
}

bool
room_can_answer(const Room *room)
{
	return room->state == ROOM_READY || (room->state == ROOM_READING && room->stale);
}

/*
 * Events
 */

static void
note_change(Room *room, int64_t presence_id, bool removed)
{
	if (room->joining == 0)
		return;
	room->changed = xrealloc(room->changed, sizeof(Change) * (room->nchanged + 1));
	room->changed[room->nchanged++] = (Change){presence_id, removed};
}

/* What an end means to the user's seats, however much is known of the room. */
static void
tell_end(Room *room, const json_t *json)
{
	const char *reason = event_text(json, "reason");
	int64_t presence_id = json_integer_value(json_object_get(json, "presence_id"));

	if (!is_removal(json))
		return;
	note_change(room, presence_id, strcmp(reason, "removed") == 0);
	room_on_ended(room, event_text(json, "user_id"), presence_id, reason);
}

/* A stay of a user who is known with another one is over already: events of one user are in order.
 */
static void
apply(Room *room, const json_t *json)
{
	const char *event = event_text(json, "event");
	const json_t *info = json_object_get(json, "user_info");
	MemberRow row = {.presence_id = json_integer_value(json_object_get(json, "presence_id")),
					 .user_id = json_string_value(json_object_get(json, "user_id")),
					 .is_author = json_is_true(json_object_get(json, "is_author"))};
	Member *member = member_find(&room->members, row.user_id);
	bool known = member && member->presence_id == row.presence_id;
	Buf text = {0};

	if (json_is_object(info))
		json_add(&text, info);
	row.user_info = text.data;
	if (strcmp(event, "member_added") == 0 && !member)
		change_added(&room->members, room->channels, &row);
	else if (strcmp(event, "member_updated") == 0)
	{
		note_change(room, row.presence_id, false);
		if (known)
			change_updated(&room->members, room->channels, member, &row);
	}
	else if (is_removal(json) && known)
		change_removed(&room->members, room->channels, member);
	buf_free(&text);
}

void
room_event(Room *room, json_t *event)
{
	metrics.member_events++;
	tell_end(room, event);
	if (room->state == ROOM_READING)
	{
		KeptEvent *kept = xcalloc(1, sizeof(KeptEvent));

		kept->json = json_incref(event);
		DL_APPEND(room->kept, kept);
	}
	else if (room->state == ROOM_READY)
		apply(room, event);
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
rooms_want_all(const Database *database)
{
	for (Room *room = rooms; room; room = room->hh.next)
		if (room->database == database)
			room_want(room);
}

void
rooms_unread(const Database *database)
{
	for (Room *room = rooms; room; room = room->hh.next)
		if (room->database == database)
			unread(room);
}

void
room_become_ready(Room *room, unsigned number)
{
	KeptEvent *kept;

	changes_end_read(&room->members, room->channels, number);
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

/*
 * For reads.c
 */

bool
rooms_begin_reads(void (*each)(Room *room))
{
	bool any = any_wanted;

	any_wanted = false;
	for (Room *room = any ? rooms : NULL; room; room = room->hh.next)
		if (room->wanted && room->database && database_connected(room->database))
			each(room);
	return any;
}

unsigned
rooms_next_read(void)
{
	return ++reads;
}

void
room_begin_read(Room *room, struct Read *read, unsigned number)
{
	room->wanted = false;
	room->reading = read;
	room->read_number = number;
	room->state = ROOM_READING;
}

void
room_read_failed(Room *room)
{
	room->state = ROOM_UNREAD;
	room->reading = NULL;
	forget_kept(room);
}
