/*
 * state.c
 *	  What the database is told of channels that are no rooms: how many subscriptions are here.
 *
 * One call is under way at a time. What has changed waits in a list, each channel once. After the
 * database was lost, or has forgotten us, the whole is told, and replaces what it
 * had of us.
 */
#include "rooms/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "database/database.h"

#define REPORT_MS 1000  /* between two reports; */
#define BEAT_MS   10000 /* also of nothing: the database forgets us after 30 seconds */
#define MAX_BATCH 5000

typedef enum StateList
{
	STATE_TOLD,    /* the database knows, and says so */
	STATE_WAITING, /* it is to be told */
	STATE_SENT     /* it is being told */
} StateList;

typedef struct State
{
	App *app;
	StateList list;
	unsigned now;
	unsigned told;             /* or being told */
	unsigned before;           /* of one that is being told: what was told before */
	int64_t due;               /* ms, of one that waits */
	struct State *prev, *next; /* of its list */
	UT_hash_handle hh;
	size_t key_len;
	char key[]; /* key_of() */
} State;

typedef struct Batch
{
	Buf app_ids;
	Buf channels;
	Buf counts;
	int n;
} Batch;

void (*state_on_sum)(App *app, Bytes channel, unsigned n, int64_t version);

static State *states; /* by app and name */
static State *waiting;
static State *sent;
static bool sending;
static bool whole_wanted = true;
static bool draining;
static int64_t reported_at; /* ms; when the last report was sent */
static int64_t due_at;      /* ms; nothing that waits is due before; 0: nothing waits */

const char *
state_gateway(void)
{
	static char id[20];

	if (!*id)
		snprintf(id, sizeof(id), "%016llx", (unsigned long long) random_u64());
	return id;
}

/*
 * Channels
 */

/* The address of the app, which stays, and the name. */
static Bytes
key_of(const App *app, Bytes channel)
{
	static Buf key;
	uintptr_t address = (uintptr_t) app;

	buf_reset(&key);
	buf_add(&key, &address, sizeof(address));
	buf_add(&key, channel.data, channel.len);
	return buf_bytes(&key);
}

static Bytes
name_of(const State *state)
{
	return (Bytes){state->key + sizeof(uintptr_t), state->key_len - sizeof(uintptr_t)};
}

static State *
find_or_make(App *app, Bytes channel)
{
	Bytes key = key_of(app, channel);
	State *state;

	HASH_FIND(hh, states, key.data, key.len, state);
	if (state)
		return state;
	state = xcalloc(1, sizeof(State) + key.len);
	state->app = app;
	state->key_len = key.len;
	memcpy(state->key, key.data, key.len);
	HASH_ADD(hh, states, key, key.len, state);
	return state;
}

static void
free_state(State *state)
{
	HASH_DEL(states, state);
	free(state);
}

static void
want_at(int64_t due)
{
	if (!due_at || due < due_at)
		due_at = due;
}

/* Lists it if it has changed; forgets one that is not there and known not to be. */
static void
settle(State *state)
{
	if (state->list == STATE_SENT)
		return;
	if (state->list == STATE_WAITING)
		DL_DELETE(waiting, state);
	state->list = STATE_TOLD;
	if (state->now != state->told)
	{
		state->list = STATE_WAITING;
		state->due = now_ms() + (state->now == 0 && !draining ? options.linger_ms : 0);
		DL_APPEND(waiting, state);
		want_at(state->due);
	}
	else if (state->now == 0)
		free_state(state);
}

void
state_count(State **of_channel, App *app, Bytes channel, unsigned n)
{
	State *state = *of_channel ? *of_channel : find_or_make(app, channel);

	*of_channel = n > 0 ? state : NULL;
	state->now = n;
	settle(state);
}

bool
state_is_told(const State *state)
{
	return state && state->list == STATE_TOLD;
}

/*
 * What the database answers
 */

/* What was sent is known now; or is not, and waits again. */
static void
end_report(bool well)
{
	State *state;
	State *next;

	sending = false;
	DL_FOREACH_SAFE(sent, state, next)
	{
		DL_DELETE(sent, state);
		state->list = STATE_TOLD;
		if (!well)
			state->told = state->before;
		settle(state);
	}
}

