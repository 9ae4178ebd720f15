/*
 * frame.c
 *	  Bytes on their way out, shared by all who get them.
 */
#include "transport/frame.h"

#include <stdlib.h>

#define FIN 0x80

Frame *
frame_of(Bytes bytes)
{
	Frame *frame = xmalloc(sizeof(Frame) + bytes.len);

	frame->refs = 1;
	frame->len = (uint32_t) bytes.len;
	frame->data = memcpy(frame->own, bytes.data, bytes.len);
	return frame;
}

Frame *
frame_take(Buf *buf)
{
	Frame *frame = xmalloc(sizeof(Frame));

	frame->refs = 1;
	frame->len = (uint32_t) buf->len;
	frame->data = (unsigned char *) buf->data;
	*buf = (Buf){0};
	return frame;
}

/* RFC 6455: a server does not mask; the length takes the shortest form. */
void
frame_encode(Buf *out, int opcode, Bytes payload)
{
	unsigned char header[10] = {(unsigned char) (FIN | opcode)};
	uint64_t len = payload.len;
	int bytes = len < 126 ? 0 : len < 65536 ? 2 : 8;

	header[1] = (unsigned char) (bytes == 0 ? len : bytes == 2 ? 126 : 127);
	for (int i = 0; i < bytes; i++)
		header[2 + i] = (unsigned char) (len >> (8 * (bytes - 1 - i)));
	buf_add(out, header, 2 + (size_t) bytes);
	buf_add(out, payload.data, payload.len);
}

void
frame_unref(Frame *frame)
{
	if (!frame || --frame->refs > 0)
		return;
	if (frame->data != frame->own)
		free(frame->data);
	free(frame);
}
