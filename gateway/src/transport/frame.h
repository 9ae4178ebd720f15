/*
 * frame.h
 *	  Bytes on their way out, shared by all who get them.
 *
 * A Frame holds the bytes of one or more WebSocket frames, header included, or of an HTTP
 * answer. The last one who drops it frees it.
 */
#ifndef GATEWAY_FRAME_H
#define GATEWAY_FRAME_H

#include "base/util.h"

typedef struct Frame
{
	unsigned refs;
	uint32_t len;
	unsigned char *data;
	unsigned char own[]; /* where that is, if it is no buffer that was taken */
} Frame;

#define WS_TEXT  1
#define WS_CLOSE 8
#define WS_PING  9
#define WS_PONG  10

/* Bytes as they are; the caller's reference. */
extern Frame *frame_of(Bytes bytes);

/* The same of a buffer, whose memory it takes: nothing is copied. */
extern Frame *frame_take(Buf *buf);

/* Appends one whole WebSocket frame of that opcode. */
extern void frame_encode(Buf *out, int opcode, Bytes payload);

static inline Frame *
frame_ref(Frame *frame)
{
	frame->refs++;
	return frame;
}

extern void frame_unref(Frame *frame);

#endif /* GATEWAY_FRAME_H */
