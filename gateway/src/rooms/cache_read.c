/*
 * cache_read.c
 *	  Cache channels: who subscribes gets the last event, from the database.
 *
 * Reads go over the connection of the writes, so they see all that was written here before. One
 * is under way at a time: a thousand clients that come back to one channel are one read. It is of
 * the subscriptions that were there when it was sent (ASKED); who comes later waits for the next
 * one, since he may have missed what that one did not see.
 */
#include "rooms/cache_read.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"
#include "base/log.h"
#include "database/database.h"
#include "rooms/cache_write.h"

#define MAX_A_CALL 100
#define RETRY_MS   250

/* Of a subscription, in its cache. */
enum
{
	NOT_WAITING,
	WANTED,
	ASKED,
	ANSWERED /* by an event of the channel's cache_by, of that number */
};

void (*cache_on_miss)(Channel *channel);

static Channel *wanting; /* those with somebody who waits */
static bool reading;
static int64_t retry_at;

bool
is_cache_channel(Bytes name)
{
	static const char *const prefixes[] = {"cache-", "private-cache-", "presence-cache-",
										   "private-encrypted-cache-"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (bytes_start_with(name, bytes_of(prefixes[i])))
			return true;
	return false;
}

static void
set_wanting(Channel *channel, bool now)
{
	if (channel->cache_waits == now)
		return;
	channel->cache_waits = now;
	if (now)
		DL_APPEND2(wanting, channel, cache_prev, cache_next);
	else
		DL_DELETE2(wanting, channel, cache_prev, cache_next);
}

static void
forget_channel(Channel *channel)
{
	set_wanting(channel, false);
}

void
cache_want(Subscription *subscription)
{
	Channel *channel = subscription->channel;

	if (!database_knows(HOME, STATEMENT_CACHED) || !is_cache_channel(channel_name(channel)))
		return;
	subscription->cache = WANTED;
	set_wanting(channel, true);
}

void
cache_passed(Channel *channel)
{
	Subscription *subscription;

	if (!channel->cache_waits)
		return;
	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->cache != ANSWERED)
			subscription->cache = NOT_WAITING;
	}
	set_wanting(channel, false);
}

/* Whether that event, or a later one, was what it was answered with; numbers may wrap around. */
static bool
has_read(const Subscription *subscription, CacheStamp stamp)
{
	return subscription->cache == ANSWERED &&
		   (int32_t) ((uint32_t) stamp.number - subscription->cache_number) <= 0;
}

void
cache_send(Channel *channel, Frame *frame, Bytes except, CacheStamp stamp)
{
	bool may_be_old = stamp.by != 0 && stamp.by == channel->cache_by;
	Subscription *subscription;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->active && !(may_be_old && has_read(subscription, stamp)) &&
			!(except.len && bytes_equal(bytes_of(subscription->socket->id), except)))
			socket_send(subscription->socket, frame);
	}
}

static bool
has_asked(const Channel *channel)
{
	const Subscription *subscription;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->cache == ASKED)
			return true;
	}
	return false;
}

/*
 * Those that asked get the frame. Whose last event another gateway wrote is not told apart any
 * more.
 */
static void
answer(Channel *channel, Frame *frame, CacheStamp stamp)
{
	Subscription *subscription;
	bool more = false;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->cache == ANSWERED && channel->cache_by != stamp.by)
			subscription->cache = NOT_WAITING;
		if (subscription->cache == ASKED)
		{
			subscription->cache = stamp.by ? ANSWERED : NOT_WAITING;
			subscription->cache_number = (uint32_t) stamp.number;
			socket_send(subscription->socket, frame);
		}
		more = more || subscription->cache == WANTED;
	}
	frame_unref(frame);
	channel->cache_by = stamp.by;
	set_wanting(channel, more);
}

static CacheStamp
stamp_of(const json_t *message)
{
	return (CacheStamp){(uint64_t) json_integer_value(json_object_get(message, "by")),
						json_integer_value(json_object_get(message, "number"))};
}

static void
answer_event(Channel *channel, const char *text)
{
	json_t *message = json_parse(bytes_of(text));
	Bytes event = {0};
	Bytes data = {0};

	json_get_bytes(message, "event", &event);
	json_get_bytes(message, "data", &data);
	answer(channel, frame_event(event, channel_name(channel), data), stamp_of(message));
	json_decref(message);
}

static void
answer_misses(void)
{
	Channel *channel;
	Channel *next;

	DL_FOREACH_SAFE2(wanting, channel, next, cache_next)
	{
		if (!has_asked(channel))
			continue;
		answer(channel, frame_event(BYTES("pusher:cache_miss"), channel_name(channel), (Bytes){0}),
			   (CacheStamp){0});
		if (cache_on_miss)
			cache_on_miss(channel);
	}
}

