/*
 * frame.h
 *	  What goes out: WebSocket text frames, encoded once for all who get them.
 *
 * A Frame holds the bytes of one or more WebSocket frames, header included. It
 * is shared by reference: the last one who drops it frees it.
 */
#ifndef GATEWAY_FRAME_H
#define GATEWAY_FRAME_H

#include "util.h"

typedef struct Frame
{
	unsigned refs;
	uint32_t len;
	unsigned char data[];
} Frame;

/*
 * A frame is begun, filled with events, and ended; one at a time. The event's
 * data is JSON text; it goes out as a string, as the protocol has it.
 */
extern void frame_begin(void);
extern void frame_add(Bytes event, Bytes channel, Bytes data);
extern Frame *frame_end(void); /* the caller's reference */

/* The same, for an event whose data is any JSON text that goes out as it is, of a user or none. */
extern void frame_add_raw(Bytes event, Bytes channel, Bytes data, Bytes user_id);

/* One event; channel and data may be empty: left out. */
extern Frame *frame_event(Bytes event, Bytes channel, Bytes data);

/* pusher:error. A code that is not of the protocol (4000 and above) goes out as null. */
extern Frame *frame_error(int code, const char *message);

/* WebSocket's own last frame. */
extern Frame *frame_close(int code);

static inline Frame *
frame_ref(Frame *frame)
{
	frame->refs++;
	return frame;
}

extern void frame_unref(Frame *frame);

#endif /* GATEWAY_FRAME_H */
