/*
 * bus.c
 *	  What gateways tell each other: events of the application, over NOTIFY.
 *
 * A message is a JSON text of ASCII characters, whatever the database's encoding. One call of
 * NOTIFY at a time, for all that was gathered: one transaction, in which the parts of a
 * message stay together and in order. If it fails, or nobody knows whether it did, it is made again
 * with the same numbers: who has them already takes them for old. What is gathered while the
 * database is away is bounded, and what is over that is refused.
 */
#include "protocol/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "database/database.h"
#include "protocol/envelope.h"

#define MAX_GATHERED (4 * 1024 * 1024)
#define MAX_A_CALL   (256 * 1024)
#define RETRY_MS     250
#define PATIENCE_MS  5000 /* of who waits until it is sent */

typedef struct Outgoing
{
	App *app;
	unsigned long long number;
	struct Outgoing *prev, *next;
	size_t len;
	char text[];
} Outgoing;

typedef struct Waiter
{
	unsigned long long number; /* up to this all must be sent */
	BusSent call;
	void *arg;
	int64_t until;
	struct Waiter *prev, *next;
} Waiter;

void (*bus_on_message)(const BusMessage *message);

static char gateway_id[20];
static unsigned long long last_number;
static Outgoing *outgoing;
static size_t gathered;              /* bytes of all outgoing */
static unsigned long long in_flight; /* the last one of the call under way; 0: none is */
static int64_t retry_at;
static Waiter *waiters;

static const char *
own_id(void)
{
	if (!*gateway_id)
		snprintf(gateway_id, sizeof(gateway_id), "%016llx", (unsigned long long) random_u64());
	return gateway_id;
}

/*
 * Telling
 */

/* Takes the message. */
static bool
gather(App *app, json_t *message)
{
	char *text;
	size_t len;
	Outgoing *out;

	json_object_set_new(message, "app", json_string(app->id));
	text = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);
	len = text ? strlen(text) : 0;
	json_decref(message);
	if (len == 0 || len > (size_t) ENVELOPE_PART * ENVELOPE_PARTS || gathered + len > MAX_GATHERED)
	{
		metrics.bus_lost++;
		log_line(LOG_WARNING, "an event is not told to other gateways: %zu bytes, %zu wait", len,
				 gathered);
		free(text);
		return false;
	}
	out = xcalloc(1, sizeof(Outgoing) + len);
	out->app = app;
	out->number = ++last_number;
	out->len = len;
	memcpy(out->text, text, len);
	free(text);
	DL_APPEND(outgoing, out);
	gathered += len;
	return true;
}

static json_t *
string_of(Bytes value)
{
	return json_stringn(value.data ? value.data : "", value.len);
}

bool
bus_event(App *app, json_t *channels, Bytes event, Bytes data, Bytes except)
{
	return gather(app, json_pack("{s:s, s:O, s:o, s:o, s:o}", "kind", "event", "channels", channels,
								 "event", string_of(event), "data", string_of(data), "except",
								 string_of(except)));
}

bool
bus_cached_event(const CacheEvent *event)
{
	return gather(event->app,
				  json_pack("{s:s, s:[o], s:o, s:o, s:o, s:I, s:I}", "kind", "event", "channels",
							string_of(event->channel), "event", string_of(event->event), "data",
							string_of(event->data), "except", string_of(event->except), "by",
							(json_int_t) event->stamp.by, "number",
							(json_int_t) event->stamp.number));
}

void
bus_client_event(App *app, Bytes channel, Bytes event, Bytes data, Bytes user_id)
{
	gather(app, json_pack("{s:s, s:[o], s:o, s:o, s:o}", "kind", "client", "channels",
						  string_of(channel), "event", string_of(event), "data", string_of(data),
						  "user_id", string_of(user_id)));
}

void
bus_counts(App *app, json_t *sums)
{
	gather(app, json_pack("{s:s, s:O}", "kind", "counts", "channels", sums));
}

bool
bus_terminate(App *app, Bytes user_id)
{
	return gather(app, json_pack("{s:s, s:o}", "kind", "terminate", "user_id", string_of(user_id)));
}

void
bus_when_sent(BusSent call, void *arg)
{
	Waiter *waiter = xcalloc(1, sizeof(Waiter));

	waiter->number = last_number;
	waiter->call = call;
	waiter->arg = arg;
	waiter->until = now_ms() + PATIENCE_MS;
	DL_APPEND(waiters, waiter);
}

static void
end_waiter(Waiter *waiter, bool sent)
{
	DL_DELETE(waiters, waiter);
	waiter->call(sent, waiter->arg);
	free(waiter);
}

