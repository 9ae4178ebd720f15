/*
 * words.c
 *	  Pusher's messages to a client, encoded once for all who get them.
 */
#include "rooms/words.h"

#include "base/json.h"

static Buf frames; /* that are being built */
static Buf payload;

void
frame_begin(void)
{
	buf_reset(&frames);
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

static void
end_payload(void)
{
	buf_addc(&payload, '}');
	frame_encode(&frames, WS_TEXT, buf_bytes(&payload));
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
	end_payload();
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
	end_payload();
}

void
frame_add_ping(void)
{
	frame_encode(&frames, WS_PING, (Bytes){"", 0});
}

Frame *
frame_end(void)
{
	Frame *frame = frame_of(buf_bytes(&frames));

	if (payload.cap > 64 * 1024) /* a large list, not to be kept twice */
		buf_free(&payload);
	if (frames.cap > 64 * 1024)
		buf_free(&frames);
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
frame_error(int code, Bytes channel, const char *message)
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
	frame_add_raw(BYTES("pusher:error"), channel, buf_bytes(&data), (Bytes){0});
	frame = frame_end();
	buf_free(&data);
	return frame;
}

Frame *
frame_close(int code)
{
	const char bytes[] = {(char) (code >> 8), (char) code};

	frame_begin();
	frame_encode(&frames, WS_CLOSE, (Bytes){bytes, 2});
	return frame_end();
}
