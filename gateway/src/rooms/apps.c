/*
 * apps.c
 *	  The Pusher apps and the settings, as the database has them.
 */
#include "rooms/apps.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/names.h"

#define GRACE_MS 60000 /* a secret counts for so long after a new one came */

AppKey *app_keys;
Settings settings;

void (*apps_on_counted)(void);

static App *apps;

bool
apps_known(void)
{
	for (const AppKey *key = app_keys; key; key = key->next)
		if (!key->gone)
			return true;
	return false;
}

AppKey *
app_key_find(Bytes name)
{
	for (AppKey *key = app_keys; key; key = key->next)
		if (!key->gone && bytes_equal(bytes_of(key->key), name))
			return key;
	return NULL;
}

App *
apps_first(void)
{
	return apps;
}

App *
app_by_id(Bytes id)
{
	for (App *app = apps; app; app = app->next)
		if (!app->gone && bytes_equal(bytes_of(app->id), id))
			return app;
	return NULL;
}

const AppKey *
app_any_key(const App *app)
{
	for (const AppKey *key = app_keys; key; key = key->next)
		if (!key->gone && key->app == app)
			return key;
	return NULL;
}

bool
apps_have_webhooks(void)
{
	for (const App *app = apps; app; app = app->next)
		if (!app->gone && app->webhook_events)
			return true;
	return false;
}

bool
app_has_webhook(const App *app, const char *event)
{
	size_t i;
	const json_t *name;

	json_array_foreach(app->webhook_events, i, name)
	{
		if (json_is_string(name) && strcmp(json_string_value(name), event) == 0)
			return true;
	}
	return false;
}

/*
 * A refresh
 */

void
apps_begin(void)
{
	for (AppKey *key = app_keys; key; key = key->next)
		key->seen = false;
}

/* By its id, if that may stand in a book_id; else by what is as good as one. */
static void
name_channel_rooms(App *app)
{
	char hex[SIGNATURE_MD5_HEX_LEN + 1];
	Bytes id = bytes_of(app->id);

	if (is_book_id(id) && !memchr(id.data, ';', id.len) && id.len < sizeof(app->channel_rooms) - 2)
		snprintf(app->channel_rooms, sizeof(app->channel_rooms), "@%s;", app->id);
	else if (signature_md5(id, hex))
		snprintf(app->channel_rooms, sizeof(app->channel_rooms), "@%s;", hex);
}

static App *
app_named(const char *id)
{
	App *app = apps;

	while (app && strcmp(app->id, id) != 0)
		app = app->next;
	if (!app)
	{
		app = xcalloc(1, sizeof(App));
		app->id = xstrdup(id);
		app->max_listed_members = -1;
		name_channel_rooms(app);
		app->next = apps;
		apps = app;
	}
	return app;
}

/* A key is one of its app: with another app it is another one for its clients. */
static AppKey *
key_named(App *app, const char *name)
{
	AppKey *key = app_keys;

	while (key && (key->app != app || strcmp(key->key, name) != 0))
		key = key->next;
	if (!key)
	{
		key = xcalloc(1, sizeof(AppKey));
		key->app = app;
		key->key = xstrdup(name);
		key->next = app_keys;
		app_keys = key;
	}
	return key;
}

static void
forget_secret(char *secret)
{
	if (secret)
		OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
}

static void
set_secret(AppKey *key, const char *secret)
{
	if (key->secret && strcmp(key->secret, secret) == 0)
		return;
	forget_secret(key->old_secret);
	key->old_secret = key->secret;
	key->old_until = now_ms() + GRACE_MS;
	key->secret = xstrdup(secret);
}

static bool
is_on(const json_t *row, const char *name)
{
	const json_t *value = json_object_get(row, name);

	return !value || json_is_null(value) || json_is_true(value);
}

static void
set_prefix(App *app, const char *prefix)
{
	if (strlen(prefix) >= sizeof(app->room_prefix))
		log_line(LOG_ERROR, "the room_prefix of app %s is too long: it has no rooms", app->id);
	else
		strcpy(app->room_prefix, prefix);
}

static const char *
text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static int
number_of(const json_t *row, const char *name, int otherwise)
{
	const json_t *value = json_object_get(row, name);

	return json_is_integer(value) ? (int) json_integer_value(value) : otherwise;
}

void
apps_row(const char *text)
{
	json_t *row = json_parse(bytes_of(text));
	json_t *origins = json_object_get(row, "allowed_origins");
	json_t *webhook_events = json_object_get(row, "webhook_events");
	AppKey *key;

	if (*text_of(row, "app_id") && *text_of(row, "key") && *text_of(row, "secret"))
	{
		key = key_named(app_named(text_of(row, "app_id")), text_of(row, "key"));
		set_secret(key, text_of(row, "secret"));
		set_prefix(key->app, text_of(row, "room_prefix"));
		key->app->has_channel_rooms = strcmp(text_of(row, "presence_channels"), "allow") == 0;
		key->enabled = is_on(row, "enabled");
		key->client_events = is_on(row, "client_events");
		key->require_tls = json_is_true(json_object_get(row, "require_tls"));
		key->max_connections = number_of(row, "max_connections", 0);
		key->subscription_count = json_is_true(json_object_get(row, "subscription_count"));
		key->max_listed_members = number_of(row, "max_listed_members", -1);
		json_decref(key->app->webhook_events);
		key->app->webhook_events =
			json_is_array(webhook_events) ? json_incref(webhook_events) : NULL;
		json_decref(key->origins);
		key->origins = json_is_array(origins) ? json_incref(origins) : NULL;
		key->seen = true;
	}
	json_decref(row);
}

