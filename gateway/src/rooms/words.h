/*
 * words.h
 *	  Pusher's messages to a client, encoded once for all who get them.
 */
#ifndef GATEWAY_WORDS_H
#define GATEWAY_WORDS_H

#include "transport/frame.h"

/*
 * A frame is begun, filled with events, and ended; one at a time. The event's
 * data is JSON text; it goes out as a string, as the protocol has it.
 */
extern void frame_begin(void);
extern void frame_add(Bytes event, Bytes channel, Bytes data);
extern Frame *frame_end(void); /* the caller's reference */

/* The same, for an event whose data is any JSON text that goes out as it is, of a user or none. */
extern void frame_add_raw(Bytes event, Bytes channel, Bytes data, Bytes user_id);

/* WebSocket's own ping, beside that of the protocol. */
extern void frame_add_ping(void);

/* One event; channel and data may be empty: left out. */
extern Frame *frame_event(Bytes event, Bytes channel, Bytes data);

/*
 * pusher:error, of a channel or of none. A code that is not of the protocol (4000 and above)
 * goes out as null.
 */
extern Frame *frame_error(int code, Bytes channel, const char *message);

/* WebSocket's own last frame. */
extern Frame *frame_close(int code);

#endif /* GATEWAY_WORDS_H */
