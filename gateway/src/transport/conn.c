/*
 * conn.c
 *	  One TCP connection, with TLS or without: bytes in, frames out, time limits.
 */
#include "transport/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "transport/intake.h"
#include "transport/tls.h"

#define READ_SIZE (32 * 1024)
#define MAX_KEPT  (2 * 1024 * 1024) /* that a handler may leave */
#define FLUSH_US  5000              /* of writing in one turn */

void (*conns_on_closed)(const Conn *conn);

static uv_loop_t *loop;
static Conn *waiting[WAITS]; /* each in the order of time */
static Conn *dirty;
static Conn *resumed;
static Conn *all;
static unsigned nopen;

static void on_ready(uv_poll_t *poll, int status, int events);

/*
 * Beginning and end
 */

void
conns_start(uv_loop_t *loop_)
{
	loop = loop_;
}

unsigned
conns_open(void)
{
	return nopen;
}

void
conns_close_all(void)
{
	while (all)
		conn_close(all);
}

static void
poll_for(Conn *conn)
{
	int events = UV_DISCONNECT;

	if (!conn->paused)
		events |= UV_READABLE;
	if (conn->out.nqueue > 0 && !conn->dirty)
		events |= UV_WRITABLE;
	if (events == conn->polled)
		return;
	conn->polled = events;
	uv_poll_start(&conn->poll, events, on_ready);
}

Conn *
conn_open(int fd, const ConnHandler *handler, bool admin, bool with_tls)
{
	Conn *conn = xcalloc(1, sizeof(Conn));
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->fd = fd;
	conn->handler = handler;
	if (uv_poll_init(loop, &conn->poll, fd) != 0 || (with_tls && !(conn->tls = tls_open(fd))))
	{
		close(fd);
		free(conn);
		return NULL;
	}
	conn->poll.data = conn;
	DL_APPEND2(all, conn, all_prev, all_next);
	conn->admin = admin;
	nopen += !admin;
	metrics.connections++;
	metrics.connections_total++;
	conn_wait(conn, WAIT_HEAD);
	poll_for(conn);
	return conn;
}

static void
mark_clean(Conn *conn)
{
	if (!conn->dirty)
		return;
	conn->dirty = false;
	DL_DELETE2(dirty, conn, dirty_prev, dirty_next);
}

static void
mark_dirty(Conn *conn)
{
	if (conn->dirty || conn->closed)
		return;
	conn->dirty = true;
	DL_APPEND2(dirty, conn, dirty_prev, dirty_next);
}

static void
free_conn(uv_handle_t *handle)
{
	free(handle->data);
}

void
conn_close(Conn *conn)
{
	if (conn->closed)
		return;
	conn->closed = conn->ending = true;
	conn->handler->closed(conn);
	mark_clean(conn);
	if (conn->resumed)
		DL_DELETE2(resumed, conn, resumed_prev, resumed_next);
	conn_wait(conn, WAIT_NONE);
	out_free(&conn->out);
	buf_free(&conn->in);
	ws_free(&conn->ws);
	uv_poll_stop(&conn->poll);
	if (conn->tls)
		SSL_free(conn->tls);
	close(conn->fd);
	holder_release(conn->holder);
	conn->holder = NULL;
	DL_DELETE2(all, conn, all_prev, all_next);
	nopen -= !conn->admin;
	metrics.connections--;
	uv_close((uv_handle_t *) &conn->poll, free_conn);
	conns_on_closed(conn);
}

/* What the peer sends from here on is thrown away, so that it gets our last bytes and no reset. */
static void
say_last(Conn *conn)
{
	if (conn->half_closed)
		return;
	conn->half_closed = true;
	if (conn->tls && conn->tls_ready)
		SSL_shutdown(conn->tls);
	shutdown(conn->fd, SHUT_WR);
}

void
conn_end(Conn *conn)
{
	if (conn->ending)
		return;
	conn->ending = true;
	conn->paused = false;
	buf_free(&conn->in);
	conn_wait(conn, WAIT_END);
	mark_dirty(conn);
	poll_for(conn);
}

void
conn_wait(Conn *conn, ConnWait wait)
{
	if (conn->wait)
		DL_DELETE(waiting[conn->wait], conn);
	conn->wait = wait;
	conn->wait_since = now_ms();
	if (wait)
		DL_APPEND(waiting[wait], conn);
}

Conn *
conn_first(ConnWait wait)
{
	return waiting[wait];
}

/*
 * Writing
 */

static void
queue_frame(Conn *conn, Frame *frame)
{
	out_add(&conn->out, frame);
	mark_dirty(conn);
}

static bool
write_queue(Conn *conn)
{
	return (conn->tls && !conn->tls_ready) || out_write(&conn->out, conn->fd, conn->tls);
}

/*
 * Over its limit, what waits is written at once: many frames of one turn are no sign of a slow
 * reader. Who is one is not closed here: the caller may be on its way through a list that it
 * is in.
 */
void
conn_send(Conn *conn, Frame *frame)
{
	size_t limit = (size_t) options.max_backlog + conn->out.shared;

	if (conn->ending || conn->slow || conn->broken)
		return;
	if (conn->out.nqueue > 0 && conn->out.backlog + frame->len > limit)
	{
		conn->broken = !write_queue(conn);
		conn->slow = conn->out.nqueue > 0 && conn->out.backlog + frame->len > limit;
	}
	if (conn->broken || conn->slow)
		mark_dirty(conn);
	else
		queue_frame(conn, frame);
}

