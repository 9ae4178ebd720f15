/*
 * api_channels.c
 *	  The part of the HTTP API that asks for channels and their users.
 *
 * Which members a room has, the database says, and what the other gateways have of other
 * channels; what is here is added. A long answer is copied over several turns of the loop.
 */
#include "protocol/api_channels.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"
#include "base/names.h"
#include "database/everywhere.h"
#include "protocol/answers.h"
#include "protocol/info.h"
#include "rooms/cache_read.h"
#include "rooms/channel.h"
#include "rooms/state.h"

#define BYTES_A_TURN (256 * 1024)

/* A request that waits for the database. */
typedef struct Query
{
	Request *request;
	App *app;
	Bytes prefix; /* points into the request */
	InfoWanted wanted;
	json_t *names; /* of GET /channels/NAME: the name */
	Buf answer;    /* and what is known of it */

	/* What the database has answered: the first columns of all rows, with commas between. */
	Buf rows;
	Answers answers; /* that are being copied */
	int result;      /* the one that is next */
	int row;
	void (*copied)(struct Query *query);
	struct Query *prev, *next;
} Query;

static Query *copying;

static Query *
new_query(Request *request, App *app)
{
	Query *query = xcalloc(1, sizeof(Query));

	query->request = request;
	query->app = app;
	query->wanted = info_wanted(web_arg(request, "info"));
	return query;
}

static void
free_query(Query *query)
{
	buf_free(&query->rows);
	json_decref(query->names);
	buf_free(&query->answer);
	free(query);
}

static void
refuse_query(Query *query, const char *problem)
{
	answer_text(query->request, 503, problem);
	free_query(query);
}

/* The connection was lost while the request waited. */
static void
query_forgotten(void *arg)
{
	refuse_query(arg, "the database is away");
}

static void
ask(Query *query, Statement statement, const char *const *values, PgAnswer answer)
{
	query->request->waiting = true;
	database_ask(HOME, statement, values, answer, query_forgotten, query);
}

static void
ask_everywhere(Query *query, Statement statement, const char *const *values, AnswersTaken taken)
{
	query->request->waiting = true;
	everywhere_ask(statement, values, taken, query);
}

/*
 * Rows
 */

static void
copy_rows(Query *query, const Answers *answers, void (*copied)(Query *query))
{
	size_t len = 0;

	if (answers->problem)
	{
		refuse_query(query, answers->problem);
		return;
	}
	query->answers = answers_keep(answers);
	query->copied = copied;
	for (int i = 0; i < answers->n; i++)
		for (int row = 0; row < PQntuples(answers->results[i]); row++)
			len += 1 + (size_t) PQgetlength(answers->results[i], row, 0);
	buf_reserve(&query->rows, len);
	DL_APPEND(copying, query);
}

/* False: that was all. */
static bool
copy_row(Query *query)
{
	const PGresult *result;

	if (query->result == query->answers.n)
		return false;
	result = query->answers.results[query->result];
	if (query->row == PQntuples(result))
	{
		query->result++;
		query->row = 0;
		return true;
	}
	if (query->rows.len > 0)
		buf_addc(&query->rows, ',');
	buf_add(&query->rows, PQgetvalue(result, query->row, 0),
			(size_t) PQgetlength(result, query->row, 0));
	query->row++;
	return true;
}

void
api_channels_flush(void)
{
	Query *query = copying;
	size_t limit = query ? query->rows.len + BYTES_A_TURN : 0;

	while (query && query->rows.len < limit)
		if (!copy_row(query))
		{
			DL_DELETE(copying, query);
			answers_free(&query->answers);
			query->copied(query);
			return;
		}
}

bool
api_channels_busy(void)
{
	return copying != NULL;
}

/* Between begin and rest, which is freed, and the query with it. */
static void
answer_rows(Query *query, const char *begin, const Buf *rest)
{
	Buf parts[] = {{0}, query->rows, *rest};

	query->rows = (Buf){0};
	buf_adds(&parts[0], begin);
	web_answer_parts(query->request, "application/json", parts, 3);
	free_query(query);
}

static bool
query_failed(Query *query, bool ok)
{
	if (!ok)
		refuse_query(query, "the database does not answer this now");
	return !ok;
}

/*
 * GET /channels: the rooms first, then what other gateways have, with what is here.
 */

static void
count_in(json_t *counts, Bytes name, int n)
{
	char *key = xstrndup(name.data, name.len);
	const json_t *known = json_object_get(counts, key);

	json_object_set_new(counts, key, json_integer(json_integer_value(known) + n));
	free(key);
}

static void
count_own(const Query *query, json_t *counts)
{
	for (const Channel *channel = query->app->channels; channel; channel = channel->hh.next)
		if (channel_is_counted(channel->kind) &&
			bytes_start_with(channel_name(channel), query->prefix))
			count_in(counts, channel_name(channel), (int) channel->nsubscriptions);
}

static void
add_others(Buf *out, const Query *query, json_t *counts, bool any)
{
	const char *name;
	const json_t *n;

	json_object_foreach(counts, name, n)
	{
		ChannelInfo info = {bytes_of(name), -1, (int) json_integer_value(n)};

		if (any || out->len > 0)
			buf_addc(out, ',');
		json_add_string(out, info.channel);
		buf_addc(out, ':');
		info_add(out, &info, query->wanted);
	}
}

