/*
 * envelope.h
 *	  The notifications that carry messages between gateways: parts, signed and numbered.
 *
 *	  GATEWAY NUMBER TIME PART/PARTS SIGNATURE TEXT
 *
 * GATEWAY is drawn at the start; TIME is in seconds. The signature covers all else. Knows no
 * connection, so that a fuzzer can feed it.
 */
#ifndef GATEWAY_ENVELOPE_H
#define GATEWAY_ENVELOPE_H

#include "base/util.h"

#define ENVELOPE_PART   7000 /* bytes of text, of the 8000 of a notification */
#define ENVELOPE_PARTS  64
#define ENVELOPE_WINDOW 120 /* seconds that clocks may differ */

typedef struct Envelope
{
	char gateway[20];
	unsigned long long number;
	long long time;
	int part; /* from 1 */
	int parts;
	Bytes head; /* what is signed, with the text */
	Bytes signature;
	Bytes text;
} Envelope;

/* False: it is none. Bytes point into the payload. */
extern bool envelope_parse(Bytes payload, Envelope *envelope);

extern bool envelope_is_signed(const Envelope *envelope, Bytes secret);

/* Appends one, as an element of an array of PostgreSQL. */
extern void envelope_write(Buf *array, const Envelope *envelope, Bytes secret);

/* Whether it is of now, and its number did not come before. Remembers it. */
extern bool envelope_is_fresh(const Envelope *envelope, long long now);

/*
 * Puts parts together: true if this was the last one, with the whole in *text, which is the
 * caller's.
 */
extern bool envelope_join(const Envelope *envelope, Buf *text);

/* Forgets parts of messages that will not come whole. */
extern void envelopes_forget_parts(void);

#endif /* GATEWAY_ENVELOPE_H */
