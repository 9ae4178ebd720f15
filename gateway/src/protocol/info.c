/*
 * info.c
 *	  Attributes of channels, as the HTTP API's "info" asks for them: over all gateways.
 */
#include "protocol/info.h"

#include <stdlib.h>

#include "database/everywhere.h"
#include "rooms/channel.h"
#include "rooms/state.h"

typedef struct InfoQuery
{
	App *app;
	const json_t *names;
	InfoTaken taken;
	void *arg;
	ChannelInfo *list; /* the answer; one for each name */
	int n;
	int nrooms;
	Buf rooms;  /* arrays of what is asked: channels of rooms, */
	Buf books;  /* their rooms, */
	Buf others; /* other channels */
} InfoQuery;

bool
info_lists(Bytes info, const char *what)
{
	size_t len = strlen(what);

	for (size_t i = 0; i + len <= info.len; i++)
		if ((i == 0 || info.data[i - 1] == ',') && memcmp(info.data + i, what, len) == 0 &&
			(i + len == info.len || info.data[i + len] == ','))
			return true;
	return false;
}

InfoWanted
info_wanted(Bytes info)
{
	return (InfoWanted){info_lists(info, "user_count"), info_lists(info, "subscription_count")};
}

void
info_add(Buf *out, const ChannelInfo *info, InfoWanted wanted)
{
	bool users = info && wanted.user_count && info->users >= 0;

	buf_addc(out, '{');
	if (users)
		buf_addf(out, "\"user_count\":%d", info->users);
	if (info && wanted.subscription_count)
		buf_addf(out, "%s\"subscription_count\":%d", users ? "," : "", info->subscriptions);
	buf_addc(out, '}');
}

static Bytes
name_at(const json_t *names, size_t i)
{
	return json_bytes(json_array_get(names, i));
}

/* What the gateway itself has; a room's the database knows. */
static ChannelInfo
own_info(const App *app, Bytes name)
{
	const Channel *channel = channel_find(app, name);
	ChannelInfo info = {name, -1, 0};

	if (channel && channel->kind != CHANNEL_ROOM)
		info.subscriptions = (int) channel->nsubscriptions;
	return info;
}

/* channel, users or NULL, subscriptions */
static void
add_row(InfoQuery *query, const PGresult *result, int row)
{
	Bytes name = bytes_of(PQgetvalue(result, row, 0));

	for (int i = 0; i < query->n; i++)
	{
		ChannelInfo *info = &query->list[i];

		if (!bytes_equal(info->channel, name))
			continue;
		info->subscriptions += atoi(PQgetvalue(result, row, 2));
		if (!PQgetisnull(result, row, 1))
			info->users = (info->users < 0 ? 0 : info->users) + atoi(PQgetvalue(result, row, 1));
	}
}

static void
add_rows(InfoQuery *query, const PGresult *result)
{
	for (int row = 0; row < PQntuples(result); row++)
		add_row(query, result, row);
}

static void
finish(InfoQuery *query, const char *problem)
{
	query->taken(problem ? NULL : query->list, problem ? 0 : query->n, problem, query->arg);
	free(query->list);
	buf_free(&query->rooms);
	buf_free(&query->books);
	buf_free(&query->others);
	free(query);
}

static void
took_info(const PGresult *result, bool ok, void *arg)
{
	if (ok)
		add_rows(arg, result);
	finish(arg, ok ? NULL : "the database does not answer this now");
}

static void
info_forgotten(void *arg)
{
	finish(arg, "the database is away");
}

/* Of rooms: those of home, or none if all databases have been asked. */
static void
ask_home(InfoQuery *query, bool rooms, bool connections)
{
	database_ask(HOME, database_knows(HOME, STATEMENT_INFO) ? STATEMENT_INFO : STATEMENT_INFO_ROOMS,
				 (const char *const[]){rooms ? query->rooms.data : "{}",
									   rooms ? query->books.data : "{}",
									   connections ? "true" : "false", query->app->id,
									   query->others.data, state_gateway()},
				 took_info, info_forgotten, query);
}

static void
took_rooms(const Answers *answers, void *arg)
{
	InfoQuery *query = arg;

	if (answers->problem)
	{
		finish(query, answers->problem);
		return;
	}
	for (int i = 0; i < answers->n; i++)
		add_rows(query, answers->results[i]);
	ask_home(query, false, false);
}

static void
gather(InfoQuery *query)
{
	buf_addc(&query->rooms, '{');
	buf_addc(&query->books, '{');
	buf_addc(&query->others, '{');
	for (int i = 0; i < query->n; i++)
	{
		Bytes name = name_at(query->names, (size_t) i);
		Bytes book_id;
		bool is_room = room_of_channel(query->app, name, &book_id);

		query->list[i] = own_info(query->app, name);
		buf_add_element(is_room ? &query->rooms : &query->others, name);
		if (!is_room)
			continue;
		buf_add_element(&query->books, book_id);
		query->nrooms++;
	}
	buf_addc(&query->rooms, '}');
	buf_addc(&query->books, '}');
	buf_addc(&query->others, '}');
}

void
info_ask(App *app, const json_t *names, InfoWanted wanted, InfoTaken taken, void *arg)
{
	InfoQuery *query = xcalloc(1, sizeof(InfoQuery));

	*query = (InfoQuery){
		.app = app, .names = names, .taken = taken, .arg = arg, .n = (int) json_array_size(names)};
	query->list = xcalloc((size_t) query->n + 1, sizeof(ChannelInfo));
	gather(query);
	if (databases_several() && query->nrooms > 0)
		everywhere_ask(STATEMENT_INFO_ONLINE,
					   (const char *const[]){query->rooms.data, query->books.data}, took_rooms,
					   query);
	else
		ask_home(query, true, wanted.subscription_count);
}
