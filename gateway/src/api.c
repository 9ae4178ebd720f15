/*
 * api.c
 *	  The HTTP API of Pusher Channels, and what operators ask for.
 *
 * Which members a room has, the database says; which channels have subscribers, and how
 * many, this gateway knows of itself only.
 */
#include "api.h"

#include <stdlib.h>

#include "api_trigger.h"
#include "bus.h"
#include "channel.h"
#include "database.h"
#include "json.h"
#include "message.h"
#include "metrics.h"
#include "protocol.h"

static bool draining;

/* A query of the database that a request waits for. */
typedef struct Query
{
	Request *request;
	App *app;
	bool with_count;
	Bytes prefix; /* points into the request */
	char *channel;
} Query;

void
api_drain(void)
{
	draining = true;
}

void
api_answer_json(Request *request, const json_t *json)
{
	Buf text = {0};

	json_add(&text, json);
	http_answer(request, 200, "application/json", buf_bytes(&text));
	buf_free(&text);
}

void
api_refuse(Request *request, int status, const char *why)
{
	http_answer(request, status, "text/plain", bytes_of(why));
}

static void
free_query(Query *query)
{
	free(query->channel);
	free(query);
}

/* The connection was lost while the request waited. */
static void
query_forgotten(void *arg)
{
	Query *query = arg;

	api_refuse(query->request, 503, "the database is away\n");
	free_query(query);
}

static void
ask(Query *query, const char *statement, const char *value, PgAnswer answer)
{
	const char *values[] = {value};

	query->request->waiting = true;
	database_ask(statement, value ? 1 : 0, values, answer, query_forgotten, query);
}

static bool
query_failed(Query *query, bool ok)
{
	if (!ok)
	{
		api_refuse(query->request, 500, "the database refused\n");
		free_query(query);
	}
	return !ok;
}

/* info=user_count,subscription_count */
static bool
asks_for(const Request *request, const char *what)
{
	Bytes info = http_arg(request, "info");
	size_t len = strlen(what);

	for (size_t i = 0; i + len <= info.len; i++)
		if ((i == 0 || info.data[i - 1] == ',') && memcmp(info.data + i, what, len) == 0 &&
			(i + len == info.len || info.data[i + len] == ','))
			return true;
	return false;
}

/*
 * GET /channels
 */

static bool
is_listed(const Query *query, Bytes name)
{
	return name.data[0] != '#' && bytes_start_with(name, query->prefix);
}

static void
add_own_channels(const Query *query, json_t *channels)
{
	for (const Channel *channel = query->app->channels; channel; channel = channel->hh.next)
		if (channel->kind != CHANNEL_ROOM && is_listed(query, channel_name(channel)))
			json_object_set_new(channels, channel->name, json_object());
}

static void
counted(const PGresult *result, bool ok, void *arg)
{
	Query *query = arg;
	json_t *channels;
	json_t *answer;

	if (query_failed(query, ok))
		return;
	channels = json_object();
	for (int i = 0; i < PQntuples(result); i++)
	{
		Buf name = {0};

		buf_addf(&name, "%s%s", settings.channel_prefix, PQgetvalue(result, i, 0));
		if (is_listed(query, buf_bytes(&name)))
			json_object_set_new(
				channels, name.data,
				query->with_count ? json_pack("{s:i}", "user_count", atoi(PQgetvalue(result, i, 1)))
								  : json_object());
		buf_free(&name);
	}
	add_own_channels(query, channels);
	answer = json_pack("{s:o}", "channels", channels);
	api_answer_json(query->request, answer);
	json_decref(answer);
	free_query(query);
}

static void
get_channels(Request *request, App *app)
{
	Query *query = xcalloc(1, sizeof(Query));

	query->request = request;
	query->app = app;
	query->prefix = http_arg(request, "filter_by_prefix");
	if (!query->prefix.data)
		query->prefix = BYTES("");
	query->with_count = asks_for(request, "user_count");
	if (query->with_count && !bytes_start_with(query->prefix, BYTES("presence-")))
	{
		free_query(query);
		api_refuse(request, 400,
				   "user_count is for presence channels: filter_by_prefix=presence-\n");
		return;
	}
	ask(query, STATEMENT_COUNTS, NULL, counted);
}

/*
 * GET /channels/NAME, and its users
 */

static void
answer_channel(Query *query, bool occupied, int users)
{
	const Channel *channel = channel_find(query->app, bytes_of(query->channel));
	json_t *answer = json_pack("{s:b}", "occupied", occupied);

	if (asks_for(query->request, "user_count") && users >= 0)
		json_object_set_new(answer, "user_count", json_integer(users));
	if (asks_for(query->request, "subscription_count"))
		json_object_set_new(answer, "subscription_count",
							json_integer(channel ? channel->nsubscriptions : 0));
	api_answer_json(query->request, answer);
	json_decref(answer);
	free_query(query);
}