/* Who asked and was not answered asks again. */
static void
ask_again(void)
{
	Channel *channel;
	Subscription *subscription;

	reading = false;
	retry_at = now_ms() + RETRY_MS;
	DL_FOREACH2(wanting, channel, cache_next)
	{
		DL_FOREACH(channel->subscriptions, subscription)
		{
			if (subscription->cache == ASKED)
				subscription->cache = WANTED;
		}
	}
}

static void
read_answered(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
	{
		log_line(LOG_ERROR, "cached events can't be read: %s", PQresultErrorMessage(result));
		ask_again();
		return;
	}
	reading = false;
	for (int i = 0; i < PQntuples(result); i++)
	{
		const App *app = app_by_id(bytes_of(PQgetvalue(result, i, 0)));
		Channel *channel = app ? channel_find(app, bytes_of(PQgetvalue(result, i, 1))) : NULL;

		if (channel && channel->cache_waits && has_asked(channel))
			answer_event(channel, PQgetvalue(result, i, 2));
	}
	answer_misses();
}

static void
read_forgotten(void *arg)
{
	(void) arg;
	ask_again();
}

static bool
marks_asked(Channel *channel)
{
	Subscription *subscription;
	bool any = false;

	DL_FOREACH(channel->subscriptions, subscription)
	{
		if (subscription->cache != WANTED)
			continue;
		subscription->cache = ASKED;
		any = true;
	}
	return any;
}

/* Asks for the last events of channels, whose names and apps these arrays are. */
static void
ask(Buf *app_ids, Buf *channels, PgAnswer answered, PgForgotten forgotten, void *arg)
{
	const char *values[2];

	buf_addc(app_ids, '}');
	buf_addc(channels, '}');
	values[0] = app_ids->data;
	values[1] = channels->data;
	database_ask(HOME, STATEMENT_CACHED, values, answered, forgotten, arg);
}

static void
add_channel(Buf *app_ids, Buf *channels, const App *app, Bytes name)
{
	if (app_ids->len == 0)
	{
		buf_addc(app_ids, '{');
		buf_addc(channels, '{');
	}
	buf_add_element(app_ids, bytes_of(app->id));
	buf_add_element(channels, name);
}

static void
send_read(void)
{
	Buf app_ids = {0};
	Buf channels = {0};
	Channel *channel;
	Channel *next;
	int n = 0;

	DL_FOREACH_SAFE2(wanting, channel, next, cache_next)
	{
		if (n == MAX_A_CALL)
			break;
		if (!marks_asked(channel)) /* all have gone */
			set_wanting(channel, false);
		else
			add_channel(&app_ids, &channels, channel->app, channel_name(channel));
		n++;
	}
	reading = app_ids.len > 0;
	if (reading)
		ask(&app_ids, &channels, read_answered, read_forgotten, NULL);
	buf_free(&app_ids);
	buf_free(&channels);
}

void
cache_reads_flush(void)
{
	if (!wanting || reading || !cache_is_sent() || !database_connected(HOME))
		return;
	if (retry_at > now_ms())
		database_wake_in((int) (retry_at - now_ms()));
	else
		send_read();
}

/*
 * For the HTTP API
 */

typedef struct LookUp
{
	CacheFound call;
	void *arg;
} LookUp;

void
cache_add_attribute(Buf *out, Bytes data, int ttl)
{
	buf_adds(out, "{\"data\":");
	json_add_string(out, data);
	buf_addf(out, ",\"ttl\":%d}", ttl);
}

static void
looked_up(const PGresult *result, bool ok, void *arg)
{
	LookUp it = *(LookUp *) arg;
	bool found = ok && PQntuples(result) == 1;
	json_t *message = found ? json_parse(bytes_of(PQgetvalue(result, 0, 2))) : NULL;
	Bytes data = {0};
	Buf json = {0};

	free(arg);
	if (message)
	{
		json_get_bytes(message, "data", &data);
		cache_add_attribute(&json, data, atoi(PQgetvalue(result, 0, 3)));
	}
	it.call(ok, json.data, it.arg);
	buf_free(&json);
	json_decref(message);
}

static void
look_up_forgotten(void *arg)
{
	LookUp it = *(LookUp *) arg;

	free(arg);
	it.call(false, NULL, it.arg);
}

void
cache_look_up(const App *app, Bytes channel, CacheFound call, void *arg)
{
	Buf app_ids = {0};
	Buf channels = {0};
	LookUp *it = xcalloc(1, sizeof(LookUp));

	*it = (LookUp){call, arg};
	add_channel(&app_ids, &channels, app, channel);
	ask(&app_ids, &channels, looked_up, look_up_forgotten, it);
	buf_free(&app_ids);
	buf_free(&channels);
}

void
cache_init(void)
{
	channel_on_free = forget_channel;
}