static void
sent_up_to(unsigned long long number)
{
	while (outgoing && outgoing->number <= number)
	{
		Outgoing *out = outgoing;

		DL_DELETE(outgoing, out);
		gathered -= out->len;
		metrics.bus_sent++;
		free(out);
	}
	while (waiters && waiters->number <= number)
		end_waiter(waiters, true);
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	unsigned long long number = in_flight;

	(void) arg;
	in_flight = 0;
	if (ok)
	{
		sent_up_to(number);
		return;
	}
	log_line(LOG_ERROR, "other gateways can't be told: %s", PQresultErrorMessage(result));
	retry_at = now_ms() + RETRY_MS;
}

static void
forgotten(void *arg)
{
	(void) arg;
	in_flight = 0;
	retry_at = now_ms() + RETRY_MS;
}

static Bytes
secret_of(const App *app)
{
	const AppKey *key = app_any_key(app);

	if (HOME->has_event_key)
		return (Bytes){(const char *) HOME->event_key, sizeof(HOME->event_key)};
	return key ? bytes_of(key->secret) : (Bytes){0};
}

static void
add_payloads(Buf *array, const Outgoing *out)
{
	Envelope envelope = {.number = out->number, .time = (long long) time(NULL)};
	Bytes secret = secret_of(out->app);

	if (secret.len == 0) /* the app is gone */
		return;
	snprintf(envelope.gateway, sizeof(envelope.gateway), "%s", own_id());
	envelope.parts = (int) ((out->len + ENVELOPE_PART - 1) / ENVELOPE_PART);
	for (envelope.part = 1; envelope.part <= envelope.parts; envelope.part++)
	{
		size_t at = (size_t) (envelope.part - 1) * ENVELOPE_PART;
		size_t left = out->len - at;

		envelope.text = (Bytes){out->text + at, left < ENVELOPE_PART ? left : ENVELOPE_PART};
		envelope_write(array, &envelope, secret);
	}
}

void
bus_flush(void)
{
	Buf array = {0};
	const Outgoing *out;
	const char *values[1];

	if (!outgoing || in_flight || !database_connected(HOME))
		return;
	if (retry_at > now_ms())
	{
		database_wake_in((int) (retry_at - now_ms()));
		return;
	}
	buf_addc(&array, '{');
	DL_FOREACH(outgoing, out)
	{
		add_payloads(&array, out);
		in_flight = out->number;
		if (array.len > MAX_A_CALL)
			break;
	}
	buf_addc(&array, '}');
	values[0] = array.data;
	database_ask(HOME, STATEMENT_NOTIFY, values, answered, forgotten, NULL);
	buf_free(&array);
}

void
bus_tick(void)
{
	int64_t now = now_ms();

	while (waiters && waiters->until <= now)
	{
		metrics.bus_lost++;
		end_waiter(waiters, false);
	}
}

/*
 * Hearing
 */

/* Whose it is, by who signed it; NULL: nobody we know. */
static App *
signer(const Envelope *envelope, bool *by_key)
{
	*by_key = HOME->has_event_key;
	if (HOME->has_event_key)
		return NULL;
	for (const AppKey *key = app_keys; key; key = key->next)
		if (!key->gone && envelope_is_signed(envelope, bytes_of(key->secret)))
			return key->app;
	return NULL;
}

static bool
is_believed(const Envelope *envelope, App **app)
{
	const Bytes key = {(const char *) HOME->event_key, sizeof(HOME->event_key)};
	bool by_key;

	*app = signer(envelope, &by_key);
	return (by_key ? envelope_is_signed(envelope, key) : *app != NULL) &&
		   envelope_is_fresh(envelope, (long long) time(NULL));
}

static void
take(const json_t *json, App *signed_by)
{
	BusMessage message = {.channels = json_object_get(json, "channels")};
	Bytes app_id = {0};

	json_get_bytes(json, "app", &app_id);
	json_get_bytes(json, "kind", &message.kind);
	json_get_bytes(json, "event", &message.event);
	json_get_bytes(json, "data", &message.data);
	json_get_bytes(json, "user_id", &message.user_id);
	json_get_bytes(json, "except", &message.except);
	message.stamp.by = (uint64_t) json_integer_value(json_object_get(json, "by"));
	message.stamp.number = json_integer_value(json_object_get(json, "number"));
	message.app = app_by_id(app_id);
	if (!message.app || (signed_by && signed_by != message.app))
		return;
	metrics.bus_received++;
	bus_on_message(&message);
}

void
bus_notified(const char *payload)
{
	Envelope envelope;
	App *app = NULL;
	Buf text = {0};
	bool parsed = envelope_parse(bytes_of(payload), &envelope);

	if (parsed && strcmp(envelope.gateway, own_id()) == 0)
		return;
	if (!parsed || !is_believed(&envelope, &app))
	{
		metrics.bus_refused++;
		log_line(LOG_DEBUG, "a notification that no gateway has signed, or an old one");
		return;
	}
	if (envelope_join(&envelope, &text))
	{
		json_t *json = json_parse(buf_bytes(&text));

		if (json_is_object(json))
			take(json, app);
		json_decref(json);
	}
	buf_free(&text);
}

void
bus_lost(void)
{
	envelopes_forget_parts();
}
