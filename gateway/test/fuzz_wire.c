/*
 * fuzz_wire.c
 *	  libFuzzer's way into what parses the bytes of strangers: HTTP heads and chunks, WebSocket
 *	  frames, the PROXY protocol, signatures of the API, messages between gateways, events.
 *	  FUZZ_PART names one of them; or the first byte of the input says which.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/api_auth.h"
#include "protocol/envelope.h"
#include "rooms/event.h"
#include "transport/http.h"
#include "transport/proxy.h"
#include "transport/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static bool
is_within(Bytes part, Bytes whole)
{
	return !part.data ||
		   (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void
fuzz_head(Bytes text)
{
	HttpHead head;
	HttpHead again;
	int len = http_parse(text, &head);
	Buf out = {0};

	check(len <= (int) text.len && len <= HTTP_MAX_HEAD);
	if (len <= 0)
		return;
	check(is_within(head.path, text) && is_within(head.query, text) &&
		  is_within(head.ws_key, text));
	check(head.path.len > 0 && head.method.len > 0 && !(head.chunked && head.content_length >= 0));
	/* What comes behind it changes nothing, and no shorter text is a head. */
	check(http_parse((Bytes){text.data, (size_t) len}, &again) == len);
	check(http_parse((Bytes){text.data, (size_t) len - 1}, &again) <= 0);
	if (http_decode(head.path, false, &out))
		check(out.len <= head.path.len && !memchr(out.data, '\0', out.len));
	buf_free(&out);
}

/* In one piece or byte by byte: the same. */
static void
fuzz_chunks(Bytes text)
{
	HttpChunks whole = {0};
	HttpChunks parts = {0};
	Buf out[2] = {{0}};
	bool done[2] = {false, false};
	size_t taken[2] = {0, 0};
	bool ok = http_chunks(&whole, text, &taken[0], &out[0], &done[0]);
	bool ok_parts = true;

	while (ok_parts && !done[1] && taken[1] < text.len)
	{
		size_t n = 0;

		ok_parts = http_chunks(&parts, (Bytes){text.data + taken[1], 1}, &n, &out[1], &done[1]);
		taken[1] += n;
	}
	check(ok == ok_parts);
	if (ok)
		check(done[0] == done[1] && taken[0] == taken[1] && out[0].len == out[1].len &&
			  (out[0].len == 0 || memcmp(out[0].data, out[1].data, out[0].len) == 0));
	buf_free(&out[0]);
	buf_free(&out[1]);
}

static void
fuzz_frames(Bytes text)
{
	char *copy = malloc(text.len ? text.len : 1);
	WsState state = {0};
	WsEvent event = {0};
	size_t at = 0;
	char answer[29];

	check(copy != NULL);
	memcpy(copy, text.data, text.len);
	do
	{
		size_t n = ws_next(&state, copy + at, text.len - at, 300, &event);

		check(n <= text.len - at && (n > 0 || event.kind == WS_MORE || event.kind == WS_BROKEN));
		check(state.message.len <= 300);
		if (event.kind == WS_MESSAGE)
			check(event.payload.len <= 300);
		at += n;
	} while (event.kind != WS_MORE && event.kind != WS_BROKEN);
	ws_free(&state);
	ws_accept(text, answer);
	free(copy);
}

static void
fuzz_proxy(Bytes text)
{
	Ip ip = {{0}};
	char out[ADDRESS_TEXT];

	check(proxy_parse(text, &ip) <= (int) text.len);
	ip_text(&ip, out);
	ip_parse(text, &ip);
}

static void
fuzz_api(Bytes text)
{
	char *args[MAX_SIGNED_ARGS];
	SignedRequest request = {"POST", text, args, 0, 1700000000};
	const App app = {.id = (char *) "1"};
	const char *why = NULL;
	const char *rest = text.data;

	while (request.nargs < MAX_SIGNED_ARGS && rest < text.data + text.len)
	{
		const char *end = memchr(rest, '&', (size_t) (text.data + text.len - rest));
		size_t len = end ? (size_t) (end - rest) : (size_t) (text.data + text.len - rest);

		args[request.nargs++] = strndup(rest, len);
		rest += len + 1;
	}
	check(!api_is_signed(&request, &app, &why) && why);
	api_has_body(&request, text);
	while (request.nargs > 0)
		free(args[--request.nargs]);
}

static void
fuzz_bus(Bytes text)
{
	Envelope envelope;
	Buf out = {0};

	if (!envelope_parse(text, &envelope))
		return;
	check(envelope.part >= 1 && envelope.part <= envelope.parts &&
		  envelope.parts <= ENVELOPE_PARTS);
	check(is_within(envelope.text, text) && is_within(envelope.head, text));
	check(!envelope_is_signed(&envelope, BYTES("a secret")));
	if (envelope_is_fresh(&envelope, envelope.time))
		check(!envelope_is_fresh(&envelope, envelope.time)); /* not twice */
	envelope_join(&envelope, &out);
	buf_free(&out);
}

static void
fuzz_event(Bytes text)
{
	Bytes book_id = event_book_id(text);

	check(is_within(book_id, text));
	check(!event_is_genuine(BYTES("0123456789abcdef0123456789abcdef"), text));
}

typedef struct
{
	const char *name;
	void (*fuzz)(Bytes text);
} Part;

static const Part parts[] = {
	{"head", fuzz_head}, {"chunks", fuzz_chunks}, {"frames", fuzz_frames}, {"proxy", fuzz_proxy},
	{"api", fuzz_api},   {"bus", fuzz_bus},       {"event", fuzz_event}};

#define NPARTS (sizeof(parts) / sizeof(parts[0]))

/* The one of FUZZ_PART; NULL if that is not set. */
static const Part *
part_of_environment(void)
{
	const char *name = getenv("FUZZ_PART");

	if (!name)
		return NULL;
	for (size_t i = 0; i < NPARTS; i++)
	{
		if (strcmp(parts[i].name, name) == 0)
			return &parts[i];
	}
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const Part *part;

	if (size == 0)
		return 0;
	part = part_of_environment();
	if (!part)
		part = &parts[data[0] % NPARTS];
	part->fuzz((Bytes){(const char *) data + 1, size - 1});
	return 0;
}
