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

static const LearnEvents *events;
static Pg *pg; /* NULL: none */
static bool listening;
static char *events_channel;
static char *channel_prefix;
static bool new_joins;
static bool has_key_function;
static char event_key[65];
static int64_t refreshed_at;

static char store[64];
static char life[64]; /* what the server has counted begins anew with a crash */
static Lineage lineage = LINEAGE_OTHER;

bool
learn_is_listening(void)
{
	return listening;
}

bool
learn_new_joins(void)
{
	return new_joins;
}

int64_t
learn_at(void)
{
	return refreshed_at;
}

Lineage
learn_lineage(void)
{
	return lineage;
}

void
learn_lineage_taken(void)
{
	lineage = LINEAGE_SAME;
}

static void
refuse(const PGresult *result)
{
	events->refused(PQresultErrorMessage(result));
}

static void
took_listen(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	listening = ok;
	if (ok)
		events->listening();
	else
		refuse(result);
}

static void
listen_to(const char *statement, const char *channel, PgAnswer answer)
{
	char *name = pg_identifier(pg, channel);
	Buf sql = {0};

	buf_addf(&sql, "LISTEN %s", name ? name : "\"\"");
	pg_prepare(pg, statement, sql.data);
	pg_ask(pg, statement, 0, NULL, answer, NULL, NULL);
	buf_free(&sql);
	free(name);
}

static void
took_apps(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok)
	{
		refuse(result);
		return;
	}
	if (PQntuples(result) == 0)
		log_line(LOG_WARNING, "presence.pusher_app is empty: no client can connect");
	events->apps(result);
}

static void
took_key(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	*event_key = '\0';
	if (!ok)
		log_line(LOG_WARNING, "forged notifications can't be told: %s",
				 PQresultErrorMessage(result));
	else if (PQntuples(result) == 1 && PQgetlength(result, 0, 0) == 64)
		strcpy(event_key, PQgetvalue(result, 0, 0));
}

/* The setting, if we may see it. */
static const char *
channel_of(const PGresult *result)
{
	return PQgetisnull(result, 0, 1) ? options.channel : PQgetvalue(result, 0, 1);
}

static bool
has_moved(const PGresult *result)
{
	return strcmp(channel_prefix, PQgetvalue(result, 0, 0)) != 0 ||
		   strcmp(events_channel, channel_of(result)) != 0;
}

static void
keep_settings(const PGresult *result)
{
	free(channel_prefix);
	free(events_channel);
	channel_prefix = xstrdup(PQgetvalue(result, 0, 0));
	events_channel = xstrdup(channel_of(result));
}

static void
took_settings(const PGresult *result, bool ok, void *arg)
{
	DatabaseSettings now;

	(void) arg;
	if (!ok || PQntuples(result) != 1)
	{
		refuse(result);
		return;
	}
	if (listening && has_moved(result))
	{
		events->refused("presence.channel or presence.channel_prefix has changed");
		return;
	}
	keep_settings(result);
	now = (DatabaseSettings){.channel_prefix = channel_prefix,
							 .timeout_ms = atoi(PQgetvalue(result, 0, 2)),
							 .new_joins = new_joins,
							 .event_key = *event_key ? event_key : NULL,
							 .read_only = strcmp(PQgetvalue(result, 0, 3), "on") == 0};
	events->settings(&now);
	if (listening)
		return;
	listen_to("listen events", events_channel, NULL);
	listen_to("listen bus", BUS_CHANNEL, took_listen);
}

void
learn_refresh(void)
{
	refreshed_at = now_ms();
	pg_ask(pg, "apps", 0, NULL, took_apps, NULL, NULL);
	if (has_key_function && !listening)
		pg_ask(pg, "key", 0, NULL, took_key, NULL, NULL);
	pg_ask(pg, "settings", 0, NULL, took_settings, NULL, NULL);
}

static void
compare(char *known, size_t size, const char *now, Lineage if_other)
{
	if (strcmp(known, now) != 0 && lineage < if_other)
		lineage = if_other;
	snprintf(known, size, "%s", now);
}

static void
took_features(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	if (!ok || PQntuples(result) != 1)
	{
		refuse(result);
		return;
	}
	new_joins = *PQgetvalue(result, 0, 0) == 't';
	has_key_function = *PQgetvalue(result, 0, 1) == 't';
	compare(life, sizeof(life), PQgetvalue(result, 0, 2), LINEAGE_CRASHED);
	compare(store, sizeof(store), PQgetvalue(result, 0, 3), LINEAGE_OTHER);
	pg_prepare(pg, "apps", SQL_APPS);
	pg_prepare(pg, "settings", SQL_SETTINGS);
	if (has_key_function)
		pg_prepare(pg, "key", SQL_KEY);
	learn_refresh();
}

void
learn_begin(Pg *pg_, const LearnEvents *events_)
{
	pg = pg_;
	events = events_;
	pg_prepare(pg, "features", SQL_FEATURES);
	pg_ask(pg, "features", 0, NULL, took_features, NULL, NULL);
}

void
learn_end(void)
{
	pg = NULL;
	listening = false;
}
