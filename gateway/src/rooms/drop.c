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

/* Of one database. */
typedef struct Drops
{
	Drop *waiting;
	Drop *sent;
	bool sending;
} Drops;

static Drops all[MAX_DATABASES];
static int least_linger_ms;

void
drop_want(Database *database, int64_t handle, bool at_once)
{
	Drop *drop = xcalloc(1, sizeof(Drop));

	drop->handle = handle;
	drop->at_once = at_once;
	drop->max_batch = MAX_BATCH;
	DL_APPEND(all[database->number].waiting, drop);
	metrics.drops++;
}

bool
drops_pending(void)
{
	for (const Database *database = HOME; database; database = database_next(database))
	{
		const Drops *drops = &all[database->number];

		if (database_connected(database) && (drops->waiting || drops->sending))
			return true;
	}
	return false;
}

void
drops_linger(int ms)
{
	least_linger_ms = ms;
}

/* What was sent waits again, in front of the others or, if it is at fault, behind them. */
static void
again(Drops *drops, bool failed, const char *why)
{
	Drop *drop;
	Drop *next;
	int n;

	DL_COUNT(drops->sent, drop, n);
	DL_FOREACH_SAFE(drops->sent, drop, next)
	{
		DL_DELETE(drops->sent, drop);
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
		DL_APPEND(drops->waiting, drop);
	}
	drops->sending = false;
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	Drops *drops = arg;
	Drop *drop;
	Drop *next;

	if (!ok)
	{
		again(drops, true, PQresultErrorMessage(result));
		return;
	}
	DL_FOREACH_SAFE(drops->sent, drop, next)
	{
		DL_DELETE(drops->sent, drop);
		free(drop);
	}
	drops->sending = false;
}

static void
forgotten(void *arg)
{
	again(arg, false, NULL);
}

/* Those that may be dropped together: of one kind, and not later. */
static Drop *
first_due(const Drops *drops, int64_t now)
{
	Drop *drop;

	DL_FOREACH(drops->waiting, drop)
	{
		if (drop->not_before <= now)
			return drop;
	}
	return NULL;
}

static void
gather(Drops *drops, const Drop *first, Buf *handles, int64_t now)
{
	bool at_once = first->at_once;
	int max = first->max_batch;
	int n = 0;
	Drop *drop;
	Drop *next;

	DL_FOREACH_SAFE(drops->waiting, drop, next)
	{
		if (drop->at_once != at_once || drop->not_before > now || drop->max_batch < n + 1)
			continue;
		buf_addf(handles, "%c%lld", n ? ',' : '{', (long long) drop->handle);
		DL_DELETE(drops->waiting, drop);
		DL_APPEND(drops->sent, drop);
		if (++n == max)
			break;
	}
	buf_addc(handles, '}');
}

static void
flush(Database *database)
{
	Drops *drops = &all[database->number];
	int64_t now = now_ms();
	Buf handles = {0};
	char linger[16];
	const char *values[2];
	const Drop *first;
	int ms;

	if (!drops->waiting || drops->sending || !database_connected(database) ||
		!(first = first_due(drops, now)))
		return;
	ms = first->at_once ? 0 : options.linger_ms;
	if (!first->at_once && ms < least_linger_ms)
		ms = least_linger_ms;
	snprintf(linger, sizeof(linger), "%d", ms);
	gather(drops, first, &handles, now);
	values[0] = linger;
	values[1] = handles.data;
	drops->sending = true;
	database_ask(database, STATEMENT_DROP, values, answered, forgotten, drops);
	buf_free(&handles);
}

void
drops_flush(void)
{
	for (Database *database = HOME; database; database = database_next(database))
		flush(database);
}
