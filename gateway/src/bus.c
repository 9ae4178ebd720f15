/*
 * bus.c
 *	  What gateways tell each other: events of the application, over NOTIFY.
 *
 * A message is a JSON text of ASCII characters, whatever the database's encoding, cut in
 * parts that fit a notification:
 *
 *	  GATEWAY NUMBER PART/PARTS SIGNATURE TEXT
 *
 * GATEWAY is drawn at the start. The signature covers all else; whose secret made it says which
 * app the message is of. One call of NOTIFY at a time, for all that was gathered: one
 * transaction, in which the parts of a message stay together and in order. What is
 * gathered while the database is away is bounded, and what is over that is
 * lost, as it is for a client that is away.
 */
#include "bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "channel.h"
#include "database.h"
#include "json.h"
#include "log.h"
#include "metrics.h"
#include "protocol.h"

#define PART_BYTES   7000 /* of 8000, with its head */
#define MAX_PARTS    64
#define MAX_GATHERED (4 * 1024 * 1024)

/* Parts of a message of another gateway that has not come whole. */
typedef struct Partial
{
	char gateway[20];
	unsigned long number;
	int parts;
	Buf text;
	struct Partial *prev, *next;
} Partial;

static char gateway_id[20];
static unsigned long sent_number;
static Buf gathered; /* an array of payloads, without its end */
static bool sending;
static Partial *partials;

static const char *
own_id(void)
{
	if (!*gateway_id)
		snprintf(gateway_id, sizeof(gateway_id), "%016llx", (unsigned long long) random_u64());
	return gateway_id;
}

static bool
sign(const App *app, Bytes head, Bytes text, char hex[SIGNATURE_HEX_LEN + 1])
{
	Bytes parts[] = {head, text};

	return signature_hmac(bytes_of(app->secret), parts, 2, hex);
}

static void
gather_part(const App *app, int part, int parts, Bytes text)
{
	char hex[SIGNATURE_HEX_LEN + 1];
	Buf payload = {0};

	buf_addf(&payload, "%s %lu %d/%d ", own_id(), sent_number, part, parts);
	if (sign(app, buf_bytes(&payload), text, hex))
	{
		buf_addf(&payload, "%s ", hex);
		buf_add(&payload, text.data, text.len);
		if (gathered.len == 0)
			buf_addc(&gathered, '{');
		buf_add_element(&gathered, buf_bytes(&payload));
	}
	buf_free(&payload);
}

/* Takes the message. */
static void
gather(const App *app, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);
	size_t len = text ? strlen(text) : 0;
	int parts = (int) ((len + PART_BYTES - 1) / PART_BYTES);

	json_decref(message);
	if (len == 0 || parts > MAX_PARTS || gathered.len + len > MAX_GATHERED)
		log_line(LOG_WARNING, "an event is not told to other gateways: %zu bytes", len);
	else
	{
		sent_number++;
		metrics.bus_sent++;
		for (int part = 0; part < parts; part++)
		{
			size_t at = (size_t) part * PART_BYTES;
			size_t left = len - at;

			gather_part(app, part + 1, parts,
						(Bytes){text + at, left < PART_BYTES ? left : PART_BYTES});
		}
	}
	free(text);
}

static json_t *
string_of(Bytes value)
{
	return json_stringn(value.data ? value.data : "", value.len);
}

static json_t *
new_event(Bytes channel, Bytes event, Bytes data, const char *kind)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "kind", kind, "channel", string_of(channel), "event",
					 string_of(event), "data", string_of(data));
}

void
bus_event(const App *app, Bytes channel, Bytes event, Bytes data, Bytes except)
{
	json_t *message = new_event(channel, event, data, "event");

	json_object_set_new(message, "except", string_of(except));
	gather(app, message);
}

void
bus_client_event(const App *app, Bytes channel, Bytes event, Bytes data, Bytes user_id)
{
	json_t *message = new_event(channel, event, data, "client");

	json_object_set_new(message, "user_id", string_of(user_id));
	gather(app, message);
}

void
bus_terminate(const App *app, Bytes user_id)
{
	gather(app, json_pack("{s:s, s:o}", "kind", "terminate", "user_id", string_of(user_id)));
}

static void
sent_all(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	sending = false;
	if (!ok)
		log_line(LOG_ERROR, "other gateways can't be told: %s", PQresultErrorMessage(result));
}

