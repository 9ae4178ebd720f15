/*
 * deliver.c
 *	  Webhooks: what waits in the database is posted, by the one gateway that leads.
 *
 * What was received is deleted there; what was not stays where it is. So nothing is lost with us,
 * and what we were at when we died comes twice.
 */
#include "webhooks/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "rooms/apps.h"
#include "webhooks/post.h"

#define POLL_MS        500
#define TIDY_MS        60000
#define LEASE_MS       35000 /* who reports has done so by then */
#define MANY_DROPPED   50000 /* in a call: there may be more */
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS (5 * 60 * 1000)
#define GONE           410 /* what it is not told now it need never be told */

/* A webhook that has had something to deliver. */
typedef struct Hook
{
	struct Delivery *delivery; /* whose */
	char *id;
	char *ids; /* of the events under way, as an array of PostgreSQL */
	int n;
	bool busy;       /* one is being delivered, or deleted after that */
	int backoff_ms;  /* after the next failure; 0: the last one went well */
	int64_t next_at; /* ms */
	struct Hook *prev, *next;
} Hook;

/* Of one database. */
typedef struct Delivery
{
	Hook *hooks;
	bool asking;
	bool tidying;
	int64_t take_at;
	int64_t tidy_at;
	uint64_t waiting; /* events, as of the last look */
} Delivery;

static Delivery all[MAX_DATABASES];
static bool draining;

static Database *
database_of(const Delivery *delivery)
{
	return &databases[delivery - all];
}

static Hook *
hook_by_id(Delivery *delivery, const char *id)
{
	Hook *hook;

	DL_FOREACH(delivery->hooks, hook)
	{
		if (strcmp(hook->id, id) == 0)
			return hook;
	}
	hook = xcalloc(1, sizeof(Hook));
	hook->delivery = delivery;
	hook->id = xstrdup(id);
	DL_APPEND(delivery->hooks, hook);
	return hook;
}

static void
be_free(Hook *hook)
{
	free(hook->ids);
	hook->ids = NULL;
	hook->busy = false;
	if (hook->next_at < hook->delivery->take_at || !hook->next_at)
		hook->delivery->take_at = hook->next_at;
}

/*
 * A delivery ends
 */

static void
deleted(const PGresult *result, bool ok, void *arg)
{
	if (!ok)
		log_line(LOG_ERROR, "webhook %s: what was received can't be deleted, and comes again: %s",
				 ((Hook *) arg)->id, PQresultErrorMessage(result));
	be_free(arg);
}

static void
delete_forgotten(void *arg)
{
	be_free(arg);
}

static void
end_events(Hook *hook)
{
	hook->backoff_ms = 0;
	hook->next_at = 0;
	database_ask(database_of(hook->delivery), STATEMENT_WEBHOOK_DONE,
				 (const char *const[]){hook->id, hook->ids}, deleted, delete_forgotten, hook);
}

/* Later, and later; not all at once. */
static void
try_later(Hook *hook, const char *why)
{
	int backoff = hook->backoff_ms ? hook->backoff_ms : BACKOFF_MIN_MS;

	metrics.webhook_failures++;
	hook->next_at = now_ms() + backoff - (int) (random_u64() % (unsigned) (backoff / 4 + 1));
	hook->backoff_ms = backoff * 2 < BACKOFF_MAX_MS ? backoff * 2 : BACKOFF_MAX_MS;
	log_line(LOG_WARNING, "webhook %s: %d events were not received: %s", hook->id, hook->n, why);
	be_free(hook);
}

static void
posted(int status, const char *problem, void *arg)
{
	Hook *hook = arg;
	char text[40];

	if (status >= 200 && status < 300)
	{
		metrics.webhook_deliveries++;
		metrics.webhook_events += (uint64_t) hook->n;
		end_events(hook);
		return;
	}
	if (status == GONE)
	{
		metrics.webhook_dropped += (uint64_t) hook->n;
		log_line(LOG_WARNING, "webhook %s: %d events are given up: it answered 410", hook->id,
				 hook->n);
		end_events(hook);
		return;
	}
	snprintf(text, sizeof(text), "it answered %d", status);
	try_later(hook, problem ? problem : text);
}

/*
 * Taking
 */

static int
count_ids(const char *ids)
{
	int n = 1;

	for (; *ids; ids++)
		n += *ids == ',';
	return n;
}

/* Columns: webhook, url, key, secret, ids, body. */
static void
begin(Delivery *delivery, const PGresult *result, int row)
{
	Hook *hook = hook_by_id(delivery, PQgetvalue(result, row, 0));
	Bytes body = bytes_of(PQgetvalue(result, row, 5));
	char signature[SIGNATURE_HEX_LEN + 1];
	Buf key = {0};
	char signed_by[32 + SIGNATURE_HEX_LEN];

	if (hook->busy || !signature_hmac(bytes_of(PQgetvalue(result, row, 3)), &body, 1, signature))
		return;
	hook->busy = true;
	hook->ids = xstrdup(PQgetvalue(result, row, 4));
	hook->n = count_ids(hook->ids);
	buf_addf(&key, "X-Pusher-Key: %s", PQgetvalue(result, row, 2));
	snprintf(signed_by, sizeof(signed_by), "X-Pusher-Signature: %s", signature);
	if (!post(PQgetvalue(result, row, 1),
			  (const char *const[]){"Content-Type: application/json", key.data, signed_by, NULL},
			  body, posted, hook))
		try_later(hook, "the request can't be made");
	buf_free(&key);
}

