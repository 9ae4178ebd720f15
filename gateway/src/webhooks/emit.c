/*
 * emit.c
 *	  Webhooks: events that only a gateway knows of, handed to the database.
 *
 * One call is under way at a time; what comes meanwhile is the next one. One that fails is made
 * again. What waits is bounded: while the database is away too much of it is dropped, and counted.
 */
#include "webhooks/emit.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "database/database.h"

#define MAX_BYTES (4 * 1024 * 1024)
#define MAX_BATCH 500
#define RETRY_MS  1000

typedef struct Emission
{
	App *app;
	const char *name; /* a literal */
	char *channel;
	char *event; /* JSON */
	size_t bytes;
	struct Emission *prev, *next;
} Emission;

static Emission *emissions;
static size_t bytes;
static int sent; /* the first ones, that are being handed over; 0: none */
static int64_t retry_at;

static json_t *
string_of(Bytes value)
{
	return json_stringn(value.data ? value.data : "", value.len);
}

/* Takes the event. */
static void
gather(App *app, const char *name, Bytes channel, json_t *event)
{
	Emission *it;
	char *text = json_dumps(event, JSON_COMPACT);
	size_t len = text ? strlen(text) + channel.len : 0;

	json_decref(event);
	if (len == 0 || bytes + len > MAX_BYTES)
	{
		metrics.webhook_dropped++;
		log_line(LOG_WARNING, "an event for webhooks is dropped: %zu bytes wait", bytes);
		free(text);
		return;
	}
	it = xcalloc(1, sizeof(Emission));
	*it = (Emission){.app = app, .name = name, .event = text, .bytes = len};
	it->channel = xstrndup(channel.data, channel.len);
	DL_APPEND(emissions, it);
	bytes += len;
}

void
webhook_client_event(App *app, Bytes channel, Bytes event, Bytes data, Bytes socket_id,
					 Bytes user_id)
{
	json_t *json;

	if (!app_has_webhook(app, "client_event"))
		return;
	json = json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", "client_event", "channel",
					 string_of(channel), "event", string_of(event), "data", string_of(data),
					 "socket_id", string_of(socket_id));
	if (user_id.len > 0)
		json_object_set_new(json, "user_id", string_of(user_id));
	gather(app, "client_event", channel, json);
}

void
webhook_cache_miss(App *app, Bytes channel)
{
	if (app_has_webhook(app, "cache_miss"))
		gather(app, "cache_miss", channel,
			   json_pack("{s:s, s:o}", "name", "cache_miss", "channel", string_of(channel)));
}

static void
took(const PGresult *result, bool ok, void *arg)
{
	int n = sent;

	(void) arg;
	sent = 0;
	if (!ok)
	{
		log_line(LOG_ERROR, "events for webhooks can't be handed over: %s",
				 PQresultErrorMessage(result));
		retry_at = now_ms() + RETRY_MS;
		return;
	}
	while (n-- > 0 && emissions)
	{
		Emission *it = emissions;

		DL_DELETE(emissions, it);
		bytes -= it->bytes;
		free(it->channel);
		free(it->event);
		free(it);
	}
}

/* Nobody knows whether it was taken: it is handed over again. */
static void
forgotten(void *arg)
{
	(void) arg;
	sent = 0;
	retry_at = now_ms() + RETRY_MS;
}

void
emit_flush(void)
{
	enum
	{
		APPS,
		NAMES,
		CHANNELS,
		EVENTS,
		ARRAYS
	};
	Buf arrays[ARRAYS] = {0};
	const char *values[ARRAYS];
	const Emission *it;

	if (!emissions || sent || !database_connected(HOME) || retry_at > now_ms())
		return;
	for (int i = 0; i < ARRAYS; i++)
		buf_addc(&arrays[i], '{');
	DL_FOREACH(emissions, it)
	{
		buf_add_element(&arrays[APPS], bytes_of(it->app->id));
		buf_add_element(&arrays[NAMES], bytes_of(it->name));
		buf_add_element(&arrays[CHANNELS], bytes_of(it->channel));
		buf_add_element(&arrays[EVENTS], bytes_of(it->event));
		if (++sent == MAX_BATCH)
			break;
	}
	for (int i = 0; i < ARRAYS; i++)
	{
		buf_addc(&arrays[i], '}');
		values[i] = arrays[i].data;
	}
	database_ask(HOME, STATEMENT_WEBHOOK_EMIT, values, took, forgotten, NULL);
	for (int i = 0; i < ARRAYS; i++)
		buf_free(&arrays[i]);
}

bool
emit_pending(void)
{
	return emissions != NULL;
}
