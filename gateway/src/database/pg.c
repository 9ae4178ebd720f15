/*
 * pg.c
 *	  One connection to PostgreSQL, in pipeline mode, in the loop.
 *
 * libpq closes its socket whenever it finds the connection broken, and the number may be that of
 * a client a moment later. So what is watched is a duplicate, which is ours to close. While
 * connecting, libpq may go on with another socket (several addresses, TLS refused), so a watcher
 * lives for one step only; after that it stays.
 */
#include "database/pg.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"

typedef struct Request
{
	PgAnswer answer;
	PgForgotten forgotten;
	void *arg;
	int64_t at;
	PGresult *result; /* arrived; its transaction is not over yet */
	struct Request *prev, *next;
} Request;

struct Pg
{
	const char *name;
	PGconn *conn;
	uv_loop_t *loop;
	uv_poll_t *watcher;
	int watched;          /* the file descriptor of the watcher */
	int polled;           /* what it waits for */
	uv_timer_t *deadline; /* of connecting */
	const PgEvents *events;
	void *arg;
	Request *requests; /* not answered, oldest first */
	bool ready;
	bool closed;
	bool flush; /* libpq has something to send */
	int busy;   /* callbacks under way: pg_close() leaves the memory to them */
};

static const PGresult *answered; /* the one that is handed out */
static bool kept;                /* its taker keeps it */

static void step(uv_poll_t *watcher, int status, int events);

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void
unwatch(Pg *pg)
{
	if (!pg->watcher)
		return;
	uv_poll_stop(pg->watcher);
	uv_close((uv_handle_t *) pg->watcher, free_handle);
	close(pg->watched);
	pg->watcher = NULL;
}

