/*
 * api_auth.c
 *	  Whether a request of the HTTP API is signed: Pusher's "HTTP API: authentication".
 *
 * Signed is the method, the path and the parameters in the order of their names, not
 * encoded; a parameter holds the MD5 of the body.
 */
#include <stdlib.h>
#include <time.h>

#include "api.h"

#define WINDOW_SECONDS 600

static int
compare_args(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Names of parameters are lower case in what is signed. */
static void
add_arg(Buf *out, const char *arg)
{
	const char *p = arg;

	for (; *p && *p != '='; p++)
		buf_addc(out, *p >= 'A' && *p <= 'Z' ? (char) (*p - 'A' + 'a') : *p);
	buf_adds(out, p);
}

static void
add_signed_text(Buf *out, const Request *request)
{
	char *sorted[MAX_QUERY_ARGS] = {NULL};
	int n = 0;

	for (int i = 0; i < request->nargs; i++)
		if (strncmp(request->args[i], "auth_signature=", 15) != 0)
			sorted[n++] = request->args[i];
	qsort(sorted, (size_t) n, sizeof(sorted[0]), compare_args);
	buf_addf(out, "%s\n%s\n", request->post ? "POST" : "GET", request->path);
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			buf_addc(out, '&');
		add_arg(out, sorted[i]);
	}
}

static bool
is_current(const Request *request)
{
	Bytes timestamp = http_arg(request, "auth_timestamp");
	char *end;
	long long at;

	if (timestamp.len == 0)
		return false;
	at = strtoll(timestamp.data, &end, 10);
	return *end == '\0' && llabs((long long) time(NULL) - at) <= WINDOW_SECONDS;
}

static bool
has_body_md5(const Request *request)
{
	char md5[SIGNATURE_MD5_HEX_LEN + 1];

	if (request->body.len == 0)
		return true;
	return signature_md5(buf_bytes(&request->body), md5) &&
		   bytes_equal(http_arg(request, "body_md5"), (Bytes){md5, SIGNATURE_MD5_HEX_LEN});
}

bool
api_is_signed(const Request *request, const App *app, const char **why)
{
	char expected[SIGNATURE_HEX_LEN + 1];
	Buf text = {0};
	Bytes part;
	bool ok = false;

	if (!bytes_equal(http_arg(request, "auth_key"), bytes_of(app->key)))
		*why = "auth_key is not the app's\n";
	else if (!bytes_equal(http_arg(request, "auth_version"), BYTES("1.0")))
		*why = "auth_version must be 1.0\n";
	else if (!is_current(request))
		*why = "auth_timestamp must be within 600 seconds of the server's time\n";
	else if (!has_body_md5(request))
		*why = "body_md5 is not that of the body\n";
	else
	{
		add_signed_text(&text, request);
		part = buf_bytes(&text);
		ok = signature_hmac(bytes_of(app->secret), &part, 1, expected) &&
			 signature_equal(expected, http_arg(request, "auth_signature"));
		*why = "auth_signature is not valid\n";
	}
	buf_free(&text);
	return ok;
}
