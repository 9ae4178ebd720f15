/*
 * info.c
 *	  Attributes of channels, as the HTTP API's "info" asks for them: over all gateways.
 */
#include "protocol/info.h"

#include <stdlib.h>

#include "database/database.h"
#include "rooms/channel.h"
#include "rooms/state.h"

typedef struct InfoQuery
{
	App *app;
	const json_t *names;
	InfoTaken taken;
	void *arg;
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
	bool users = wanted.user_count && info->users >= 0;

	buf_addc(out, '{');
	if (users)
		buf_addf(out, "\"user_count\":%d", info->users);
	if (wanted.subscription_count)
		buf_addf(out, "%s\"subscription_count\":%d", users ? "," : "", info->subscriptions);
	buf_addc(out, '}');
}

static Bytes
name_at(const json_t *names, size_t i)
{
	const json_t *name = json_array_get(names, i);

	return (Bytes){json_string_value(name), json_string_length(name)};
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

static void
add_row(ChannelInfo *list, int n, const PGresult *result, int row)
{
	Bytes name = bytes_of(PQgetvalue(result, row, 0));

	for (int i = 0; i < n; i++)
	{
		if (!bytes_equal(list[i].channel, name))
			continue;
		list[i].subscriptions += atoi(PQgetvalue(result, row, 2));
		if (!PQgetisnull(result, row, 1))
			list[i].users = atoi(PQgetvalue(result, row, 1));
	}
}

static void
took_info(const PGresult *result, bool ok, void *arg)
{
	InfoQuery query = *(InfoQuery *) arg;
	int n = (int) json_array_size(query.names);
	ChannelInfo *list;

	free(arg);
	if (!ok)
	{
		query.taken(NULL, 0, "the database does not answer this now", query.arg);
		return;
	}
	list = xcalloc((size_t) n + 1, sizeof(ChannelInfo));
	for (int i = 0; i < n; i++)
		list[i] = own_info(query.app, name_at(query.names, (size_t) i));
	for (int row = 0; row < PQntuples(result); row++)
		add_row(list, n, result, row);
	query.taken(list, n, NULL, query.arg);
	free(list);
}

static void
info_forgotten(void *arg)
{
	InfoQuery query = *(InfoQuery *) arg;

	free(arg);
	query.taken(NULL, 0, "the database is away", query.arg);
}

void
info_ask(App *app, const json_t *names, InfoWanted wanted, InfoTaken taken, void *arg)
{
	InfoQuery *query = xcalloc(1, sizeof(InfoQuery));
	Buf rooms = {0};
	Buf books = {0};
	Buf others = {0};

	*query = (InfoQuery){app, names, taken, arg};
	buf_addc(&rooms, '{');
	buf_addc(&books, '{');
	buf_addc(&others, '{');
	for (size_t i = 0; i < json_array_size(names); i++)
	{
		Bytes book_id;
		bool is_room = room_of_channel(app, name_at(names, i), &book_id);

		buf_add_element(is_room ? &rooms : &others, name_at(names, i));
		if (is_room)
			buf_add_element(&books, book_id);
	}
	buf_addc(&rooms, '}');
	buf_addc(&books, '}');
	buf_addc(&others, '}');
	database_ask(database_knows(STATEMENT_INFO) ? STATEMENT_INFO : STATEMENT_INFO_ROOMS,
				 (const char *const[]){rooms.data, books.data,
									   wanted.subscription_count ? "true" : "false", app->id,
									   others.data, state_gateway()},
				 took_info, info_forgotten, query);
	buf_free(&rooms);
	buf_free(&books);
	buf_free(&others);
}
