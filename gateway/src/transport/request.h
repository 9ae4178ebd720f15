/*
 * request.h
 *	  An HTTP request: its head taken apart, its body counted.
 */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "transport/conn.h"
#include "transport/http.h"

#define WEB_MAX_ARGS 32
#define WEB_MAX_BODY (512 * 1024) /* ten events of a batch, with room */

typedef struct Request
{
	Conn *conn;    /* NULL: the client is gone */
	HttpHead head; /* points into text */
	char *text;
	char *path;               /* decoded, without --path-prefix */
	char *args[WEB_MAX_ARGS]; /* "name=value", decoded */
	int nargs;
	Buf body;
	HttpChunks chunks;
	size_t counted; /* of the budget of bodies */
	bool read;      /* all of it is there */
	bool waiting;   /* for the database, who frees it if the client goes */
	bool answered;
	void *app; /* the handler's: whose it is */
} Request;

/* Of a head that is whole; the connection's owner from now on. */
extern Request *request_new(Conn *conn, const char *text, size_t len);
extern void request_free(Request *request);

/* False: there are too many arguments, or they are not well-formed. */
extern bool request_parse_query(Request *request);

/* Without --path-prefix; a path that does not begin with it is another's: it stays as it is. */
extern bool request_parse_path(Request *request);

/* Counts more bytes of the body: 0, or the status to refuse it with. */
extern int request_count_body(Request *request, size_t more);

/* An argument of the query; {NULL, 0}: there is none. */
extern Bytes web_arg(const Request *request, const char *name);

/* Whether the method is that one; HEAD is a GET without an answer's body. */
extern bool web_is(const Request *request, const char *method);

#endif /* GATEWAY_REQUEST_H */
