/*
 * api_trigger.c
 *	  The part of the HTTP API that triggers events.
 *
 * A request is looked through as a whole before any of its events goes out: all or nothing.
 */
#include "protocol/api_trigger.h"

#include <stdlib.h>

#include "base/metrics.h"
#include "protocol/answers.h"
#include "protocol/bus.h"
#include "protocol/info.h"
#include "protocol/message.h"
#include "rooms/cache_read.h"
#include "rooms/cache_write.h"
#include "rooms/watch.h"

#define MAX_CHANNELS   100
#define MAX_BATCH      10
#define MAX_EVENT_NAME 200
#define MAX_DATA       10240

typedef struct Event
{
	Bytes name;
	Bytes data;
	Bytes except;
	InfoWanted wanted; /* of its channels, in the answer */
} Event;

/* A request whose answer tells of channels: of one event, or of those of a batch. */
typedef struct Asking
{
	Request *request;
	json_t *names; /* one for each event of a batch, or each channel of the event */
	bool batch;
	int n;
	InfoWanted wanted[MAX_BATCH];
} Asking;

/* What is wrong with it, or NULL; status is that of the answer then. */
static const char *
parse_event(const json_t *json, Event *event, int *status)
{
	const json_t *socket_id = json_object_get(json, "socket_id");

	Bytes info;

	*status = 400;
	*event = (Event){0};
	if (json_get_bytes(json, "info", &info))
		event->wanted = info_wanted(info);
	if (!json_get_bytes(json, "name", &event->name) || event->name.len == 0 ||
		event->name.len > MAX_EVENT_NAME)
		return "name must be a string of 1 to 200 bytes";
	if (!json_get_bytes(json, "data", &event->data))
		return "data must be a string";
	if (event->data.len > MAX_DATA)
	{
		*status = 413;
		return "data must not have more than 10240 bytes";
	}
	if (socket_id && !json_is_null(socket_id) &&
		(!json_get_bytes(json, "socket_id", &event->except) || !is_socket_id(event->except)))
		return "socket_id must be that of a client";
	return NULL;
}

static bool
is_target(const json_t *name)
{
	return json_is_string(name) && is_channel_name(json_bytes(name));
}

static void
send_on(Channel *channel, const Event *event)
{
	Frame *frame;

	if (!channel)
		return;
	cache_passed(channel);
	frame = frame_event(event->name, channel_name(channel), event->data);
	channel_send(channel, frame, event->except);
	frame_unref(frame);
}

/* To the clients here, and to those who watch. */
static void
send_here(App *app, Bytes target, const Event *event)
{
	metrics.api_events++;
	send_on(channel_find(app, target), event);
	send_on(watch_of(app, target), event);
}

/* It has been kept, and may be told now. */
static void
tell_written(const CacheEvent *event)
{
	(void) bus_cached_event(event);
}

/* One message for all channels to the other gateways, but for those whose events are kept first. */
static bool
tell_others(App *app, const json_t *channels, const Event *event)
{
	json_t *rest = json_array();
	size_t i;
	json_t *name;
	bool told;

	json_array_foreach(channels, i, name)
	{
		Bytes target = json_bytes(name);

		if (is_cache_channel(target))
			cache_write(&(CacheEvent){.app = app,
									  .channel = target,
									  .event = event->name,
									  .data = event->data,
									  .except = event->except});
		else
			json_array_append(rest, name);
	}
	told =
		json_array_size(rest) == 0 || bus_event(app, rest, event->name, event->data, event->except);
	json_decref(rest);
	return told;
}

/* To all clients; false: only to some of those here, if any. */
static bool
trigger(App *app, const json_t *channels, const Event *event)
{
	size_t i;
	const json_t *name;

	if (!tell_others(app, channels, event))
		return false;
	json_array_foreach(channels, i, name)
	{
		send_here(app, json_bytes(name), event);
	}
	return true;
}

/* The channels of an event: "channels", or one "channel". A new reference; NULL: neither is right.
 */