static void
take_sum(const PGresult *result, int row)
{
	App *app = app_by_id(bytes_of(PQgetvalue(result, row, 0)));

	if (app)
		state_on_sum(app, bytes_of(PQgetvalue(result, row, 1)),
					 (unsigned) strtoul(PQgetvalue(result, row, 2), NULL, 10),
					 strtoll(PQgetvalue(result, row, 3), NULL, 10));
}

static void
reported(const PGresult *result, bool ok, void *arg)
{
	(void) arg;
	end_report(ok);
	for (int i = 0; ok && i < PQntuples(result); i++)
		take_sum(result, i);
	if (ok)
		return;
	metrics.report_failures++;
	whole_wanted = true; /* whatever it was: it may have forgotten us */
	log_line(LOG_WARNING, "channels can't be reported: %s", PQresultErrorMessage(result));
}

static void
report_forgotten(void *arg)
{
	(void) arg;
	end_report(false);
	whole_wanted = true;
}

/*
 * Telling
 */

static void
add_to(Batch *batch, State *state)
{
	buf_add_element(&batch->app_ids, bytes_of(state->app->id));
	buf_add_element(&batch->channels, name_of(state));
	buf_addf(&batch->counts, "%c%u", batch->n++ ? ',' : '{', state->now);
	if (state->list == STATE_WAITING)
		DL_DELETE(waiting, state);
	state->list = STATE_SENT;
	state->before = state->told;
	state->told = state->now;
	DL_APPEND(sent, state);
}

/* All of them; those that are gone are left out, and so known. */
static void
gather_whole(Batch *batch)
{
	State *next;

	for (State *state = states; state; state = next)
	{
		next = state->hh.next;
		if (state->now > 0)
			add_to(batch, state);
		else
		{
			state->told = 0;
			settle(state);
		}
	}
	due_at = 0;
}

static void
gather_due(Batch *batch, int64_t now)
{
	State *state;
	State *next;

	due_at = 0;
	DL_FOREACH_SAFE(waiting, state, next)
	{
		if (state->due <= now && batch->n < MAX_BATCH)
			add_to(batch, state);
		else
			want_at(state->due);
	}
}

static void
send_report(int64_t now)
{
	Batch batch = {{0}, {0}, {0}, 0};
	const char *values[5] = {state_gateway()};

	buf_addc(&batch.app_ids, '{');
	buf_addc(&batch.channels, '{');
	if (whole_wanted)
		gather_whole(&batch);
	else
		gather_due(&batch, now);
	buf_adds(&batch.counts, batch.n ? "}" : "{}");
	buf_addc(&batch.app_ids, '}');
	buf_addc(&batch.channels, '}');
	values[1] = batch.app_ids.data;
	values[2] = batch.channels.data;
	values[3] = batch.counts.data;
	values[4] = whole_wanted ? "true" : "false";
	whole_wanted = false;
	sending = true;
	reported_at = now;
	metrics.reports++;
	database_ask(HOME, STATEMENT_REPORT, values, reported, report_forgotten, NULL);
	buf_free(&batch.app_ids);
	buf_free(&batch.channels);
	buf_free(&batch.counts);
}

/* When the next report is due. */
static int64_t
next_report(void)
{
	int64_t beat = reported_at + BEAT_MS;
	int64_t due = whole_wanted ? 0 : due_at ? due_at : beat;

	if (due > beat)
		due = beat;
	return due < reported_at + REPORT_MS ? reported_at + REPORT_MS : due;
}

void
states_flush(void)
{
	int64_t now = now_ms();
	int64_t due;

	if (sending || !database_connected(HOME) || !database_knows(HOME, STATEMENT_REPORT))
		return;
	due = reported_at ? next_report() : 0;
	if (due <= now)
		send_report(now);
	else if (due < now + REPORT_MS)
		database_wake_in((int) (due - now));
}

void
states_restart(void)
{
	whole_wanted = true;
}

void
states_drain(void)
{
	State *state;

	draining = true;
	DL_FOREACH(waiting, state)
	{
		state->due = 0;
	}
	want_at(1);
}

bool
states_pending(void)
{
	return (waiting || sending) && database_knows(HOME, STATEMENT_REPORT);
}
