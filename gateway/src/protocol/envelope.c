/*
 * envelope.c
 *	  The notifications that carry messages between gateways: parts, signed and numbered.
 */
#include "protocol/envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define MAX_SENDERS  1024
#define MAX_PARTIALS 256

/* Another gateway, and what it sent last. */
typedef struct Sender
{
	char gateway[20];
	unsigned long long number;
	int part;
	long long heard_at; /* seconds */
	UT_hash_handle hh;
} Sender;

/* Parts of a message that has not come whole. */
typedef struct Partial
{
	char gateway[20];
	unsigned long long number;
	int parts;
	Buf text;
	struct Partial *prev, *next;
} Partial;

static Sender *senders;
static Partial *partials;
static int npartials;

/*
 * Reading and writing
 */

bool
envelope_parse(Bytes payload, Envelope *envelope)
{
	char head[128];
	size_t n = payload.len < sizeof(head) - 1 ? payload.len : sizeof(head) - 1;
	int len = 0;

	if (memchr(payload.data, '\0', payload.len))
		return false;
	memcpy(head, payload.data, n);
	head[n] = '\0';
	/* So many digits that none of them overflows, nor does what is added. */
	if (sscanf(head, "%19s %19llu %15lld %5d/%5d %n", envelope->gateway, &envelope->number,
			   &envelope->time, &envelope->part, &envelope->parts, &len) != 5 ||
		len == 0 || envelope->part < 1 || envelope->part > envelope->parts ||
		envelope->parts > ENVELOPE_PARTS || payload.len < (size_t) len + SIGNATURE_HEX_LEN + 2 ||
		payload.data[len + SIGNATURE_HEX_LEN] != ' ')
		return false;
	envelope->head = (Bytes){payload.data, (size_t) len};
	envelope->signature = (Bytes){payload.data + len, SIGNATURE_HEX_LEN};
	envelope->text = (Bytes){payload.data + len + SIGNATURE_HEX_LEN + 1,
							 payload.len - (size_t) len - SIGNATURE_HEX_LEN - 1};
	return true;
}

static bool
sign(Bytes head, Bytes text, Bytes secret, char hex[SIGNATURE_HEX_LEN + 1])
{
	Bytes parts[] = {head, text};

	return signature_hmac(secret, parts, 2, hex);
}

bool
envelope_is_signed(const Envelope *envelope, Bytes secret)
{
	char expected[SIGNATURE_HEX_LEN + 1];

	return sign(envelope->head, envelope->text, secret, expected) &&
		   signature_equal(expected, envelope->signature);
}

void
envelope_write(Buf *array, const Envelope *envelope, Bytes secret)
{
	char hex[SIGNATURE_HEX_LEN + 1];
	Buf payload = {0};

	buf_addf(&payload, "%s %llu %lld %d/%d ", envelope->gateway, envelope->number, envelope->time,
			 envelope->part, envelope->parts);
	if (sign(buf_bytes(&payload), envelope->text, secret, hex))
	{
		buf_addf(&payload, "%s ", hex);
		buf_add(&payload, envelope->text.data, envelope->text.len);
		buf_add_element(array, buf_bytes(&payload));
	}
	buf_free(&payload);
}

/*
 * Fresh or old
 */

/* Those that were not heard for so long that what they sent is too old by its time alone. */
static void
forget_senders(long long now)
{
	Sender *next;

	for (Sender *sender = senders; sender; sender = next)
	{
		next = sender->hh.next;
		if (sender->heard_at + 2 * ENVELOPE_WINDOW + 1 >= now)
			continue;
		/* The analyzer does not follow the links of the table. NOLINTNEXTLINE */
		HASH_DEL(senders, sender);
		free(sender);
	}
}

bool
envelope_is_fresh(const Envelope *envelope, long long now)
{
	Sender *sender;

	if (envelope->time < now - ENVELOPE_WINDOW || envelope->time > now + ENVELOPE_WINDOW)
		return false;
	HASH_FIND_STR(senders, envelope->gateway, sender);
	if (sender && (envelope->number < sender->number ||
				   (envelope->number == sender->number && envelope->part <= sender->part)))
		return false;
	if (!sender)
	{
		if (HASH_COUNT(senders) >= MAX_SENDERS)
			forget_senders(now);
		/* NOLINTNEXTLINE */
		if (HASH_COUNT(senders) >= MAX_SENDERS)
			return false;
		sender = xcalloc(1, sizeof(Sender));
		memcpy(sender->gateway, envelope->gateway, sizeof(sender->gateway));
		HASH_ADD_STR(senders, gateway, sender);
	}
	sender->number = envelope->number;
	sender->part = envelope->part;
	sender->heard_at = now;
	return true;
}

/*
 * Parts
 */

static void
free_partial(Partial *partial)
{
	DL_DELETE(partials, partial);
	npartials--;
	buf_free(&partial->text);
	free(partial);
}

static Partial *
begin_partial(const Envelope *envelope)
{
	Partial *partial = xcalloc(1, sizeof(Partial));

	memcpy(partial->gateway, envelope->gateway, sizeof(partial->gateway));
	partial->number = envelope->number;
	if (npartials == MAX_PARTIALS)
		free_partial(partials);
	DL_APPEND(partials, partial);
	npartials++;
	return partial;
}

bool
envelope_join(const Envelope *envelope, Buf *text)
{
	Partial *partial;

	if (envelope->parts == 1)
	{
		buf_add(text, envelope->text.data, envelope->text.len);
		return true;
	}
	DL_FOREACH(partials, partial)
	{
		if (partial->number == envelope->number && strcmp(partial->gateway, envelope->gateway) == 0)
			break;
	}
	if (!partial && envelope->part == 1)
		partial = begin_partial(envelope);
	else if (!partial || envelope->part != partial->parts + 1)
		return false;
	partial->parts = envelope->part;
	buf_add(&partial->text, envelope->text.data, envelope->text.len);
	if (envelope->part < envelope->parts)
		return false;
	*text = partial->text;
	partial->text = (Buf){0};
	free_partial(partial);
	return true;
}

void
envelopes_forget_parts(void)
{
	while (partials)
		free_partial(partials);
}