static void
taken(const PGresult *result, bool ok, void *arg)
{
	Delivery *delivery = arg;

	delivery->asking = false;
	if (!ok)
		log_line(LOG_ERROR, "webhooks can't be read: %s", PQresultErrorMessage(result));
	for (int i = 0; ok && !draining && i < PQntuples(result); i++)
		begin(delivery, result, i);
}

static void
take_forgotten(void *arg)
{
	((Delivery *) arg)->asking = false;
}

static void
take(Delivery *delivery, int64_t now)
{
	Buf busy = {0};
	const Hook *hook;

	buf_addc(&busy, '{');
	DL_FOREACH(delivery->hooks, hook)
	{
		if (hook->busy || hook->next_at > now)
			buf_addf(&busy, "%s%s", busy.len > 1 ? "," : "", hook->id);
	}
	buf_addc(&busy, '}');
	delivery->asking = true;
	delivery->take_at = now + POLL_MS;
	database_ask(database_of(delivery), STATEMENT_WEBHOOK_TAKE, (const char *const[]){busy.data},
				 taken, take_forgotten, delivery);
	buf_free(&busy);
}

static void
note_waiting(Delivery *delivery, uint64_t waiting)
{
	metrics.webhook_waiting += waiting - delivery->waiting;
	delivery->waiting = waiting;
}

static void
tidied(const PGresult *result, bool ok, void *arg)
{
	Delivery *delivery = arg;
	uint64_t dropped;

	delivery->tidying = false;
	if (!ok || PQntuples(result) != 1)
	{
		log_line(LOG_ERROR, "webhooks can't be looked after: %s", PQresultErrorMessage(result));
		return;
	}
	dropped = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	note_waiting(delivery, strtoull(PQgetvalue(result, 0, 0), NULL, 10));
	metrics.webhook_dropped += dropped;
	if (dropped >= MANY_DROPPED)
		delivery->tidy_at = 0;
	if (dropped > 0)
		log_line(LOG_WARNING, "%s events for webhooks were dropped, too old or too many",
				 PQgetvalue(result, 0, 1));
}

static void
tidy_forgotten(void *arg)
{
	((Delivery *) arg)->tidying = false;
}

static void
flush(Delivery *delivery)
{
	int64_t now = now_ms();

	if (!delivery->asking && delivery->take_at <= now)
		take(delivery, now);
	if (!delivery->tidying && delivery->tidy_at <= now)
	{
		delivery->tidying = true;
		delivery->tidy_at = now + TIDY_MS;
		database_ask(database_of(delivery), STATEMENT_WEBHOOK_TIDY, NULL, tidied, tidy_forgotten,
					 delivery);
	}
	database_wake_in((int) (delivery->take_at > now ? delivery->take_at - now : POLL_MS));
}

void
deliver_flush(void)
{
	if (draining || !apps_have_webhooks())
		return;
	for (const Database *database = HOME; database; database = database_next(database))
		if (database_connected(database) && database_knows(database, STATEMENT_WEBHOOK_TAKE))
			flush(&all[database->number]);
}

void
deliver_anew(void)
{
	for (Delivery *delivery = all; delivery < all + MAX_DATABASES; delivery++)
	{
		Hook *hook;

		DL_FOREACH(delivery->hooks, hook)
		{
			if (hook->busy || !hook->next_at)
				continue;
			hook->next_at = 0;
			hook->backoff_ms = 0;
			delivery->take_at = 0;
		}
	}
}

void
deliver_restart(const Database *database)
{
	Delivery *delivery = &all[database->number];
	int64_t at = now_ms() + LEASE_MS;

	if (delivery->tidy_at > at)
		delivery->tidy_at = at;
}

void
deliver_drain(void)
{
	draining = true;
}

bool
deliver_pending(void)
{
	for (const Delivery *delivery = all; delivery < all + MAX_DATABASES; delivery++)
	{
		const Hook *hook;

		DL_FOREACH(delivery->hooks, hook)
		{
			if (hook->busy)
				return true;
		}
	}
	return false;
}

void
deliver_end(void)
{
	for (Delivery *delivery = all; delivery < all + MAX_DATABASES; delivery++)
	{
		Hook *hook;
		Hook *next;

		DL_FOREACH_SAFE(delivery->hooks, hook, next)
		{
			DL_DELETE(delivery->hooks, hook);
			free(hook->id);
			free(hook->ids);
			free(hook);
		}
	}
}
