/*
 * frame.c
 *	  What goes out: WebSocket text frames, encoded once for all who get them.
 */
#include "frame.h"

#include <stdlib.h>

#include "json.h"

#define TEXT_FRAME  0x81 /* FIN, opcode 1 */
#define CLOSE_FRAME 0x88 /* FIN, opcode 8 */

static Buf frames; /* that are being built */
static Buf payload;

void
frame_begin(void)
{
	buf_reset(&frames);
}

/* RFC 6455: a server does not mask; the length takes the shortest form. */
static void
add_payload(void)
{
	unsigned char header[10] = {TEXT_FRAME};
	uint64_t len = payload.len;
	int bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

	header[1] = (unsigned char) (bytes == 0 ? len : bytes == 2 ? 126 : 127);
	for (int i = 0; i < bytes; i++)
		header[2 + i] = (unsigned char) (len >> (8 * (bytes - 1 - i)));
	buf_add(&frames, header, 2 + (size_t) bytes);
	buf_add(&frames, payload.data, payload.len);
}

static void
begin_payload(Bytes event, Bytes channel)
{
	buf_reset(&payload);
	buf_adds(&payload, "{\"event\":");
	json_add_string(&payload, event);
	if (channel.len)
	{
		buf_adds(&payload, ",\"channel\":");
		json_add_string(&payload, channel);
	}
}

void
frame_add(Bytes event, Bytes channel, Bytes data)
{
	begin_payload(event, channel);
	if (data.len)
	{
		buf_adds(&payload, ",\"data\":");
		json_add_string(&payload, data);
	}
	buf_addc(&payload, '}');
	add_payload();
}

void
frame_add_raw(Bytes event, Bytes channel, Bytes data, Bytes user_id)
{
	begin_payload(event, channel);
	if (data.len)
	{
		buf_adds(&payload, ",\"data\":");
		buf_add(&payload, data.data, data.len);
	}
	if (user_id.len)
	{
		buf_adds(&payload, ",\"user_id\":");
		json_add_string(&payload, user_id);
	}
	buf_addc(&payload, '}');
	add_payload();
}

Frame *
frame_end(void)
{
	Frame *frame = xmalloc(sizeof(Frame) + frames.len);

	frame->refs = 1;
	frame->len = (uint32_t) frames.len;
	memcpy(frame->data, frames.data, frames.len);
	return frame;
}

Frame *
frame_event(Bytes event, Bytes channel, Bytes data)
{
	frame_begin();
	frame_add(event, channel, data);
	return frame_end();
}

Frame *
frame_error(int code, const char *message)
{
	Buf data = {0};
	Frame *frame;

	if (code >= 4000)
		buf_addf(&data, "{\"code\":%d,\"message\":", code);
	else
		buf_adds(&data, "{\"code\":null,\"message\":");
	json_add_string(&data, bytes_of(message));
	buf_addc(&data, '}');
	frame_begin();
	frame_add_raw(BYTES("pusher:error"), (Bytes){0}, buf_bytes(&data), (Bytes){0});
	frame = frame_end();
	buf_free(&data);
	return frame;
}

Frame *
frame_close(int code)
{
	const unsigned char bytes[] = {CLOSE_FRAME, 2, (unsigned char) (code >> 8),
								   (unsigned char) code};

	frame_begin();
	buf_add(&frames, bytes, sizeof(bytes));
	return frame_end();
}

void
frame_unref(Frame *frame)
{
	if (frame && --frame->refs == 0)
		free(frame);
}
