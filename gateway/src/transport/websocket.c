/*
 * websocket.c
 *	  WebSocket as it comes in (RFC 6455): frames, put together to messages.
 */
#include "transport/websocket.h"

#include <openssl/evp.h>

#define PROTOCOL_ERROR 1002
#define TOO_LARGE      1009

enum
{
	CONTINUATION = 0,
	TEXT = 1,
	BINARY = 2,
	CLOSE = 8,
	PING = 9,
	PONG = 10
};

typedef struct Header
{
	bool fin;
	int opcode;
	uint64_t len;
	unsigned char mask[4];
	size_t size; /* of the header itself */
} Header;

/* 1: there it is; 0: more is needed; -1: it is none that a client may send. */
static int
parse_header(const unsigned char *p, size_t n, Header *header)
{
	int more;

	if (n < 2)
		return 0;
	header->fin = p[0] & 0x80;
	header->opcode = p[0] & 0x0f;
	header->len = p[1] & 0x7f;
	if ((p[0] & 0x70) || !(p[1] & 0x80) || (header->opcode > BINARY && header->opcode < CLOSE) ||
		header->opcode > PONG)
		return -1;
	if (header->opcode >= CLOSE && (!header->fin || header->len > 125))
		return -1;
	more = header->len == 126 ? 2 : header->len == 127 ? 8 : 0;
	header->size = 2 + (size_t) more + 4;
	if (n < header->size)
		return 0;
	if (more)
		header->len = 0;
	for (int i = 0; i < more; i++)
		header->len = header->len << 8 | p[2 + i];
	memcpy(header->mask, p + 2 + more, 4);
	return 1;
}

static void
unmask(char *data, size_t len, const unsigned char mask[4])
{
	uint64_t wide;
	uint32_t narrow;
	size_t i = 0;

	memcpy(&narrow, mask, 4);
	wide = (uint64_t) narrow << 32 | narrow;
	for (; i + 8 <= len; i += 8)
	{
		uint64_t word;

		memcpy(&word, data + i, 8);
		word ^= wide;
		memcpy(data + i, &word, 8);
	}
	for (; i < len; i++)
		data[i] = (char) (data[i] ^ mask[i & 3]);
}

static void
broken(WsEvent *event, int code)
{
	event->kind = WS_BROKEN;
	event->code = code;
}

/* A frame that is not kept, as far as it is there. */
static size_t
read_past(WsState *state, size_t len, WsEvent *event)
{
	size_t n = len < state->left ? len : state->left;

	state->left -= (uint32_t) n;
	if (state->left > 0)
		event->kind = WS_MORE;
	else if (!state->last_frame)
		event->kind = WS_PART;
	else
	{
		event->kind = WS_TOO_LARGE;
		event->size = state->size;
		state->skipping = state->fragmented = false;
		state->size = 0;
	}
	return n;
}

static void
take_control(int opcode, Bytes payload, WsEvent *event)
{
	event->kind = opcode == PING ? WS_IS_PING : opcode == PONG ? WS_IS_PONG : WS_IS_CLOSE;
	event->payload = payload;
}

static void
take_data(WsState *state, const Header *header, Bytes payload, WsEvent *event)
{
	static Buf whole; /* the last one that came in parts */

	if (header->fin && !state->fragmented)
		event->payload = payload;
	else
		buf_add(&state->message, payload.data, payload.len);
	state->fragmented = !header->fin;
	event->kind = header->fin ? WS_MESSAGE : WS_PART;
	if (!header->fin)
		return;
	if (!event->payload.data)
	{
		buf_free(&whole);
		whole = state->message;
		state->message = (Buf){0};
		event->payload = buf_bytes(&whole);
	}
	state->size = 0;
}

/* False: it is broken, or read past. */
static bool
may_keep(WsState *state, const Header *header, size_t max_message, WsEvent *event)
{
	if ((header->opcode == CONTINUATION) != state->fragmented)
	{
		broken(event, PROTOCOL_ERROR);
		return false;
	}
	if (header->len > WS_MAX_SKIPPED || state->size + header->len > WS_MAX_SKIPPED)
	{
		broken(event, TOO_LARGE);
		return false;
	}
	state->size += (uint32_t) header->len;
	if (!state->skipping && state->size <= max_message)
		return true;
	state->skipping = true;
	state->fragmented = true;
	state->last_frame = header->fin;
	state->left = (uint32_t) header->len;
	buf_free(&state->message);
	return false;
}

size_t
ws_next(WsState *state, char *data, size_t len, size_t max_message, WsEvent *event)
{
	Header header;
	Bytes payload;
	bool control;
	int status;

	*event = (WsEvent){.kind = WS_MORE};
	if (state->left > 0)
		return len > 0 ? read_past(state, len, event) : 0;
	status = parse_header((const unsigned char *) data, len, &header);
	if (status < 0)
		broken(event, PROTOCOL_ERROR);
	if (status <= 0)
		return 0;
	control = header.opcode >= CLOSE;
	if (!control && len - header.size < header.len && !state->skipping &&
		header.len <= max_message && state->size + header.len <= max_message &&
		(header.opcode == CONTINUATION) == state->fragmented)
		return 0; /* it will be kept, when it is whole */
	if (control && len - header.size < header.len)
		return 0;
	if (!control && !may_keep(state, &header, max_message, event))
	{
		if (event->kind == WS_BROKEN)
			return 0;
		return header.size + read_past(state, len - header.size, event);
	}
	payload = (Bytes){data + header.size, (size_t) header.len};
	unmask(data + header.size, payload.len, header.mask);
	if (control)
		take_control(header.opcode, payload, event);
	else
		take_data(state, &header, payload, event);
	return header.size + payload.len;
}

void
ws_free(WsState *state)
{
	buf_free(&state->message);
}

bool
ws_accept(Bytes key, char answer[29])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[24 + sizeof(guid)];
	unsigned len;

	if (key.len != 24)
		return false;
	memcpy(text, key.data, 24);
	memcpy(text + 24, guid, sizeof(guid));
	if (EVP_Digest(text, 24 + sizeof(guid) - 1, digest, &len, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *) answer, digest, (int) len);
	return true;
}
