/*
 * web.h
 *	  HTTP requests and their answers, and how one becomes a WebSocket.
 *
 * What can be refused is refused when the head is there, before a byte of the body is kept.
 * What all bodies hold together is bounded.
 */
#ifndef GATEWAY_WEB_H
#define GATEWAY_WEB_H

#include "transport/request.h"

typedef struct WebHandler
{
	/* A head is there. 0: go on; else the status to refuse it with, and why. */
	int (*begins)(Request *request, const char **why);
	/* All of it is there. It is answered by web_answer(), now or later. */
	void (*complete)(Request *request);
	/* Somebody wants a WebSocket. 0: he gets one; else the status to refuse with. */
	int (*upgrades)(Conn *conn, Request *request, const char **why);
	/* It is one: conn->owner is the handler's from now on. */
	void (*opened)(Conn *conn, Request *request);
	void (*message)(Conn *conn, Bytes text);
	/* A message of so many bytes was not read. */
	void (*too_large)(Conn *conn, uint32_t size);
	/* A frame came, whatever it is; false: there are too many. */
	bool (*heard)(Conn *conn, size_t bytes);
	void (*closed)(Conn *conn);
} WebHandler;

extern const WebHandler *web_handler;

/* Of connections that were just accepted. */
extern const ConnHandler web_connection;

/* Answers 200 with so many parts, whose memory it takes: what is large is not copied. */
extern void web_answer_parts(Request *request, const char *content_type, Buf *parts, int n);

/* Answers; text is copied. headers: more of them, each with its CRLF, or NULL. */
extern void web_answer(Request *request, int status, const char *content_type, Bytes text,
					   const char *headers);

#endif /* GATEWAY_WEB_H */
