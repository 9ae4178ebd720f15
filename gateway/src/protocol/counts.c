/*
 * counts.c
 *	  pusher_internal:subscription_count: how many subscribers a channel has, on all gateways.
 */
#include "protocol/counts.h"

#include <stdlib.h>
#include <utlist.h>

#include "protocol/bus.h"
#include "rooms/state.h"

#define LARGE       100 /* subscribers: more are told every few seconds */
#define LARGE_MS    5000
#define SUMS_A_TIME 1000 /* in a message to other gateways */

/* What is known of a channel with subscribers here. */
typedef struct Count
{
	Channel *channel;
	unsigned now;
	unsigned told;
	int64_t version;
	unsigned life;   /* of the database's versions */
	int64_t told_at; /* ms; 0: never */
	bool waits;
	struct Count *prev, *next; /* of those that wait */
} Count;

/* Sums of our own reports, for other gateways. */
typedef struct Telling
{
	App *app;
	json_t *sums;
	struct Telling *next;
} Telling;

static Count *waiting;
static Telling *tellings;
static unsigned life = 1;

/*
 * Clients
 */

static Frame *
count_frame(const Count *count)
{
	Buf data = {0};
	Frame *frame;

	buf_addf(&data, "{\"subscription_count\":%u}", count->now);
	frame = frame_event(BYTES("pusher_internal:subscription_count"), channel_name(count->channel),
						buf_bytes(&data));
	buf_free(&data);
	return frame;
}

static void
stop_waiting(Count *count)
{
	if (count->waits)
		DL_DELETE(waiting, count);
	count->waits = false;
}

static void
tell_clients(Count *count)
{
	Frame *frame = count_frame(count);

	stop_waiting(count);
	count->told = count->now;
	count->told_at = now_ms();
	channel_send(count->channel, frame, (Bytes){0});
	frame_unref(frame);
}

static bool
may_tell(const Count *count)
{
	return count->now <= LARGE || !count->told_at || count->told_at + LARGE_MS <= now_ms();
}

static void
consider(Count *count)
{
	if (count->told_at && count->told == count->now)
		stop_waiting(count);
	else if (may_tell(count))
		tell_clients(count);
	else if (!count->waits)
	{
		count->waits = true;
		DL_APPEND(waiting, count);
	}
}

static Count *
count_of(Channel *channel)
{
	if (!channel->count)
	{
		channel->count = xcalloc(1, sizeof(Count));
		channel->count->channel = channel;
	}
	return channel->count;
}

static void
take_sum(App *app, Bytes name, unsigned n, int64_t version)
{
	Channel *channel = channel_find(app, name);
	Count *count;

	if (!channel || !channel_is_counted(channel->kind) || !app->subscription_count)
		return;
	count = count_of(channel);
	if (count->life == life && count->version >= version)
		return;
	count->life = life;
	count->version = version;
	count->now = n;
	consider(count);
}

static void
forget(Channel *channel)
{
	if (!channel->count)
		return;
	stop_waiting(channel->count);
	free(channel->count);
	channel->count = NULL;
}

void
counts_greet(Socket *socket, Channel *channel)
{
	const Count *count = channel->count;

	if (count && count->told_at && channel->app->subscription_count &&
		state_is_told(channel->state))
		socket_send_own(socket, count_frame(count));
}

void
counts_tick(void)
{
	Count *count;
	Count *next;

	DL_FOREACH_SAFE(waiting, count, next)
	{
		if (may_tell(count))
			tell_clients(count);
	}
}

void
counts_restart(void)
{
	life++;
}

/*
 * Gateways
 */

static void
gather(App *app, Bytes channel, unsigned n, int64_t version)
{
	Telling *telling = tellings;

	while (telling && telling->app != app)
		telling = telling->next;
	if (!telling)
	{
		telling = xcalloc(1, sizeof(Telling));
		telling->app = app;
		telling->sums = json_array();
		LL_PREPEND(tellings, telling);
	}
	json_array_append_new(telling->sums,
						  json_pack("[o, i, I]", json_stringn(channel.data, channel.len), (int) n,
									(json_int_t) version));
	if (json_array_size(telling->sums) < SUMS_A_TIME)
		return;
	bus_counts(app, telling->sums);
	json_array_clear(telling->sums);
}

static void
learnt(App *app, Bytes channel, unsigned n, int64_t version)
{
	if (!app->subscription_count)
		return;
	take_sum(app, channel, n, version);
	gather(app, channel, n, version);
}

void
counts_flush(void)
{
	while (tellings)
	{
		Telling *telling = tellings;

		tellings = telling->next;
		if (json_array_size(telling->sums) > 0)
			bus_counts(telling->app, telling->sums);
		json_decref(telling->sums);
		free(telling);
	}
}

void
counts_heard(App *app, const json_t *sums)
{
	size_t i;
	const json_t *sum;

	json_array_foreach(sums, i, sum)
	{
		const json_t *name = json_array_get(sum, 0);

		if (json_is_string(name))
			take_sum(app, json_bytes(name), (unsigned) json_integer_value(json_array_get(sum, 1)),
					 json_integer_value(json_array_get(sum, 2)));
	}
}

void
counts_init(void)
{
	state_on_sum = learnt;
	channel_on_close = forget;
}