void
conn_send_list(Conn *conn, Frame *const *frames, int nframes, size_t bytes)
{
	size_t limit = (size_t) options.max_backlog + conn->out.shared;

	if (conn->ending || conn->slow || conn->broken || nframes == 0)
		return;
	if (conn->out.backlog > limit)
		conn->slow = true;
	else
		conn->out.shared += bytes;
	for (int i = 0; i < nframes && !conn->slow; i++)
		queue_frame(conn, frames[i]);
	mark_dirty(conn);
}

void
conn_send_last(Conn *conn, Frame *frame)
{
	if (!conn->ending && !conn->broken)
		queue_frame(conn, frame);
}

static void
flush(Conn *conn)
{
	mark_clean(conn);
	if (conn->slow)
	{
		metrics.closed_slow++;
		log_line(LOG_INFO, "a client reads too slowly: %zu bytes wait for it", conn->out.backlog);
		conn_close(conn);
	}
	else if (conn->broken || !write_queue(conn))
		conn_close(conn);
	else
	{
		if (conn->ending && conn->out.nqueue == 0)
			say_last(conn);
		poll_for(conn);
	}
}

/*
 * Reading
 */

/* The input is the callee's for the time: the connection may end in between. */
static void
handle(Conn *conn, char *data, size_t len, size_t *used)
{
	*used = 0;
	while (*used < len && !conn->ending && !conn->paused)
	{
		size_t n = conn->handler->received(conn, data + *used, len - *used);

		if (n == 0)
			break;
		*used += n;
	}
}

static void
handle_kept(Conn *conn)
{
	Buf in = conn->in;
	size_t used;

	conn->in = (Buf){0};
	handle(conn, in.data, in.len, &used);
	if (conn->ending)
	{
		buf_free(&in);
		return;
	}
	buf_take(&in, used);
	conn->in = in;
}

static void
take(Conn *conn, char *data, size_t len)
{
	size_t used;

	if (conn->ending)
		return;
	metrics.bytes_in += len;
	if (conn->in.len > 0)
	{
		buf_add(&conn->in, data, len);
		handle_kept(conn);
	}
	else
	{
		handle(conn, data, len, &used);
		if (used < len && !conn->ending)
			buf_add(&conn->in, data + used, len - used);
	}
	if (conn->in.len > MAX_KEPT)
		conn_close(conn);
}

/* The PROXY protocol comes before all else, TLS too: nothing is read that is not of it. */
static bool
read_proxy_header(Conn *conn)
{
	int status = intake_proxy_header(conn->fd, &conn->ip);

	if (status > 0)
		conn->from_proxy = false;
	else if (status < 0)
		conn_close(conn);
	return status > 0;
}

static bool
shake_hands(Conn *conn)
{
	int status = !conn->tls || conn->tls_ready ? 1 : intake_handshake(conn->tls);

	if (status > 0)
		conn->tls_ready = conn->tls != NULL;
	else if (status < 0)
	{
		metrics.tls_failures++;
		conn_close(conn);
	}
	return status > 0;
}

static void
receive(Conn *conn)
{
	static char data[READ_SIZE];
	ssize_t n;

	if (conn->from_proxy && !read_proxy_header(conn))
		return;
	if (!shake_hands(conn))
		return;
	n = intake_read(conn->fd, conn->tls, data, sizeof(data));
	if (n < 0)
		conn_close(conn);
	else if (n > 0)
		take(conn, data, (size_t) n);
}

static void
on_ready(uv_poll_t *poll, int status, int events)
{
	Conn *conn = poll->data;

	if (status < 0)
	{
		conn_close(conn);
		return;
	}
	if ((events & UV_READABLE) || ((events & UV_DISCONNECT) && !conn->paused))
		receive(conn);
	else if (events & UV_DISCONNECT)
		conn_close(conn);
	if (!conn->closed && (events & UV_WRITABLE))
		flush(conn);
	if (!conn->closed)
		poll_for(conn);
}

void
conn_pause(Conn *conn)
{
	conn->paused = true;
	poll_for(conn);
}

void
conn_resume(Conn *conn)
{
	if (!conn->paused)
		return;
	conn->paused = false;
	poll_for(conn);
	if (conn->in.len == 0 || conn->resumed)
		return;
	conn->resumed = true;
	DL_APPEND2(resumed, conn, resumed_prev, resumed_next);
}

/* Input of before, once for each; it may pause anew. */
static void
take_resumed(void)
{
	Conn *last = resumed ? resumed->resumed_prev : NULL;
	Conn *conn = NULL;

	while (resumed && conn != last)
	{
		conn = resumed;
		DL_DELETE2(resumed, conn, resumed_prev, resumed_next);
		conn->resumed = false;
		handle_kept(conn);
	}
}

bool
conns_flush(void)
{
	int64_t until = now_us() + FLUSH_US;

	take_resumed();
	for (int n = 1; dirty; n++)
	{
		flush(dirty);
		if (n % 32 == 0 && now_us() > until)
			break;
	}
	return dirty || resumed;
}
