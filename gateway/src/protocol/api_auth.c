/*
 * api_auth.c
 *	  Whether a request of the HTTP API is signed: Pusher's "HTTP API: authentication".
 */
#include "protocol/api_auth.h"

#include <stdlib.h>

#define WINDOW_SECONDS 600

static int
compare_args(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

static Bytes
arg(const SignedRequest *request, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; i < request->nargs; i++)
		if (strncmp(request->args[i], name, len) == 0 && request->args[i][len] == '=')
			return bytes_of(request->args[i] + len + 1);
	return (Bytes){0};
}

/* Names of parameters are lower case in what is signed. */
static void
add_arg(Buf *out, const char *text)
{
	const char *p = text;

	for (; *p && *p != '='; p++)
		buf_addc(out, *p >= 'A' && *p <= 'Z' ? (char) (*p - 'A' + 'a') : *p);
	buf_adds(out, p);
}

static void
add_signed_text(Buf *out, const SignedRequest *request)
{
	char *sorted[MAX_SIGNED_ARGS] = {NULL};
	int n = 0;

	for (int i = 0; i < request->nargs && n < MAX_SIGNED_ARGS; i++)
		if (strncmp(request->args[i], "auth_signature=", 15) != 0)
			sorted[n++] = request->args[i];
	qsort(sorted, (size_t) n, sizeof(sorted[0]), compare_args);
	buf_addf(out, "%s\n", request->method);
	buf_add(out, request->path.data, request->path.len);
	buf_addc(out, '\n');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			buf_addc(out, '&');
		add_arg(out, sorted[i]);
	}
}

static bool
is_current(const SignedRequest *request)
{
	Bytes timestamp = arg(request, "auth_timestamp");
	char *end;
	long long at;

	if (timestamp.len == 0 || timestamp.len > 15)
		return false;
	at = strtoll(timestamp.data, &end, 10);
	return *end == '\0' && llabs(request->now - at) <= WINDOW_SECONDS;
}

static bool
signs_text(Bytes secret, const void *what, char hex[SIGNATURE_HEX_LEN + 1])
{
	return signature_hmac(secret, what, 1, hex);
}

bool
api_is_signed(const SignedRequest *request, const App *app, const char **why)
{
	const AppKey *key = app_key_find(arg(request, "auth_key"));
	Buf text = {0};
	Bytes part;
	bool ok;

	if (!key || key->app != app || !key->enabled)
		*why = "auth_key is not the app's";
	else if (!bytes_equal(arg(request, "auth_version"), BYTES("1.0")))
		*why = "auth_version must be 1.0";
	else if (!is_current(request))
		*why = "auth_timestamp must be within 600 seconds of the server's time";
	else
	{
		add_signed_text(&text, request);
		part = buf_bytes(&text);
		ok = app_key_signed(key, signs_text, &part, arg(request, "auth_signature"));
		*why = ok ? NULL : "auth_signature is not valid";
		buf_free(&text);
	}
	return *why == NULL;
}

bool
api_has_body(const SignedRequest *request, Bytes body)
{
	char md5[SIGNATURE_MD5_HEX_LEN + 1];

	if (body.len == 0)
		return true;
	return signature_md5(body, md5) &&
		   bytes_equal(arg(request, "body_md5"), (Bytes){md5, SIGNATURE_MD5_HEX_LEN});
}