static void
forgotten(void *arg)
{
	(void) arg;
	sending = false;
}

void
bus_flush(void)
{
	if (gathered.len == 0 || sending || !database_connected())
		return;
	buf_addc(&gathered, '}');
	sending = true;
	database_notify(gathered.data, sent_all, forgotten);
	buf_free(&gathered);
}

/*
 * What others tell
 */

static void
pass_on(App *app, const json_t *message)
{
	Bytes kind = {0};
	Bytes name = {0};
	Bytes event = {0};
	Bytes data = {0};
	Bytes user_id = {0};
	Bytes except = {0};
	Channel *channel;
	Frame *frame;

	json_get_bytes(message, "kind", &kind);
	json_get_bytes(message, "channel", &name);
	json_get_bytes(message, "event", &event);
	json_get_bytes(message, "data", &data);
	json_get_bytes(message, "user_id", &user_id);
	json_get_bytes(message, "except", &except);
	metrics.bus_received++;
	if (bytes_equal(kind, BYTES("terminate")))
	{
		protocol_terminate_user(app, user_id);
		return;
	}
	channel = channel_find(app, name);
	if (!channel)
		return;
	frame_begin();
	if (bytes_equal(kind, BYTES("client")))
		frame_add_raw(event, name, data, user_id);
	else
		frame_add(event, name, data);
	frame = frame_end();
	channel_send(channel, frame, except);
	frame_unref(frame);
}

static void
free_partial(Partial *partial)
{
	DL_DELETE(partials, partial);
	buf_free(&partial->text);
	free(partial);
}

/* Adds a part; the message when it is whole, else NULL. The caller frees it. */
static Partial *
add_part(const char *gateway, unsigned long number, int part, int parts, Bytes text)
{
	Partial *partial;

	DL_FOREACH(partials, partial)
	{
		if (partial->number == number && strcmp(partial->gateway, gateway) == 0)
			break;
	}
	if (!partial && part == 1)
	{
		partial = xcalloc(1, sizeof(Partial));
		snprintf(partial->gateway, sizeof(partial->gateway), "%s", gateway);
		partial->number = number;
		DL_APPEND(partials, partial);
	}
	else if (!partial || part != partial->parts + 1)
		return NULL;
	partial->parts = part;
	buf_add(&partial->text, text.data, text.len);
	return part == parts ? partial : NULL;
}

/* Where the signature and the text begin; NULL: this is no payload of a gateway. */
static const char *
parse_head(const char *payload, char gateway[20], unsigned long *number, int *part, int *parts)
{
	int head = 0;

	if (sscanf(payload, "%19s %lu %d/%d %n", gateway, number, part, parts, &head) != 4 ||
		head == 0 || *part < 1 || *part > *parts || *parts > MAX_PARTS ||
		strlen(payload + head) < SIGNATURE_HEX_LEN + 2)
		return NULL;
	return payload + head;
}

static App *
signer(Bytes head, Bytes signature, Bytes text)
{
	char expected[SIGNATURE_HEX_LEN + 1];

	for (App *app = apps; app; app = app->next)
		if (!app->gone && sign(app, head, text, expected) && signature_equal(expected, signature))
			return app;
	return NULL;
}

void
bus_notified(const char *payload)
{
	char gateway[20];
	unsigned long number;
	int part;
	int parts;
	const char *rest = parse_head(payload, gateway, &number, &part, &parts);
	App *app = NULL;
	Bytes text = {0};
	Partial *whole;
	json_t *message;

	if (rest && strcmp(gateway, own_id()) == 0)
		return;
	if (rest)
	{
		text = bytes_of(rest + SIGNATURE_HEX_LEN + 1);
		app = signer((Bytes){payload, (size_t) (rest - payload)}, (Bytes){rest, SIGNATURE_HEX_LEN},
					 text);
	}
	if (!app)
	{
		metrics.bus_refused++;
		log_line(LOG_DEBUG, "a notification that no gateway has signed");
		return;
	}
	whole = add_part(gateway, number, part, parts, text);
	if (!whole)
		return;
	message = json_parse(buf_bytes(&whole->text));
	free_partial(whole);
	if (json_is_object(message))
		pass_on(app, message);
	json_decref(message);
}

void
bus_lost(void)
{
	while (partials)
		free_partial(partials);
}
