/*
 * http.c
 *	  One HTTP request, and its answer, which may come later.
 */
#include "http.h"

#include <stdlib.h>

#include "api.h"

#define MAX_ARG     2048
#define MAX_BODY    (512 * 1024) /* ten events of a batch, with room */
#define MAX_HEADERS 1024

Request *
http_begin(struct lws *wsi, const char *path, bool post)
{
	Request *request = xcalloc(1, sizeof(Request));
	char arg[MAX_ARG];
	int len;

	request->wsi = wsi;
	request->post = post;
	request->path = xstrdup(path);
	while ((len = lws_hdr_copy_fragment(wsi, arg, sizeof(arg), WSI_TOKEN_HTTP_URI_ARGS,
										request->nargs)) >= 0)
	{
		if (request->nargs == MAX_QUERY_ARGS)
		{
			http_closed(request);
			return NULL;
		}
		request->args[request->nargs++] = xstrndup(arg, (size_t) len);
	}
	return request;
}

static void
free_request(Request *request)
{
	for (int i = 0; i < request->nargs; i++)
		free(request->args[i]);
	free(request->path);
	buf_free(&request->body);
	buf_free(&request->answer);
	free(request);
}

void
http_closed(Request *request)
{
	request->wsi = NULL;
	if (!request->waiting)
		free_request(request);
}

/* A body that is too large is read to its end, which the client waits for before it looks at
 * answers. */
void
http_body(Request *request, const void *data, size_t len)
{
	request->too_large |= request->body.len + len > MAX_BODY;
	if (request->too_large)
		buf_free(&request->body);
	else
		buf_add(&request->body, data, len);
}

void
http_complete(Request *request)
{
	if (request->handled)
		return;
	request->handled = true;
	if (request->too_large)
		http_answer(request, 413, "text/plain", BYTES("the body is too large\n"));
	else
		api_handle(request);
}

void
http_answer(Request *request, int status, const char *content_type, Bytes text)
{
	if (!request->wsi)
	{
		free_request(request);
		return;
	}
	request->waiting = false;
	request->status = status;
	request->content_type = content_type;
	buf_reset(&request->answer);
	buf_add(&request->answer, text.data, text.len);
	lws_callback_on_writable(request->wsi);
}

int
http_writable(Request **where)
{
	Request *request = *where;
	unsigned char headers[LWS_PRE + MAX_HEADERS];
	unsigned char *begin = headers + LWS_PRE;
	unsigned char *p = begin;
	Buf *answer = &request->answer;
	struct lws *wsi = request->wsi;
	bool bad;

	if (request->status == 0)
		return 0;
	bad = lws_add_http_common_headers(wsi, (unsigned) request->status, request->content_type,
									  answer->len, &p, headers + sizeof(headers)) ||
		  lws_finalize_write_http_header(wsi, begin, &p, headers + sizeof(headers)) ||
		  (answer->len > 0 &&
		   lws_write(wsi, (unsigned char *) answer->data, answer->len, LWS_WRITE_HTTP_FINAL) < 0);
	*where = NULL;
	free_request(request);
	return bad || lws_http_transaction_completed(wsi) ? -1 : 0;
}

Bytes
http_arg(const Request *request, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < request->nargs; i++)
		if (strncmp(request->args[i], name, len) == 0 && request->args[i][len] == '=')
			return bytes_of(request->args[i] + len + 1);
	return (Bytes){0};
}
