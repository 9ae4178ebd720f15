/*
 * event.c
 *	  Notifications of the extension: which are true, and which concern a room here.
 */
#include "rooms/event.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "rooms/room.h"
#include "rooms/watchlist.h"

#define MAC_LEN   32
#define MAC_TAIL  (sizeof(",\"mac\":\"\"}") - 1 + MAC_LEN)
#define WINDOW    4096 /* numbers that may come out of order */
#define RESYNC_MS 1000

void (*event_on_apps)(void);

/* Of one database: which of the last numbers have come. */
typedef struct Numbers
{
	uint64_t seen[WINDOW / 64];
	int64_t greatest; /* 0: none yet */
	bool resync_wanted;
	int64_t resynced_at; /* ms */
} Numbers;

static Numbers all[MAX_DATABASES];

/*
 * Is it true?
 */

/* ...,"mac":"9f86d081884c7d659a2feaa0c55ad015"} */
bool
event_is_genuine(Bytes key, Bytes payload)
{
	char expected[SIGNATURE_HEX_LEN + 1];
	unsigned char differs = 0;
	Bytes covered = {payload.data, payload.len - MAC_TAIL};
	const char *tail;

	if (payload.len <= MAC_TAIL)
		return false;
	tail = payload.data + covered.len;
	if (memcmp(tail, ",\"mac\":\"", 8) != 0 ||
		memcmp(payload.data + payload.len - 2, "\"}", 2) != 0)
		return false;
	if (!signature_hmac(key, &covered, 1, expected))
		return false;
	for (int i = 0; i < MAC_LEN; i++)
		differs |= (unsigned char) (expected[i] ^ tail[8 + i]);
	return differs == 0;
}

static bool
has_come(const Numbers *numbers, int64_t seq)
{
	return numbers->seen[(seq % WINDOW) / 64] >> (seq % 64) & 1;
}

/* False: the number came before, or is too old to know. */
static bool
is_new(Numbers *numbers, int64_t seq)
{
	uint64_t *seen = numbers->seen;
	int64_t greatest = numbers->greatest;

	if (seq <= 0 || (greatest && seq <= greatest - WINDOW))
		return false;
	if (seq <= greatest && has_come(numbers, seq))
		return false;
	if (!greatest || seq - greatest >= WINDOW)
		memset(seen, 0, sizeof(numbers->seen));
	else
		for (int64_t n = greatest + 1; n < seq; n++)
			seen[(n % WINDOW) / 64] &= ~(UINT64_C(1) << (n % 64));
	seen[(seq % WINDOW) / 64] |= UINT64_C(1) << (seq % 64);
	if (seq > greatest)
		numbers->greatest = seq;
	return true;
}

static void
refuse(const char *why)
{
	metrics.events_refused++;
	log_line(LOG_WARNING, "a notification that is not the database's was ignored: %s", why);
}

/* The event, if it is to be believed; the caller's. */
static json_t *
believed(const Database *database, Bytes payload)
{
	const Bytes key = {(const char *) database->event_key, EVENT_KEY_SIZE};
	json_t *json;

	if (database->has_event_key && !event_is_genuine(key, payload))
	{
		refuse("its mac is wrong");
		return NULL;
	}
	json = json_parse(payload);
	if (json_is_object(json) &&
		(!database->has_event_key ||
		 is_new(&all[database->number], json_integer_value(json_object_get(json, "seq")))))
		return json;
	refuse("it is no event, or came before");
	json_decref(json);
	return NULL;
}

void
events_restart(const Database *database)
{
	Numbers *numbers = &all[database->number];

	numbers->greatest = 0;
	memset(numbers->seen, 0, sizeof(numbers->seen));
}

/*
 * What it says
 */

/* What follows a text that must stand there; NULL: it does not. */
static const char *
behind(const char *at, const char *end, Bytes text)
{
	if (!at || (size_t) (end - at) < text.len || memcmp(at, text.data, text.len) != 0)
		return NULL;
	return at + text.len;
}

/* To the next quote; no name of a room, a channel or an event has one in it, or a backslash. */
static const char *
quote_after(const char *at, const char *end)
{
	return at ? memchr(at, '"', (size_t) (end - at)) : NULL;
}