static json_t *
targets(const json_t *json)
{
	json_t *list = json_object_get(json, "channels");
	json_t *one = json_object_get(json, "channel");
	size_t i;
	const json_t *name;

	if (!list && one)
		list = json_pack("[O]", one);
	else
		json_incref(list);
	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > MAX_CHANNELS)
	{
		json_decref(list);
		return NULL;
	}
	json_array_foreach(list, i, name)
	{
		if (!is_target(name))
		{
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/*
 * Answers with what is asked of channels: {"channels":{NAME:{...}}}, or {"batch":[{...}]}
 */

static void
forget_asking(void *arg)
{
	Asking *asking = arg;

	json_decref(asking->names);
	free(asking);
}

static bool
wants_any(InfoWanted wanted)
{
	return wanted.user_count || wanted.subscription_count;
}

/* infos: one for each name, or NULL. */
static void
add_infos(Buf *text, const Asking *asking, const ChannelInfo *infos)
{
	size_t i;
	const json_t *name;

	buf_adds(text, asking->batch ? "{\"batch\":[" : "{\"channels\":{");
	json_array_foreach(asking->names, i, name)
	{
		if (i > 0)
			buf_addc(text, ',');
		if (!asking->batch)
		{
			json_add_string(text, json_bytes(name));
			buf_addc(text, ':');
		}
		info_add(text, infos ? &infos[i] : NULL, asking->wanted[asking->batch ? i : 0]);
	}
	buf_adds(text, asking->batch ? "]}" : "}}");
}

/*
 * The events have gone out. So what can't be had now is left out: who gets an error triggers
 * again.
 */
static void
took_infos(const ChannelInfo *infos, int n, const char *problem, void *arg)
{
	const Asking *asking = arg;
	Buf text = {0};

	(void) n;
	(void) problem;
	add_infos(&text, asking, infos);
	answer_json(asking->request, buf_bytes(&text));
	buf_free(&text);
	forget_asking(arg);
}

static void
ask_infos(Request *request, void *arg)
{
	const Asking *asking = arg;
	InfoWanted any = {false, false};

	for (int i = 0; i < asking->n; i++)
		any.subscription_count |= asking->wanted[i].subscription_count;
	info_ask(request->app, asking->names, any, took_infos, arg);
}

/* names: a reference that is ours. */
static void
answer_trigger(Request *request, bool told, json_t *names, bool batch, const Event *events, int n)
{
	Asking *asking = xcalloc(1, sizeof(Asking));
	bool any = false;

	*asking = (Asking){.request = request, .names = names, .batch = batch, .n = n};
	for (int i = 0; i < n; i++)
	{
		asking->wanted[i] = events[i].wanted;
		any |= wants_any(events[i].wanted);
	}
	if (any)
	{
		answer_after_told(request, told, ask_infos, forget_asking, asking);
		return;
	}
	forget_asking(asking);
	answer_when_told(request, told);
}

/* Each channel once. */
static json_t *
without_doubles(const json_t *names)
{
	json_t *seen = json_object();
	json_t *list = json_array();
	size_t i;
	json_t *name;

	json_array_foreach(names, i, name)
	{
		if (json_object_get(seen, json_string_value(name)))
			continue;
		json_object_set_new(seen, json_string_value(name), json_true());
		json_array_append(list, name);
	}
	json_decref(seen);
	return list;
}

void
api_post_event(Request *request, App *app)
{
	json_t *json = json_parse(buf_bytes(&request->body));
	Event event;
	int status;
	const char *problem = parse_event(json, &event, &status);
	json_t *channels = NULL;

	if (!problem && !(channels = targets(json)))
		problem = "channels must be 1 to 100 names of channels";
	if (problem)
		answer_text(request, status, problem);
	else
		answer_trigger(request, trigger(app, channels, &event), without_doubles(channels), false,
					   &event, 1);
	json_decref(channels);
	json_decref(json);
}

static bool
trigger_all(App *app, const json_t *batch, const Event *events)
{
	bool told = true;
	size_t i;
	const json_t *item;

	json_array_foreach(batch, i, item)
	{
		json_t *channels = json_pack("[O]", json_object_get(item, "channel"));

		told = told && trigger(app, channels, &events[i]);
		json_decref(channels);
	}
	return told;
}

void
api_post_batch(Request *request, App *app)
{
	json_t *json = json_parse(buf_bytes(&request->body));
	const json_t *batch = json_object_get(json, "batch");
	const char *problem = NULL;
	int status = 400;
	Event events[MAX_BATCH] = {0};
	json_t *names = json_array();
	size_t i;
	const json_t *item;

	if (!json_is_array(batch) || json_array_size(batch) > MAX_BATCH)
		problem = "batch must be an array of at most 10 events";
	else
	{
		json_array_foreach(batch, i, item)
		{
			problem = parse_event(item, &events[i], &status);
			if (!problem && !is_target(json_object_get(item, "channel")))
				problem = "channel must be the name of a channel";
			if (problem)
				break;
			json_array_append(names, json_object_get(item, "channel"));
		}
	}
	if (problem)
		answer_text(request, status, problem);
	else
		answer_trigger(request, trigger_all(app, batch, events), json_incref(names), true, events,
					   (int) json_array_size(batch));
	json_decref(names);
	json_decref(json);
}

void
api_trigger_init(void)
{
	cache_on_written = tell_written;
}