static void
counted_one(const PGresult *result, bool ok, void *arg)
{
	int users;

	if (query_failed(arg, ok))
		return;
	users = atoi(PQgetvalue(result, 0, 0));
	answer_channel(arg, users > 0, users);
}

static void
listed_users(const PGresult *result, bool ok, void *arg)
{
	Query *query = arg;
	json_t *users;
	json_t *answer;

	if (query_failed(query, ok))
		return;
	users = json_array();
	for (int i = 0; i < PQntuples(result); i++)
		json_array_append_new(users, json_pack("{s:s}", "id", PQgetvalue(result, i, 0)));
	answer = json_pack("{s:o}", "users", users);
	api_answer_json(query->request, answer);
	json_decref(answer);
	free_query(query);
}

/* rest is NAME or NAME/users */
static void
get_channel(Request *request, App *app, const char *rest)
{
	const char *slash = strchr(rest, '/');
	Bytes name = {rest, slash ? (size_t) (slash - rest) : strlen(rest)};
	ChannelKind kind = channel_kind(name);
	bool users = slash && strcmp(slash, "/users") == 0;
	Query *query;

	if (slash && !users)
	{
		api_refuse(request, 404, "there is nothing here\n");
		return;
	}
	if (kind != CHANNEL_ROOM && (users || asks_for(request, "user_count")))
	{
		api_refuse(request, 400, "users are of presence channels\n");
		return;
	}
	query = xcalloc(1, sizeof(Query));
	query->request = request;
	query->app = app;
	query->channel = xstrndup(name.data, name.len);
	if (kind == CHANNEL_ROOM)
		ask(query, users ? STATEMENT_USERS : STATEMENT_COUNT,
			query->channel + strlen(settings.channel_prefix), users ? listed_users : counted_one);
	else
		answer_channel(query, channel_find(app, name) != NULL, -1);
}

/* rest is ID/terminate_connections */
static void
post_user(Request *request, App *app, const char *rest)
{
	const char *slash = strrchr(rest, '/');
	Bytes user_id = {rest, slash ? (size_t) (slash - rest) : 0};

	if (!slash || strcmp(slash, "/terminate_connections") != 0 || !is_user_id(user_id))
	{
		api_refuse(request, 404, "there is nothing here\n");
		return;
	}
	protocol_terminate_user(app, user_id);
	bus_terminate(app, user_id);
	http_answer(request, 200, "application/json", BYTES("{}"));
}

static void
handle_app(Request *request, App *app, const char *rest)
{
	if (request->post && strcmp(rest, "events") == 0)
		api_post_event(request, app);
	else if (request->post && strcmp(rest, "batch_events") == 0)
		api_post_batch(request, app);
	else if (request->post && strncmp(rest, "users/", 6) == 0)
		post_user(request, app, rest + 6);
	else if (!request->post && strcmp(rest, "channels") == 0)
		get_channels(request, app);
	else if (!request->post && strncmp(rest, "channels/", 9) == 0)
		get_channel(request, app, rest + 9);
	else
		api_refuse(request, 404, "there is nothing here\n");
}

static void
handle_signed(Request *request)
{
	const char *id = request->path + strlen("/apps/");
	const char *slash = strchr(id, '/');
	App *app = slash ? app_by_id((Bytes){id, (size_t) (slash - id)}) : NULL;
	const char *why = "there is no such app\n";

	metrics.api_requests++;
	if (!apps_known)
		api_refuse(request, 503, "the database is away\n");
	else if (!app)
		api_refuse(request, 404, why);
	else if (!api_is_signed(request, app, &why))
		api_refuse(request, 401, why);
	else
		handle_app(request, app, slash + 1);
}

static void
answer_metrics(Request *request)
{
	Buf text = {0};

	metrics_text(&text, database_healthy());
	http_answer(request, 200, "text/plain; version=0.0.4", buf_bytes(&text));
	buf_free(&text);
}

void
api_handle(Request *request)
{
	if (strncmp(request->path, "/apps/", 6) == 0)
		handle_signed(request);
	else if (!request->post && strcmp(request->path, "/metrics") == 0)
		answer_metrics(request);
	else if (!request->post && strcmp(request->path, "/healthz") == 0)
	{
		if (draining)
			api_refuse(request, 503, "stopping\n");
		else if (!database_healthy())
			api_refuse(request, 503, "the database is away\n");
		else
			api_refuse(request, 200, "ok\n");
	}
	else
		api_refuse(request, 404, "there is nothing here\n");
}
