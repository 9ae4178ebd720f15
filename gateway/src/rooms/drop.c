/*
 * drop.c
 *	  Connections of closed sockets, dropped in the database, many in one call.
 *
 * One call is under way at a time. If it fails its halves are tried, until what fails is
 * alone; that one is tried some times more, later and later, then its lease ends it.
 */
#include "rooms/drop.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "database/database.h"

#define MAX_BATCH 1000
#define MAX_TRIES 8
#define RETRY_MS  250

typedef struct Drop
{
	int64_t handle;
	bool at_once;
	int max_batch;
	int tries;
	int64_t not_before; /* ms */
	struct Drop *prev, *next;
} Drop;

static Drop *waiting;
static Drop *sent;
static bool sending;
static int least_linger_ms;

void
drop_want(int64_t handle, bool at_once)
{
	Drop *drop = xcalloc(1, sizeof(Drop));

	drop->handle = handle;
	drop->at_once = at_once;
	drop->max_batch = MAX_BATCH;
	DL_APPEND(waiting, drop);
	metrics.drops++;
}

bool
drops_pending(void)
{
	return waiting || sending;
}

void
drops_linger(int ms)
{
	least_linger_ms = ms;
}

/* What was sent waits again, in front of the others or, if it is at fault, behind them. */
static void
again(bool failed, const char *why)
{
	Drop *drop;
	Drop *next;
	int n;

	DL_COUNT(sent, drop, n);
	DL_FOREACH_SAFE(sent, drop, next)
	{
		DL_DELETE(sent, drop);
		drop->max_batch = failed ? (n + 1) / 2 : MAX_BATCH;
		if (failed && n == 1)
		{
			drop->not_before = now_ms() + (RETRY_MS << drop->tries++);
			if (drop->tries == MAX_TRIES)
			{
				log_line(LOG_WARNING, "a connection can't be dropped, its lease will: %s", why);
				free(drop);
				continue;
			}
		}
		DL_APPEND(waiting, drop);
	}
	sending = false;
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	Drop *drop;
	Drop *next;

	(void) arg;
	if (!ok)
	{
		again(true, PQresultErrorMessage(result));
		return;
	}
	DL_FOREACH_SAFE(sent, drop, next)
	{
		DL_DELETE(sent, drop);
		free(drop);
	}
	sending = false;
}

static void
forgotten(void *arg)
{
	(void) arg;
	again(false, NULL);
}

/* Those that may be dropped together: of one kind, and not later. */
static Drop *
first_due(int64_t now)
{
	Drop *drop;

	DL_FOREACH(waiting, drop)
	{
		if (drop->not_before <= now)
			return drop;
	}
	return NULL;
}

static void
gather(const Drop *first, Buf *handles, int64_t now)
{
	bool at_once = first->at_once;
	int max = first->max_batch;
	int n = 0;
	Drop *drop;
	Drop *next;

	DL_FOREACH_SAFE(waiting, drop, next)
	{
		if (drop->at_once != at_once || drop->not_before > now || drop->max_batch < n + 1)
			continue;
		buf_addf(handles, "%c%lld", n ? ',' : '{', (long long) drop->handle);
		DL_DELETE(waiting, drop);
		DL_APPEND(sent, drop);
		if (++n == max)
			break;
	}
	buf_addc(handles, '}');
}

void
drops_flush(void)
{
	int64_t now = now_ms();
	Buf handles = {0};
	char linger[16];
	const char *values[2];
	const Drop *first;
	int ms;

	if (!waiting || sending || !database_connected() || !(first = first_due(now)))
		return;
	ms = first->at_once ? 0 : options.linger_ms;
	if (!first->at_once && ms < least_linger_ms)
		ms = least_linger_ms;
	snprintf(linger, sizeof(linger), "%d", ms);
	gather(first, &handles, now);
	values[0] = linger;
	values[1] = handles.data;
	sending = true;
	database_ask(STATEMENT_DROP, values, answered, forgotten, NULL);
	buf_free(&handles);
}
