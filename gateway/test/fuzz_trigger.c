/*
 * fuzz_trigger.c
 *	  libFuzzer's way into what parses the bodies of the HTTP API (src/protocol/api_trigger.c). The
 *	  first byte says whether it is one event or a batch. What stands around it looks at what it
 *	  is given.
 */
#include <stdlib.h>

#include "base/names.h"
#include "database/everywhere.h"
#include "protocol/answers.h"
#include "protocol/api_trigger.h"
#include "protocol/bus.h"
#include "protocol/info.h"
#include "rooms/cache_read.h"
#include "rooms/state.h"
#include "rooms/watch.h"
#include "rooms/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int answers;
static int told;
static int refused;
static bool tells;   /* whether the bus takes it */
static bool several; /* databases there are */

static void
check(bool holds)
{
	if (!holds)
		abort();
}

static void
check_told(Bytes channel, Bytes event, Bytes data, Bytes except)
{
	check(is_channel_name(channel) && event.len >= 1 && event.len <= 200 && data.len <= 10240);
	check(except.len == 0 || is_socket_id(except));
	told++;
}

/*
 * What api_trigger.c calls
 */

void (*cache_on_written)(const CacheEvent *event);

void
answer_json(Request *request, Bytes json)
{
	json_t *parsed = json_parse(json);

	(void) request;
	check(json_is_object(parsed));
	json_decref(parsed);
	answers++;
}

void
answer_text(Request *request, int status, const char *text)
{
	(void) request;
	check(status >= 400 && *text);
	refused++;
	answers++;
}

void
answer_when_told(Request *request, bool ok)
{
	(void) request;
	(void) ok;
	answers++;
}

void
answer_after_told(Request *request, bool ok, AnswerStep then, void (*forget)(void *), void *arg)
{
	if (ok)
		then(request, arg);
	else
	{
		forget(arg);
		answers++;
	}
}

Database databases[MAX_DATABASES];

bool
databases_several(void)
{
	return several;
}

bool
database_knows(const Database *database, Statement statement)
{
	(void) database;
	return statement == STATEMENT_INFO;
}

const char *
state_gateway(void)
{
	return "here";
}

/* The database of info.c: it has no row, or is away. */
void
database_ask(Database *database, Statement statement, const char *const *values, PgAnswer answer,
			 PgForgotten forgotten, void *arg)
{
	(void) database;
	(void) statement;
	check(values[0] && values[1] && values[4]);
	if (tells)
		answer(NULL, true, arg);
	else
		forgotten(arg);
}

void
everywhere_ask(Statement statement, const char *const *values, AnswersTaken taken, void *arg)
{
	const Answers nothing = {.problem = tells ? NULL : "away"};

	(void) statement;
	check(values[0] && values[1]);
	taken(&nothing, arg);
}

bool
bus_event(App *app, json_t *channels, Bytes event, Bytes data, Bytes except)
{
	size_t i;
	const json_t *name;

	(void) app;
	check(json_array_size(channels) >= 1 && json_array_size(channels) <= 100);
	json_array_foreach(channels, i, name)
	{
		check_told(json_bytes(name), event, data, except);
	}
	return tells;
}

bool
bus_cached_event(const CacheEvent *event)
{
	(void) event;
	return true;
}

void
cache_write(const CacheEvent *event)
{
	check(is_cache_channel(event->channel));
	check_told(event->channel, event->event, event->data, event->except);
}

Channel *
channel_find(const App *app, Bytes name)
{
	(void) app;
	check(is_channel_name(name));
	return NULL;
}

Channel *
watch_of(const App *app, Bytes room_channel)
{
	(void) app;
	(void) room_channel;
	return NULL;
}

/* There is no channel here. */
void
cache_passed(Channel *channel)
{
	(void) channel;
	abort();
}

void
channel_send(Channel *channel, Frame *frame, Bytes except)
{
	(void) channel;
	(void) frame;
	(void) except;
	abort();
}

Frame *
frame_event(Bytes event, Bytes channel, Bytes data)
{
	(void) event;
	(void) channel;
	(void) data;
	abort();
}

void
frame_unref(Frame *frame)
{
	(void) frame;
	abort();
}

bool
is_cache_channel(Bytes name)
{
	return bytes_start_with(name, BYTES("cache-")) ||
		   bytes_start_with(name, BYTES("private-cache-"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static App app = {.id = (char *) "1"};
	Request request = {.app = &app};

	if (size == 0)
		return 0;
	settings.channel_prefix = (char *) "presence-room-";
	answers = told = refused = 0;
	tells = (data[0] & 2) == 0;
	several = data[0] & 4;
	buf_add(&request.body, data + 1, size - 1);
	if (data[0] & 1)
		api_post_batch(&request, &app);
	else
		api_post_event(&request, &app);
	/* One answer; who is refused has told nobody anything. */
	check(answers == 1 && (!refused || told == 0));
	buf_free(&request.body);
	return 0;
}
