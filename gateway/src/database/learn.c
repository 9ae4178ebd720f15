/*
 * learn.c
 *	  What the connection that listens learns: what the server can do, apps, settings; and LISTEN.
 *
 * The apps come first: that call loads the library, which defines the settings.
 */
#include "database/learn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/options.h"
#include "database/statements.h"

static void
refuse(const Learn *learn, const PGresult *result)
{
	learn->events->refused(PQresultErrorMessage(result), learn->arg);
}

static void
took_listen(const PGresult *result, bool ok, void *arg)
{
	Learn *learn = arg;

	learn->listening = ok;
	if (ok)
		learn->events->listening(learn->arg);
	else
		refuse(learn, result);
}

static void
listen_to(Learn *learn, const char *statement, const char *channel, PgAnswer answer)
{
	char *name = pg_identifier(learn->pg, channel);
	Buf sql = {0};

	buf_addf(&sql, "LISTEN %s", name ? name : "\"\"");
	pg_prepare(learn->pg, statement, sql.data);
	pg_ask(learn->pg, statement, 0, NULL, answer, NULL, learn);
	buf_free(&sql);
	free(name);
}

static void
took_apps(const PGresult *result, bool ok, void *arg)
{
	const Learn *learn = arg;

	if (ok)
		learn->events->apps(result, learn->arg);
	else
		refuse(learn, result);
}

/* Nothing is believed by less than what was learned before LISTEN. */
static void
took_key(const PGresult *result, bool ok, void *arg)
{
	Learn *learn = arg;
	const char *key = ok && PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";

	if (strlen(key) != 2 * EVENT_KEY_SIZE)
		key = "";
	if (!learn->listening)
	{
		strcpy(learn->event_key, key);
		if (!ok)
			log_line(LOG_WARNING, "forged notifications can't be told: %s",
					 PQresultErrorMessage(result));
	}
	else if (*key && strcmp(key, learn->event_key) != 0)
		learn->events->refused("events have another key: the extension was made anew", learn->arg);
}

static void
took_shards(const PGresult *result, bool ok, void *arg)
{
	Learn *learn = arg;

	if (!ok || PQntuples(result) != 1)
	{
		log_line(LOG_WARNING, "which rooms are here can't be read: %s",
				 PQresultErrorMessage(result));
		return;
	}
	snprintf(learn->node, sizeof(learn->node), "%s", PQgetvalue(result, 0, 0));
	if (strcmp(learn->layout, PQgetvalue(result, 0, 1)) == 0)
		return;
	snprintf(learn->layout, sizeof(learn->layout), "%s", PQgetvalue(result, 0, 1));
	learn->events->moved(learn->arg);
}

/* The setting, if we may see it. */
static const char *
channel_of(const PGresult *result)
{
	return PQgetisnull(result, 0, 1) ? options.channel : PQgetvalue(result, 0, 1);
}

static bool
has_moved(const Learn *learn, const PGresult *result)
{
	return strcmp(learn->channel_prefix, PQgetvalue(result, 0, 0)) != 0 ||
		   strcmp(learn->events_channel, channel_of(result)) != 0;
}

static void
keep_settings(Learn *learn, const PGresult *result)
{
	free(learn->channel_prefix);
	free(learn->events_channel);
	learn->channel_prefix = xstrdup(PQgetvalue(result, 0, 0));
	learn->events_channel = xstrdup(channel_of(result));
}

static void
took_settings(const PGresult *result, bool ok, void *arg)
{
	Learn *learn = arg;
	DatabaseSettings now;

	if (!ok || PQntuples(result) != 1)
	{
		refuse(learn, result);
		return;
	}
	if (learn->listening && has_moved(learn, result))
	{
		learn->events->refused("presence.channel or presence.channel_prefix has changed",
							   learn->arg);
		return;
	}
	keep_settings(learn, result);
	now = (DatabaseSettings){.channel_prefix = learn->channel_prefix,
							 .timeout_ms = atoi(PQgetvalue(result, 0, 2)),
							 .event_key = *learn->event_key ? learn->event_key : NULL,
							 .read_only = strcmp(PQgetvalue(result, 0, 3), "on") == 0};
	learn->events->settings(&now, learn->arg);
	if (learn->listening)
		return;
	listen_to(learn, "listen events", learn->events_channel, NULL);
	listen_to(learn, "listen bus", BUS_CHANNEL, took_listen);
}

void
learn_refresh(Learn *learn)
{
	learn->at = now_ms();
	pg_ask(learn->pg, "apps", 0, NULL, took_apps, NULL, learn);
	if (learn->has_key_function && (*learn->event_key || !learn->listening))
		pg_ask(learn->pg, "key", 0, NULL, took_key, NULL, learn);
	if (learn->has_shards)
		pg_ask(learn->pg, "shards", 0, NULL, took_shards, NULL, learn);
	pg_ask(learn->pg, "settings", 0, NULL, took_settings, NULL, learn);
}

static void
compare(Learn *learn, char *known, size_t size, const char *now, Lineage if_other)
{
	if (strcmp(known, now) != 0 && learn->lineage < if_other)
		learn->lineage = if_other;
	snprintf(known, size, "%s", now);
}

static void
took_features(const PGresult *result, bool ok, void *arg)
{
	Learn *learn = arg;

	if (!ok || PQntuples(result) != 1)
	{
		refuse(learn, result);
		return;
	}
	learn->new_joins = *PQgetvalue(result, 0, 0) == 't';
	learn->has_key_function = *PQgetvalue(result, 0, 1) == 't';
	learn->has_shards = *PQgetvalue(result, 0, 2) == 't';
	compare(learn, learn->life, sizeof(learn->life), PQgetvalue(result, 0, 3), LINEAGE_CRASHED);
	compare(learn, learn->store, sizeof(learn->store), PQgetvalue(result, 0, 4), LINEAGE_OTHER);
	pg_prepare(learn->pg, "apps", SQL_APPS);
	pg_prepare(learn->pg, "settings", SQL_SETTINGS);
	if (learn->has_key_function)
		pg_prepare(learn->pg, "key", SQL_KEY);
	if (learn->has_shards)
		pg_prepare(learn->pg, "shards", SQL_SHARDS);
	learn_refresh(learn);
}

void
learn_start(Learn *learn, const LearnEvents *events, void *arg)
{
	*learn = (Learn){.events = events, .arg = arg, .lineage = LINEAGE_OTHER};
}

void
learn_begin(Learn *learn, Pg *pg)
{
	learn->pg = pg;
	pg_prepare(pg, "features", SQL_FEATURES);
	pg_ask(pg, "features", 0, NULL, took_features, NULL, learn);
}

void
learn_end(Learn *learn)
{
	learn->pg = NULL;
	learn->listening = false;
}