/* False: there is nothing to watch. */
static bool
watch(Pg *pg, int events)
{
	if (!pg->watcher)
	{
		int fd = PQsocket(pg->conn) < 0 ? -1 : fcntl(PQsocket(pg->conn), F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return false;
		pg->watched = fd;
		pg->watcher = xmalloc(sizeof(uv_poll_t));
		pg->polled = 0;
		uv_poll_init(pg->loop, pg->watcher, fd);
		pg->watcher->data = pg;
	}
	if (events != pg->polled)
		uv_poll_start(pg->watcher, events, step);
	pg->polled = events;
	return true;
}

static void
end_deadline(Pg *pg)
{
	if (!pg->deadline)
		return;
	uv_timer_stop(pg->deadline);
	uv_close((uv_handle_t *) pg->deadline, free_handle);
	pg->deadline = NULL;
}

static void
lose(Pg *pg, const char *why)
{
	char *text = xstrdup(why && *why ? why : "the connection is gone");
	size_t len = strlen(text);

	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	pg->events->lost(pg, text, pg->arg);
	free(text);
}

static void
too_late(uv_timer_t *timer)
{
	Pg *pg = timer->data;
	bool failed = PQstatus(pg->conn) == CONNECTION_BAD;

	lose(pg, failed ? PQerrorMessage(pg->conn) : "connecting takes too long");
}

static void
notice(void *arg, const char *message)
{
	(void) arg;
	log_line(LOG_INFO, "database: %s", message);
}

Pg *
pg_open(uv_loop_t *loop, const char *name, const char *const *keywords, const char *const *values,
		int connect_ms, const PgEvents *events, void *arg)
{
	Pg *pg = xcalloc(1, sizeof(Pg));

	pg->name = name;
	pg->loop = loop;
	pg->events = events;
	pg->arg = arg;
	pg->conn = PQconnectStartParams(keywords, values, 1);
	if (!pg->conn)
		abort();
	PQsetNoticeProcessor(pg->conn, notice, NULL);
	pg->deadline = xmalloc(sizeof(uv_timer_t));
	uv_timer_init(loop, pg->deadline);
	pg->deadline->data = pg;
	if (PQstatus(pg->conn) != CONNECTION_BAD && watch(pg, UV_WRITABLE))
		uv_timer_start(pg->deadline, too_late, (uint64_t) connect_ms, 0);
	else
		uv_timer_start(pg->deadline, too_late, 0, 0);
	return pg;
}

static void
free_if_unused(Pg *pg)
{
	if (pg->closed && pg->busy == 0)
		free(pg);
}

void
pg_close(Pg *pg)
{
	Request *request;
	Request *next;

	unwatch(pg);
	end_deadline(pg);
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->closed = true;
	DL_FOREACH_SAFE(pg->requests, request, next)
	{
		DL_DELETE(pg->requests, request);
		PQclear(request->result);
		if (request->forgotten)
			request->forgotten(request->arg);
		free(request);
	}
	free_if_unused(pg);
}

static void
answer(Pg *pg, Request *request)
{
	ExecStatusType status = PQresultStatus(request->result);
	bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;

	DL_DELETE(pg->requests, request);
	answered = request->result;
	kept = false;
	if (request->answer)
		request->answer(request->result, ok, request->arg);
	else if (!ok)
		log_line(LOG_ERROR, "database: %s", PQresultErrorMessage(request->result));
	if (!kept)
		PQclear(request->result);
	kept = false;
	free(request);
}

PGresult *
pg_keep(const PGresult *result)
{
	kept = true;
	return result == answered ? (PGresult *) result : NULL;
}

/* A result, or the end of a transaction: then the request is answered. */
static void
take(Pg *pg, PGresult *result)
{
	Request *request = pg->requests;

	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
	{
		PQclear(result);
		answer(pg, request);
	}
	else if (!request->result || PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		PQclear(request->result);
		request->result = result;
	}
	else
		PQclear(result);
}

/* All that has arrived. */
static void
receive(Pg *pg)
{
	PGnotify *notify;

	if (!PQconsumeInput(pg->conn))
	{
		lose(pg, PQerrorMessage(pg->conn));
		return;
	}
	while (!pg->closed && pg->requests && !PQisBusy(pg->conn))
	{
		PGresult *result = PQgetResult(pg->conn);

		if (result)
			take(pg, result);
		else if (PQstatus(pg->conn) != CONNECTION_OK)
			break;
	}
	while (!pg->closed && (notify = PQnotifies(pg->conn)))
	{
		pg->events->notified(pg, notify->relname, notify->extra, pg->arg);
		PQfreemem(notify);
	}
	if (!pg->closed && PQstatus(pg->conn) != CONNECTION_OK)
		lose(pg, PQerrorMessage(pg->conn));
}

static bool
begin_pipeline(Pg *pg)
{
	return PQsetnonblocking(pg->conn, 1) == 0 && PQenterPipelineMode(pg->conn) == 1 &&
		   watch(pg, UV_READABLE);
}

static void
connect_step(Pg *pg)
{
	bool ok = false;

	unwatch(pg);
	switch (PQconnectPoll(pg->conn))
	{
		case PGRES_POLLING_READING:
			ok = watch(pg, UV_READABLE);
			break;
		case PGRES_POLLING_WRITING:
			ok = watch(pg, UV_WRITABLE);
			break;
		case PGRES_POLLING_OK:
			end_deadline(pg);
			ok = pg->ready = begin_pipeline(pg);
			break;
		default:
			break;
	}
	if (!ok)
		lose(pg, PQerrorMessage(pg->conn));
	else if (pg->ready)
		pg->events->connected(pg, pg->arg);
}

static void
step(uv_poll_t *watcher, int status, int events)
{
	Pg *pg = watcher->data;

	(void) events;
	pg->busy++;
	if (!pg->ready)
		connect_step(pg);
	else if (status < 0)
		lose(pg, uv_strerror(status));
	else
	{
		receive(pg);
		if (!pg->closed)
		{
			pg->flush = true;
			pg_flush(pg);
		}
	}
	pg->busy--;
	free_if_unused(pg);
}

static void
expect(Pg *pg, PgAnswer answer_, PgForgotten forgotten, void *arg)
{
	Request *request = xcalloc(1, sizeof(Request));

	request->answer = answer_;
	request->forgotten = forgotten;
	request->arg = arg;
	request->at = now_ms();
	DL_APPEND(pg->requests, request);
	pg->flush = true;
}

/* If libpq could not take a request the connection is broken, and pg_flush() finds out. */
static void
prepared(const PGresult *result, bool ok, void *arg)
{
	Pg *pg = arg;

	if (!ok)
		lose(pg, PQresultErrorMessage(result));
}

void
pg_prepare(Pg *pg, const char *name, const char *sql)
{
	PQsendPrepare(pg->conn, name, sql, 0, NULL);
	PQpipelineSync(pg->conn);
	expect(pg, prepared, NULL, pg);
}

void
pg_ask(Pg *pg, const char *statement, int nvalues, const char *const *values, PgAnswer answer_,
	   PgForgotten forgotten, void *arg)
{
	PQsendQueryPrepared(pg->conn, statement, nvalues, values, NULL, NULL, 0);
	PQpipelineSync(pg->conn);
	expect(pg, answer_, forgotten, arg);
}

void
pg_flush(Pg *pg)
{
	int left;

	if (!pg->ready || !pg->flush)
		return;
	pg->flush = false;
	left = PQflush(pg->conn);
	if (left < 0 || PQstatus(pg->conn) != CONNECTION_OK)
		lose(pg, PQerrorMessage(pg->conn));
	else
		watch(pg, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

int64_t
pg_oldest(const Pg *pg)
{
	return pg->requests ? pg->requests->at : 0;
}

char *
pg_identifier(Pg *pg, const char *name)
{
	char *quoted = PQescapeIdentifier(pg->conn, name, strlen(name));
	char *copy;

	if (!quoted)
		return NULL;
	copy = xstrdup(quoted);
	PQfreemem(quoted);
	return copy;
}

const char *
pg_name(const Pg *pg)
{
	return pg->name;
}

/*
 * PQcancel() connects, and waits for that: in a thread of libuv's.
 */

typedef struct Cancel
{
	uv_work_t work;
	PGcancel *cancel;
} Cancel;

static void
cancel_work(uv_work_t *work)
{
	Cancel *cancel = work->data;
	char why[256];

	PQcancel(cancel->cancel, why, sizeof(why));
}

static void
cancel_done(uv_work_t *work, int status)
{
	Cancel *cancel = work->data;

	(void) status;
	PQfreeCancel(cancel->cancel);
	free(cancel);
}

void
pg_cancel(Pg *pg)
{
	Cancel *cancel = xcalloc(1, sizeof(Cancel));

	cancel->work.data = cancel;
	cancel->cancel = PQgetCancel(pg->conn);
	if (!cancel->cancel || uv_queue_work(pg->loop, &cancel->work, cancel_work, cancel_done) != 0)
	{
		PQfreeCancel(cancel->cancel);
		free(cancel);
	}
}
