/*
 * api.c
 *	  The HTTP API of Pusher Channels, and what operators ask for.
 *
 * What is asked of channels is in api_channels.c, what is triggered in api_trigger.c.
 */
#include "protocol/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/metrics.h"
#include "base/names.h"
#include "base/options.h"
#include "database/everywhere.h"
#include "protocol/answers.h"
#include "protocol/api_auth.h"
#include "protocol/api_channels.h"
#include "protocol/api_trigger.h"
#include "protocol/bus.h"
#include "protocol/protocol.h"
#include "rooms/channel.h"

static bool draining;

void
api_drain(void)
{
	draining = true;
}

/* rest is ID/terminate_connections; the id may hold a slash */
static void
post_user(Request *request, App *app, const char *rest)
{
	const char *slash = strrchr(rest, '/');
	Bytes user_id = {rest, slash ? (size_t) (slash - rest) : 0};

	if (!slash || strcmp(slash, "/terminate_connections") != 0 || !is_user_id(user_id))
	{
		answer_text(request, 404, "there is nothing here");
		return;
	}
	protocol_terminate_user(app, user_id);
	answer_when_told(request, bus_terminate(app, user_id));
}

static void
handle_app(Request *request, App *app, const char *rest)
{
	bool post = web_is(request, "POST");

	if (post && strcmp(rest, "events") == 0)
		api_post_event(request, app);
	else if (post && strcmp(rest, "batch_events") == 0)
		api_post_batch(request, app);
	else if (post && strncmp(rest, "users/", 6) == 0)
		post_user(request, app, rest + 6);
	else if (!post && strcmp(rest, "channels") == 0)
		api_get_channels(request, app);
	else if (!post && strncmp(rest, "channels/", 9) == 0)
		api_get_channel(request, app, rest + 9);
	else
		answer_text(request, 404, "there is nothing here");
}

/*
 * Who asks
 */

static SignedRequest
signed_request(const Request *request)
{
	return (SignedRequest){.method = web_is(request, "POST")                            ? "POST"
									 : bytes_equal(request->head.method, BYTES("HEAD")) ? "HEAD"
																						: "GET",
						   .path = request->head.path,
						   .args = request->args,
						   .nargs = request->nargs,
						   .now = (long long) time(NULL)};
}

/* By the path as it came; or, with a prefix, by the path behind it. */
static bool
is_signed(const Request *request, const App *app, const char **why)
{
	SignedRequest what = signed_request(request);
	size_t prefix = options.path_prefix ? strlen(options.path_prefix) : 0;

	if (api_is_signed(&what, app, why))
		return true;
	if (!prefix || what.path.len <= prefix ||
		memcmp(what.path.data, options.path_prefix, prefix) != 0)
		return false;
	what.path = (Bytes){what.path.data + prefix, what.path.len - prefix};
	*why = NULL;
	return api_is_signed(&what, app, why);
}

static int
begin_signed(Request *request, const char **why)
{
	const char *id = request->path + strlen("/apps/");
	const char *slash = strchr(id, '/');
	App *app;

	metrics.api_requests++;
	*why = "this server is not ready";
	if (!apps_known())
		return 503;
	app = slash ? app_by_id((Bytes){id, (size_t) (slash - id)}) : NULL;
	*why = "there is no such app";
	if (!app)
		return 404;
	*why = NULL;
	if (!is_signed(request, app, why))
		return 401;
	request->app = app;
	return 0;
}

static bool
is_for_operators(const char *path)
{
	return strcmp(path, "/metrics") == 0 || strcmp(path, "/livez") == 0 ||
		   strcmp(path, "/readyz") == 0 || strcmp(path, "/healthz") == 0;
}

int
api_begins(Request *request, const char **why)
{
	bool operators = is_for_operators(request->path);

	*why = "there is nothing here";
	if (operators && options.admin_listen && !request->conn->admin)
		return 404;
	if (operators)
		return web_is(request, "GET") ? 0 : 405;
	if (!request->conn->admin && strncmp(request->path, "/apps/", 6) == 0)
		return begin_signed(request, why);
	return 404;
}

/*
 * What operators ask for
 */

static void
answer_metrics(Request *request)
{
	Buf text = {0};

	metrics_text(&text, databases_problem() == NULL);
	databases_add_metrics(&text);
	web_answer(request, 200, "text/plain; version=0.0.4", buf_bytes(&text), NULL);
	buf_free(&text);
}

/* Strangers are not told what fails where. */
static void
answer_ready(Request *request)
{
	const char *problem = databases_problem();
	char text[700];

	if (draining)
		answer_text(request, 503, "stopping");
	else if (!problem)
		answer_text(request, 200, "ok");
	else
	{
		snprintf(text, sizeof(text), "the database %s%s%s",
				 everywhere_connected() ? "does not do its work" : "is away",
				 request->conn->admin ? ": " : "", request->conn->admin ? problem : "");
		answer_text(request, 503, text);
	}
}

void
api_complete(Request *request)
{
	SignedRequest what = signed_request(request);

	if (strcmp(request->path, "/metrics") == 0)
		answer_metrics(request);
	else if (strcmp(request->path, "/livez") == 0)
		answer_text(request, 200, "ok");
	else if (!request->app)
		answer_ready(request);
	else if (!api_has_body(&what, buf_bytes(&request->body)))
		answer_text(request, 401, "body_md5 is not that of the body");
	else
		handle_app(request, request->app, strchr(request->path + strlen("/apps/"), '/') + 1);
}
