/*
 * apps.c
 *	  The Pusher apps and the settings, as the database has them.
 */
#include "apps.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "message.h"

App *apps;
bool apps_known;
Settings settings = {.timeout_ms = 25000};

App *
app_by_key(Bytes key)
{
	for (App *app = apps; app; app = app->next)
		if (!app->gone && bytes_equal(bytes_of(app->key), key))
			return app;
	return NULL;
}

App *
app_by_id(Bytes id)
{
	for (App *app = apps; app; app = app->next)
		if (!app->gone && bytes_equal(bytes_of(app->id), id))
			return app;
	return NULL;
}

void
apps_begin(void)
{
	for (App *app = apps; app; app = app->next)
		app->seen = false;
}

static void
replace_secret(App *app, const char *secret)
{
	if (app->secret)
		OPENSSL_cleanse(app->secret, strlen(app->secret));
	free(app->secret);
	app->secret = xstrdup(secret);
}

/* An app is its id and key: with another key it is another one for its clients. */
void
apps_row(const char *id, const char *key, const char *secret)
{
	App *app = apps;

	while (app && (strcmp(app->id, id) != 0 || strcmp(app->key, key) != 0))
		app = app->next;
	if (!app)
	{
		app = xcalloc(1, sizeof(App));
		app->id = xstrdup(id);
		app->key = xstrdup(key);
		app->next = apps;
		apps = app;
	}
	if (!app->secret || strcmp(app->secret, secret) != 0)
		replace_secret(app, secret);
	app->seen = true;
}

void
apps_end(void)
{
	for (App *app = apps; app; app = app->next)
		app->gone = !app->seen;
	apps_known = true;
}

bool
settings_set(const char *channel_prefix, const char *events_channel, int timeout_ms)
{
	bool moved = settings.events_channel && (strcmp(settings.events_channel, events_channel) != 0 ||
											 strcmp(settings.channel_prefix, channel_prefix) != 0);

	free(settings.channel_prefix);
	free(settings.events_channel);
	settings.channel_prefix = xstrdup(channel_prefix);
	settings.events_channel = xstrdup(events_channel);
	settings.timeout_ms = timeout_ms;
	return moved;
}

bool
room_of_channel(Bytes channel, Bytes *book_id)
{
	Bytes prefix;

	if (!settings.channel_prefix)
		return false;
	prefix = bytes_of(settings.channel_prefix);
	if (!bytes_start_with(channel, prefix))
		return false;
	*book_id = (Bytes){channel.data + prefix.len, channel.len - prefix.len};
	return is_book_id(*book_id);
}