static void
answer_channels(Query *query, json_t *counts)
{
	Buf rest = {0};

	count_own(query, counts);
	add_others(&rest, query, counts, query->rows.len > 0);
	buf_adds(&rest, "}}");
	json_decref(counts);
	answer_rows(query, "{\"channels\":{", &rest);
}

static void
took_occupied(const PGresult *result, bool ok, void *arg)
{
	json_t *counts;

	if (query_failed(arg, ok))
		return;
	counts = json_object();
	for (int i = 0; i < PQntuples(result); i++)
		count_in(counts, bytes_of(PQgetvalue(result, i, 0)), atoi(PQgetvalue(result, i, 1)));
	answer_channels(arg, counts);
}

static void
ask_occupied(Query *query)
{
	char *prefix = xstrndup(query->prefix.data, query->prefix.len);

	if (database_knows(HOME, STATEMENT_OCCUPIED))
		ask(query, STATEMENT_OCCUPIED,
			(const char *const[]){query->app->id, prefix, state_gateway()}, took_occupied);
	else
		answer_channels(query, json_object());
	free(prefix);
}

static void
took_rooms(const Answers *answers, void *arg)
{
	copy_rows(arg, answers, ask_occupied);
}

/* Rooms whose channels begin with the prefix; there are none if it is that of other channels. */
static void
ask_rooms(Query *query)
{
	Bytes rooms = BYTES("presence-");
	Bytes prefix = query->prefix;
	Buf begin = {0};

	if (!bytes_start_with(prefix, rooms) && !bytes_start_with(rooms, prefix))
	{
		ask_occupied(query);
		return;
	}
	buf_add(&begin, prefix.data, prefix.len);
	ask_everywhere(query, STATEMENT_CHANNELS,
				   (const char *const[]){settings.channel_prefix, query->app->room_prefix,
										 query->app->channel_rooms, begin.data ? begin.data : "",
										 query->wanted.user_count ? "true" : "false",
										 query->wanted.subscription_count ? "true" : "false"},
				   took_rooms);
	buf_free(&begin);
}

void
api_get_channels(Request *request, App *app)
{
	Bytes prefix = web_arg(request, "filter_by_prefix");
	Query *query;

	if (info_wanted(web_arg(request, "info")).user_count &&
		!bytes_start_with(prefix, BYTES("presence-")))
	{
		answer_text(request, 400,
					"user_count is for presence channels: filter_by_prefix=presence-");
		return;
	}
	query = new_query(request, app);
	query->prefix = prefix.data ? prefix : BYTES("");
	ask_rooms(query);
}

/*
 * GET /channels/NAME, and its users
 */

/* cache: that attribute, or NULL */
static void
answer_channel(Query *query, const char *cache)
{
	if (cache)
		buf_addf(&query->answer, ",\"cache\":%s", cache);
	buf_addc(&query->answer, '}');
	answer_json(query->request, buf_bytes(&query->answer));
	free_query(query);
}

static void
found_cache(bool ok, const char *json, void *arg)
{
	if (!query_failed(arg, ok))
		answer_channel(arg, json);
}

static void
took_channel(const ChannelInfo *info, int n, const char *problem, void *arg)
{
	Query *query = arg;
	Buf attributes = {0};
	bool occupied;

	if (problem || n != 1)
	{
		refuse_query(query, problem);
		return;
	}
	occupied = info->users >= 0 ? info->users > 0 : info->subscriptions > 0;
	info_add(&attributes, info, query->wanted);
	buf_addf(&query->answer, "{\"occupied\":%s%s%.*s", occupied ? "true" : "false",
			 attributes.len > 2 ? "," : "", (int) attributes.len - 2, attributes.data + 1);
	buf_free(&attributes);
	if (info_lists(web_arg(query->request, "info"), "cache") && is_cache_channel(info->channel))
		cache_look_up(query->app, info->channel, found_cache, query);
	else
		answer_channel(query, NULL);
}

static void
answer_users(Query *query)
{
	Buf rest = {0};

	buf_adds(&rest, "]}");
	answer_rows(query, "{\"users\":[", &rest);
}

static void
listed_users(const Answers *answers, void *arg)
{
	copy_rows(arg, answers, answer_users);
}

static void
ask_users(Query *query, Bytes channel)
{
	Bytes book_id = {0};

	room_of_channel(query->app, channel, &book_id);
	ask_everywhere(query, STATEMENT_USERS, (const char *const[]){book_id.data}, listed_users);
}

static void
ask_channel(Query *query, Bytes channel)
{
	query->request->waiting = true;
	query->names = json_pack("[o]", json_stringn(channel.data, channel.len));
	info_ask(query->app, query->names, query->wanted, took_channel, query);
}

void
api_get_channel(Request *request, App *app, const char *rest)
{
	const char *slash = strchr(rest, '/');
	Bytes name = {rest, slash ? (size_t) (slash - rest) : strlen(rest)};
	bool users = slash && strcmp(slash, "/users") == 0;
	bool is_room = channel_kind(app, name) == CHANNEL_ROOM;

	if (slash && !users)
		answer_text(request, 404, "there is nothing here");
	else if (!is_channel_name(name))
		answer_text(request, 400, "there can be no such channel");
	else if (!is_room && (users || info_wanted(web_arg(request, "info")).user_count))
		answer_text(request, 400, "users are of presence channels");
	else if (users)
		ask_users(new_query(request, app), name);
	else
		ask_channel(new_query(request, app), name);
}
