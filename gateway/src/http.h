/*
 * http.h
 *	  One HTTP request, and its answer, which may come later.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include <libwebsockets.h>

#include "util.h"

#define MAX_QUERY_ARGS 32

typedef struct Request
{
	struct lws *wsi; /* NULL: the client is gone */
	bool post;
	char *path;
	char *args[MAX_QUERY_ARGS]; /* "name=value", decoded */
	int nargs;
	Buf body;
	bool too_large;
	bool handled; /* given to api.c */
	bool waiting; /* for the database, who frees it if the client goes */
	int status;   /* of the answer; 0: none yet */
	const char *content_type;
	Buf answer;
} Request;

/* A request began; the rest comes. NULL: it is too long, close it. */
extern Request *http_begin(struct lws *wsi, const char *path, bool post);

/* A part of the body. */
extern void http_body(Request *request, const void *data, size_t len);

/* The request is complete: it is handled, once. */
extern void http_complete(Request *request);

/* libwebsockets' turn to write; nonzero: close. Frees what is answered. */
extern int http_writable(Request **request);

/* The connection is gone. */
extern void http_closed(Request *request);

/* Answers; text is copied. */
extern void http_answer(Request *request, int status, const char *content_type, Bytes text);

/* An argument of the query; {NULL, 0}: there is none. */
extern Bytes http_arg(const Request *request, const char *name);

#endif /* GATEWAY_HTTP_H */
