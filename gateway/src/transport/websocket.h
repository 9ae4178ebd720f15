/*
 * websocket.h
 *	  WebSocket as it comes in (RFC 6455): frames, put together to messages.
 *
 * Knows no connection, so that a fuzzer can feed it. What is larger than a message may be is
 * read past and not kept.
 */
#ifndef GATEWAY_WEBSOCKET_H
#define GATEWAY_WEBSOCKET_H

#include "base/util.h"

/* A message that large ends the connection. */
#define WS_MAX_SKIPPED (1024 * 1024)

typedef struct WsState
{
	Buf message;     /* the parts of one, so far */
	uint32_t left;   /* of a frame that is read past */
	uint32_t size;   /* of the message so far, kept or not */
	bool fragmented; /* a message has begun, and not ended */
	bool skipping;   /* it is too large */
	bool last_frame; /* the frame that is read past is its last one */
} WsState;

typedef enum WsKind
{
	WS_MORE,      /* more bytes are needed */
	WS_MESSAGE,   /* whole: payload */
	WS_TOO_LARGE, /* whole, and thrown away; size */
	WS_PART,      /* a frame that is no message yet */
	WS_IS_PING,   /* payload is to be sent back */
	WS_IS_PONG,
	WS_IS_CLOSE,
	WS_BROKEN /* code: why the connection ends */
} WsKind;

typedef struct WsEvent
{
	WsKind kind;
	Bytes payload; /* valid until the next call */
	uint32_t size;
	int code;
} WsEvent;

/* Takes the next frame from data, which it unmasks in place; how many bytes it took. */
extern size_t ws_next(WsState *state, char *data, size_t len, size_t max_message, WsEvent *event);

extern void ws_free(WsState *state);

/* What answers Sec-WebSocket-Key. False: that is none. */
extern bool ws_accept(Bytes key, char answer[29]);

#endif /* GATEWAY_WEBSOCKET_H */
