/*
 * cache_write.c
 *	  Cache channels: the last event of each goes to the database.
 *
 * One call is under way at a time, for all that was gathered meanwhile. What can't be written
 * while the database is away is bounded, and what is over that is not kept.
 */
#include "rooms/cache_write.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "database/database.h"

#define MAX_GATHERED  (4 * 1024 * 1024)
#define MAX_A_CALL    100
#define TRIES         3
#define RETRY_MS      250
#define PURGE_EACH_MS 60000

enum
{
	APP_ID,
	CHANNEL,
	MESSAGE,
	COLUMNS
};

/* An event that is to be written, and the texts of it. */
typedef struct Write
{
	CacheEvent event; /* its bytes are in text */
	unsigned long long number;
	size_t size;
	struct Write *prev, *next;
	char text[];
} Write;

typedef struct Waiter
{
	unsigned long long number; /* up to this all must be written */
	void (*call)(void *arg);
	void *arg;
	struct Waiter *prev, *next;
} Waiter;

void (*cache_on_written)(const CacheEvent *event);

static Write *writes;
static size_t gathered; /* bytes of all writes */
static unsigned long long last_number;
static unsigned long long in_flight; /* the last one of the call under way; 0: none is */
static int tries;
static int64_t retry_at;
static Waiter *waiters;
static int64_t purged_at;

static Bytes
copy_to(char **at, Bytes bytes)
{
	Bytes copy = {*at, bytes.len};

	if (bytes.len)
		memcpy(*at, bytes.data, bytes.len);
	*at += bytes.len;
	return copy;
}

static uint64_t
own_id(void)
{
	static uint64_t id;

	while (id == 0)
		id = random_u64();
	return id;
}

void
cache_write(const CacheEvent *event)
{
	size_t size = event->channel.len + event->event.len + event->data.len + event->except.len;
	Write *write;
	char *at;

	if (!database_knows(HOME, STATEMENT_CACHE) || gathered + size > MAX_GATHERED)
	{
		metrics.cache_lost++;
		cache_on_written(event);
		return;
	}
	write = xcalloc(1, sizeof(Write) + size);
	at = write->text;
	write->event.app = event->app;
	write->event.channel = copy_to(&at, event->channel);
	write->event.event = copy_to(&at, event->event);
	write->event.data = copy_to(&at, event->data);
	write->event.except = copy_to(&at, event->except);
	write->number = ++last_number;
	write->event.stamp = (CacheStamp){own_id(), (int64_t) write->number};
	write->size = size;
	gathered += size;
	DL_APPEND(writes, write);
}

void
cache_when_written(void (*call)(void *arg), void *arg)
{
	Waiter *waiter;

	if (!writes)
	{
		call(arg);
		return;
	}
	waiter = xcalloc(1, sizeof(Waiter));
	*waiter = (Waiter){.number = last_number, .call = call, .arg = arg};
	DL_APPEND(waiters, waiter);
}

static void
written_up_to(unsigned long long number)
{
	while (writes && writes->number <= number)
	{
		Write *write = writes;

		DL_DELETE(writes, write);
		gathered -= write->size;
		cache_on_written(&write->event);
		free(write);
	}
	while (waiters && waiters->number <= number)
	{
		Waiter *waiter = waiters;

		DL_DELETE(waiters, waiter);
		waiter->call(waiter->arg);
		free(waiter);
	}
}

static void
write_answered(const PGresult *result, bool ok, void *arg)
{
	unsigned long long number = in_flight;

	(void) arg;
	in_flight = 0;
	if (!ok && ++tries < TRIES)
	{
		retry_at = now_ms() + RETRY_MS;
		return;
	}
	if (!ok)
	{
		metrics.cache_lost++;
		log_line(LOG_ERROR, "events can't be kept: %s", PQresultErrorMessage(result));
	}
	tries = 0;
	written_up_to(number);
}

/* The connection was lost: once more, on the next one. */
static void
write_forgotten(void *arg)
{
	(void) arg;
	in_flight = 0;
	retry_at = now_ms() + RETRY_MS;
}

static void
add_message(Buf *array, const CacheEvent *event)
{
	json_t *message = json_pack(
		"{s:o, s:o, s:I, s:I}", "event", json_stringn(event->event.data, event->event.len), "data",
		json_stringn(event->data.data, event->data.len), "by", (json_int_t) event->stamp.by,
		"number", (json_int_t) event->stamp.number);
	char *text = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);

	buf_add_element(array, bytes_of(text ? text : "{}"));
	free(text);
	json_decref(message);
}

static void
send_writes(void)
{
	Buf columns[COLUMNS] = {{0}};
	const char *values[COLUMNS];
	const Write *write;
	int n = 0;

	for (int i = 0; i < COLUMNS; i++)
		buf_addc(&columns[i], '{');
	DL_FOREACH(writes, write)
	{
		buf_add_element(&columns[APP_ID], bytes_of(write->event.app->id));
		buf_add_element(&columns[CHANNEL], write->event.channel);
		add_message(&columns[MESSAGE], &write->event);
		in_flight = write->number;
		if (++n == MAX_A_CALL)
			break;
	}
	for (int i = 0; i < COLUMNS; i++)
	{
		buf_addc(&columns[i], '}');
		values[i] = columns[i].data;
	}
	database_ask(HOME, STATEMENT_CACHE, values, write_answered, write_forgotten, NULL);
	for (int i = 0; i < COLUMNS; i++)
		buf_free(&columns[i]);
}

bool
cache_is_sent(void)
{
	return !writes || in_flight == last_number;
}

void
cache_writes_flush(void)
{
	if (!writes || in_flight || !database_connected(HOME))
		return;
	if (retry_at > now_ms())
		database_wake_in((int) (retry_at - now_ms()));
	else
		send_writes();
}

static void
purged(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
		log_line(LOG_ERROR, "cached events can't be purged: %s", PQresultErrorMessage(result));
}

void
cache_tick(void)
{
	int64_t now = now_ms();

	if (!database_knows(HOME, STATEMENT_PURGE_CACHE) || !database_connected(HOME) ||
		now - purged_at < PURGE_EACH_MS)
		return;
	purged_at = now;
	database_ask(HOME, STATEMENT_PURGE_CACHE, NULL, purged, NULL, NULL);
}
