/*
 * api_trigger.c
 *	  The part of the HTTP API that triggers events.
 *
 * A request is looked through as a whole before any of its events goes out: all or nothing.
 */
#include "api_trigger.h"

#include "bus.h"
#include "channel.h"
#include "message.h"
#include "metrics.h"

#define MAX_CHANNELS   100
#define MAX_BATCH      10
#define MAX_EVENT_NAME 200
#define MAX_DATA       10240

typedef struct Event
{
	Bytes name;
	Bytes data;
	Bytes except;
} Event;

/* What is wrong with it, or NULL; status is that of the answer then. */
static const char *
parse_event(const json_t *json, Event *event, int *status)
{
	const json_t *socket_id = json_object_get(json, "socket_id");

	*status = 400;
	*event = (Event){0};
	if (!json_get_bytes(json, "name", &event->name) || event->name.len == 0 ||
		event->name.len > MAX_EVENT_NAME)
		return "name must be a string of 1 to 200 bytes\n";
	if (!json_get_bytes(json, "data", &event->data))
		return "data must be a string\n";
	if (event->data.len > MAX_DATA)
	{
		*status = 413;
		return "data must not have more than 10240 bytes\n";
	}
	if (socket_id && !json_is_null(socket_id) &&
		(!json_get_bytes(json, "socket_id", &event->except) || !is_socket_id(event->except)))
		return "socket_id must be that of a client\n";
	return NULL;
}

static bool
is_target(const json_t *name)
{
	return json_is_string(name) &&
		   is_channel_name((Bytes){json_string_value(name), json_string_length(name)});
}

static void
trigger(App *app, const json_t *name, const Event *event)
{
	Bytes channel_name_ = {json_string_value(name), json_string_length(name)};
	Channel *channel = channel_find(app, channel_name_);

	metrics.api_events++;
	if (channel)
	{
		Frame *frame = frame_event(event->name, channel_name_, event->data);

		channel_send(channel, frame, event->except);
		frame_unref(frame);
	}
	bus_event(app, channel_name_, event->name, event->data, event->except);
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

void
api_post_event(Request *request, App *app)
{
	json_t *json = json_parse(buf_bytes(&request->body));
	Event event;
	int status;
	const char *problem = parse_event(json, &event, &status);
	json_t *channels = NULL;
	size_t i;
	const json_t *name;

	if (!problem && !(channels = targets(json)))
		problem = "channels must be 1 to 100 names of channels\n";
	if (problem)
		api_refuse(request, status, problem);
	else
	{
		json_array_foreach(channels, i, name)
		{
			trigger(app, name, &event);
		}
		http_answer(request, 200, "application/json", BYTES("{}"));
	}
	json_decref(channels);
	json_decref(json);
}

void
api_post_batch(Request *request, App *app)
{
	json_t *json = json_parse(buf_bytes(&request->body));
	const json_t *batch = json_object_get(json, "batch");
	const char *problem = NULL;
	int status = 400;
	Event events[MAX_BATCH] = {{{0}, {0}, {0}}};
	size_t i;
	const json_t *item;

	if (!json_is_array(batch) || json_array_size(batch) > MAX_BATCH)
		problem = "batch must be an array of at most 10 events\n";
	else
	{
		json_array_foreach(batch, i, item)
		{
			problem = parse_event(item, &events[i], &status);
			if (!problem && !is_target(json_object_get(item, "channel")))
				problem = "channel must be the name of a channel\n";
			if (problem)
				break;
		}
	}
	if (problem)
		api_refuse(request, status, problem);
	else
	{
		json_array_foreach(batch, i, item)
		{
			trigger(app, json_object_get(item, "channel"), &events[i]);
		}
		http_answer(request, 200, "application/json", BYTES("{}"));
	}
	json_decref(json);
}