/* As the database writes it: {"event":"member_added","seq":17,"channel":"...","book_id":"... */
Bytes
event_book_id(Bytes payload)
{
	const char *end = payload.data + payload.len;
	const char *at = behind(payload.data, end, BYTES("{\"event\":\"member_"));
	const char *quote;

	at = behind(quote_after(at, end), end, BYTES("\",\"seq\":"));
	while (at && at < end && *at >= '0' && *at <= '9')
		at++;
	at = behind(at, end, BYTES(",\"channel\":\""));
	at = behind(quote_after(at, end), end, BYTES("\",\"book_id\":\""));
	quote = quote_after(at, end);
	return quote ? (Bytes){at, (size_t) (quote - at)} : (Bytes){0};
}

/* What stands behind the book_id, escaped as it may be. */
static Bytes
user_id_after(Bytes payload, Bytes book_id)
{
	const char *end = payload.data + payload.len;
	const char *at = behind(book_id.data + book_id.len, end, BYTES("\",\"user_id\":\""));
	const char *quote = quote_after(at, end);

	return quote ? (Bytes){at, (size_t) (quote - at)} : (Bytes){"", 0};
}

/* Whether the event is about somebody who is watched. */
static bool
is_watched(Bytes payload, Bytes book_id)
{
	Bytes user_id;
	json_t *json;
	bool watched;

	if (metrics.watched == 0)
		return false;
	user_id = user_id_after(payload, book_id);
	if (!memchr(user_id.data, '\\', user_id.len))
		return watchlist_concerns(user_id, book_id);
	json = json_parse(payload);
	watched = json_get_bytes(json, "user_id", &user_id) && watchlist_concerns(user_id, book_id);
	json_decref(json);
	return watched;
}

static bool
is_member_event(const json_t *json)
{
	const char *event = json_string_value(json_object_get(json, "event"));

	return event &&
		   (strcmp(event, "member_added") == 0 || strcmp(event, "member_updated") == 0 ||
			strcmp(event, "member_removed") == 0) &&
		   json_is_string(json_object_get(json, "user_id")) &&
		   json_is_integer(json_object_get(json, "presence_id"));
}

static void
take_member_event(const Database *database, Bytes payload, Bytes book_id)
{
	Room *room = room_find(book_id);
	json_t *json;
	Bytes name;

	if (room && room->database != database) /* it has moved, and ends there */
		room = NULL;
	if (!room && !is_watched(payload, book_id))
	{
		metrics.events_elsewhere++;
		return;
	}
	json = believed(database, payload);
	if (json && is_member_event(json) && json_get_bytes(json, "book_id", &name) &&
		(!room || bytes_equal(name, bytes_of(room->book_id))))
	{
		if (room)
			room_event(room, json);
		watchlist_event(json);
	}
	else if (json)
		refuse("it is no member event");
	json_decref(json);
}

static void
take_other_event(const Database *database, Bytes payload)
{
	json_t *json = believed(database, payload);
	const char *event = json_string_value(json_object_get(json, "event"));

	if (!event)
		;
	else if (strcmp(event, "resync") == 0)
		all[database->number].resync_wanted = true;
	else if (strcmp(event, "apps") == 0)
	{
		databases_refresh();
		if (event_on_apps)
			event_on_apps();
	}
	else
		refuse("there is no such event");
	json_decref(json);
}

void
event_notified(Database *database, const char *text)
{
	Bytes payload = bytes_of(text);
	Bytes book_id = event_book_id(payload);

	if (book_id.data)
		take_member_event(database, payload, book_id);
	else if (bytes_start_with(payload, BYTES("{\"event\":")))
		take_other_event(database, payload);
	else
		refuse("it is no event");
}

static void
resync(const Database *database)
{
	Numbers *numbers = &all[database->number];
	int64_t now = now_ms();

	if (numbers->resynced_at + RESYNC_MS > now)
	{
		database_wake_in((int) (numbers->resynced_at + RESYNC_MS - now));
		return;
	}
	numbers->resync_wanted = false;
	numbers->resynced_at = now;
	metrics.resyncs++;
	log_line(LOG_INFO, "events were lost, all rooms are read again");
	watchlist_unsure();
	rooms_unread(database);
	rooms_want_all(database);
}

void
events_flush(void)
{
	for (const Database *database = HOME; database; database = database_next(database))
		if (all[database->number].resync_wanted)
			resync(database);
}