/* One key is enough. */
static bool
is_counted(const App *app)
{
	for (const AppKey *key = app_keys; key; key = key->next)
		if (!key->gone && key->app == app && key->subscription_count)
			return true;
	return false;
}

/* The least of its keys. */
static int
max_listed(const App *app)
{
	int max = -1;

	for (const AppKey *key = app_keys; key; key = key->next)
		if (!key->gone && key->app == app && key->max_listed_members >= 0 &&
			(max < 0 || key->max_listed_members < max))
			max = key->max_listed_members;
	return max;
}

/* What clients of an app share, whatever their keys. */
static void
set_shared(void)
{
	bool more = false;

	for (App *app = apps; app; app = app->next)
	{
		bool counted = is_counted(app);

		more |= counted && !app->subscription_count;
		app->subscription_count = counted;
		app->max_listed_members = max_listed(app);
	}
	if (more && apps_on_counted)
		apps_on_counted();
}

void
apps_end(void)
{
	for (App *app = apps; app; app = app->next)
		app->gone = true;
	for (AppKey *key = app_keys; key; key = key->next)
	{
		key->gone = !key->seen;
		if (key->seen)
			key->app->gone = false;
	}
	set_shared();
}

/*
 * Signatures, origins, rooms
 */

bool
app_key_signed(const AppKey *key, Signs signs, const void *what, Bytes signature)
{
	char expected[SIGNATURE_HEX_LEN + 1];

	if (signs(bytes_of(key->secret), what, expected) && signature_equal(expected, signature))
		return true;
	return key->old_secret && now_ms() < key->old_until &&
		   signs(bytes_of(key->old_secret), what, expected) && signature_equal(expected, signature);
}

/* "https://app.example.com", its host alone, or *.example.com */
static bool
origin_matches(const char *allowed, Bytes origin)
{
	const char *scheme_end = memmem(origin.data, origin.len, "://", 3);
	size_t skip = scheme_end ? (size_t) (scheme_end + 3 - origin.data) : 0;
	Bytes host = {origin.data + skip, origin.len - skip};
	Bytes pattern = bytes_of(allowed);

	if (bytes_equal(pattern, origin) || bytes_equal(pattern, host) ||
		bytes_equal(pattern, BYTES("*")))
		return true;
	return pattern.len > 2 && pattern.data[0] == '*' && pattern.data[1] == '.' &&
		   host.len >= pattern.len &&
		   memcmp(host.data + host.len - pattern.len + 1, pattern.data + 1, pattern.len - 1) == 0;
}

bool
app_key_allows(const AppKey *key, Bytes origin)
{
	size_t i;
	const json_t *allowed;

	if (!key->origins || json_array_size(key->origins) == 0)
		return true;
	if (origin.len == 0)
		return false;
	json_array_foreach(key->origins, i, allowed)
	{
		if (json_is_string(allowed) && origin_matches(json_string_value(allowed), origin))
			return true;
	}
	return false;
}

/* As src/limits.c has it: no channel of a book leads there. */
static bool
is_channel_room(Bytes book_id)
{
	return book_id.len > 0 && *book_id.data == '@' && memchr(book_id.data, ';', book_id.len);
}

bool
room_of_channel(const App *app, Bytes channel, Bytes *book_id)
{
	static Buf name;
	Bytes prefix;
	bool is_room;

	if (!settings.channel_prefix)
		return false;
	prefix = bytes_of(settings.channel_prefix);
	is_room = bytes_start_with(channel, prefix);
	if (!is_room)
		prefix = BYTES("presence-");
	if (!bytes_start_with(channel, prefix) || channel.len == prefix.len ||
		(!is_room && !app->has_channel_rooms))
		return false;
	buf_reset(&name);
	buf_adds(&name, is_room ? app->room_prefix : app->channel_rooms);
	buf_add(&name, channel.data + prefix.len, channel.len - prefix.len);
	*book_id = buf_bytes(&name);
	return is_book_id(*book_id) && is_room != is_channel_room(*book_id);
}

bool
room_of_watch(const App *app, Bytes channel, Bytes *book_id)
{
	Buf name = {0};
	bool is_room;

	if (!bytes_start_with(channel, BYTES(WATCH_PREFIX)))
		return false;
	buf_adds(&name, "presence-");
	buf_add(&name, channel.data + strlen(WATCH_PREFIX), channel.len - strlen(WATCH_PREFIX));
	is_room = room_of_channel(app, buf_bytes(&name), book_id);
	buf_free(&name);
	return is_room;
}
