/*
 * http.h
 *	  HTTP/1.1 as it comes in: the head of a request, and a body in chunks (RFC 9112).
 *
 * Strict: what two servers could read in two ways is refused. Knows no connection, so that a
 * fuzzer can feed it.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "base/util.h"

#define HTTP_MAX_HEAD    8192
#define HTTP_MAX_HEADERS 100

/* All Bytes point into the text that was parsed. Not given: {NULL, 0}. */
typedef struct HttpHead
{
	Bytes method;
	Bytes path;  /* as it was received */
	Bytes query; /* without its ? */
	bool keep_alive;
	bool chunked;
	bool expects_continue;
	int64_t content_length; /* -1: not given */

	bool upgrade; /* Connection: upgrade, Upgrade: websocket */
	Bytes ws_version;
	Bytes ws_key;

	Bytes host;
	Bytes origin;
	Bytes forwarded_for;   /* the last X-Forwarded-For */
	Bytes forwarded_proto; /* the last X-Forwarded-Proto */
	Bytes request_headers; /* Access-Control-Request-Headers */
	bool asks_cors;        /* Access-Control-Request-Method is there */
} HttpHead;

/* The head's length, its empty line included; 0: more is needed; less: minus the status to refuse
 * with. */
extern int http_parse(Bytes text, HttpHead *head);

typedef struct HttpChunks
{
	int state;
	uint64_t left;  /* of the chunk */
	unsigned lines; /* bytes of what is no data, so far */
} HttpChunks;

/*
 * Takes data of a body in chunks: appends it to out, and tells what it took. True: so far
 * all is well; *done: that was the end. False: it is not well-formed.
 */
extern bool http_chunks(HttpChunks *chunks, Bytes data, size_t *taken, Buf *out, bool *done);

/* Decodes %XX and, in a query, +. False: not well-formed, or a zero byte. */
extern bool http_decode(Bytes text, bool plus, Buf *out);

extern const char *http_reason(int status);

#endif /* GATEWAY_HTTP_H */
