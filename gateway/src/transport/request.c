/*
 * request.c
 *	  An HTTP request: its head taken apart, its body counted.
 */
#include "transport/request.h"

#include <stdlib.h>

#include "base/options.h"

#define MAX_BODIES (32 * 1024 * 1024) /* all together */

static size_t bodies;

void
request_free(Request *request)
{
	bodies -= request->counted;
	for (int i = 0; i < request->nargs; i++)
		free(request->args[i]);
	free(request->path);
	free(request->text);
	buf_free(&request->body);
	free(request);
}

bool
request_parse_query(Request *request)
{
	Bytes rest = request->head.query;

	while (rest.len > 0)
	{
		const char *end = memchr(rest.data, '&', rest.len);
		size_t len = end ? (size_t) (end - rest.data) : rest.len;
		Buf arg = {0};

		if (len > 0)
		{
			if (request->nargs == WEB_MAX_ARGS || !http_decode((Bytes){rest.data, len}, true, &arg))
			{
				buf_free(&arg);
				return false;
			}
			request->args[request->nargs++] = arg.data;
		}
		len += end != NULL;
		rest = (Bytes){rest.data + len, rest.len - len};
	}
	return true;
}

bool
request_parse_path(Request *request)
{
	Bytes path = request->head.path;
	Bytes prefix = bytes_of(options.path_prefix ? options.path_prefix : "");
	Buf decoded = {0};

	while (prefix.len > 0 && prefix.data[prefix.len - 1] == '/')
		prefix.len--;
	if (prefix.len > 0 && bytes_start_with(path, prefix) && path.len > prefix.len &&
		path.data[prefix.len] == '/')
		path = (Bytes){path.data + prefix.len, path.len - prefix.len};
	if (!http_decode(path, false, &decoded))
	{
		buf_free(&decoded);
		return false;
	}
	request->path = decoded.data;
	return true;
}

Request *
request_new(Conn *conn, const char *text, size_t len)
{
	Request *request = xcalloc(1, sizeof(Request));

	request->conn = conn;
	request->text = xstrndup(text, len);
	http_parse((Bytes){request->text, len}, &request->head);
	conn->owner = request;
	return request;
}

bool
web_is(const Request *request, const char *method)
{
	Bytes name = request->head.method;

	if (bytes_equal(name, BYTES("HEAD")))
		name = BYTES("GET");
	return bytes_equal(name, bytes_of(method));
}

Bytes
web_arg(const Request *request, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < request->nargs; i++)
		if (strncmp(request->args[i], name, len) == 0 && request->args[i][len] == '=')
			return bytes_of(request->args[i] + len + 1);
	return (Bytes){0};
}

int
request_count_body(Request *request, size_t more)
{
	if (request->body.len + more > WEB_MAX_BODY)
		return 413;
	if (bodies + more > MAX_BODIES)
		return 503;
	bodies += more;
	request->counted += more;
	return 0;
}
