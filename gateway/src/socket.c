/*
 * socket.c
 *	  One client's WebSocket: what waits to go out, its silence, its end.
 *
 * Frames are queued by reference and handed over at the end of each turn of the
 * loop, all that wait for one socket in one write: a burst of events costs one
 * system call for each client. They are encoded already, so they go past the
 * framing of libwebsockets (LWS_WRITE_HTTP is what it calls bytes as they are),
 * which keeps what the kernel does not take. So does our close frame: the peer answers
 * it, or its time runs out, and libwebsockets closes the connection.
 *
 * All sockets are in one of two lists, in the order of time: quiet (since when
 * nothing was heard) and pinged (since when an answer is owed). So a tick looks at
 * the heads only.
 */
#include "socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "log.h"
#include "metrics.h"
#include "options.h"

#define WRITE_SIZE        (64 * 1024) /* of what goes out at once */
#define CLOSE_SECONDS     5           /* for the last bytes and the peer's goodbye */
#define EVENTS_PER_SECOND 10
#define SMALL_QUEUE       4 /* that a socket keeps while it is empty */

void (*socket_on_detach)(Socket *socket);

static Socket *quiet;
static Socket *pinged;
static Socket *dirty;

Socket *
socket_open(struct lws *wsi, App *app)
{
	Socket *socket = xcalloc(1, sizeof(Socket));

	socket->wsi = wsi;
	socket->app = app;
	snprintf(socket->id, sizeof(socket->id), "%u.%u", (unsigned) (random_u64() >> 33),
			 (unsigned) (random_u64() >> 33));
	socket->heard_at = now_ms();
	DL_APPEND(quiet, socket);
	metrics.sockets++;
	return socket;
}

static void
mark_clean(Socket *socket)
{
	if (!socket->dirty)
		return;
	socket->dirty = false;
	DL_DELETE2(dirty, socket, dirty_prev, dirty_next);
}

static void
drop_queue(Socket *socket)
{
	for (int i = 0; i < socket->nqueue; i++)
		frame_unref(socket->queue[i]);
	free(socket->queue);
	socket->queue = NULL;
	socket->nqueue = socket->queue_cap = 0;
	socket->backlog = 0;
}

static void
detach(Socket *socket)
{
	if (socket->closing)
		return;
	socket->closing = true;
	socket_on_detach(socket);
}

void
socket_closed(Socket *socket)
{
	detach(socket);
	mark_clean(socket);
	drop_queue(socket);
	if (socket->pinged)
		DL_DELETE(pinged, socket);
	else
		DL_DELETE(quiet, socket);
	free(socket->user_id);
	buf_free(&socket->in);
	free(socket);
	metrics.sockets--;
}

static void
mark_dirty(Socket *socket)
{
	if (socket->dirty)
		return;
	socket->dirty = true;
	DL_APPEND2(dirty, socket, dirty_prev, dirty_next);
}

static void
queue_frame(Socket *socket, Frame *frame)
{
	if (socket->nqueue == socket->queue_cap)
	{
		socket->queue_cap = socket->queue_cap ? socket->queue_cap * 2 : SMALL_QUEUE;
		socket->queue = xrealloc(socket->queue, sizeof(Frame *) * (size_t) socket->queue_cap);
	}
	socket->queue[socket->nqueue++] = frame_ref(frame);
	socket->backlog += frame->len;
	metrics.frames_out++;
	mark_dirty(socket);
}

/* Frames from the queue, as many as fit; how many. At least one, whatever its size. */
static int
gather(Socket *socket, unsigned char *out, size_t *len)
{
	int n = 0;

	*len = 0;
	while (n < socket->nqueue && *len + socket->queue[n]->len <= WRITE_SIZE)
	{
		memcpy(out + *len, socket->queue[n]->data, socket->queue[n]->len);
		*len += socket->queue[n++]->len;
	}
	return n;
}

static void
unqueue(Socket *socket, int n)
{
	for (int i = 0; i < n; i++)
	{
		socket->backlog -= socket->queue[i]->len;
		frame_unref(socket->queue[i]);
	}
	socket->nqueue -= n;
	memmove(socket->queue, socket->queue + n, sizeof(Frame *) * (size_t) socket->nqueue);
	if (socket->nqueue == 0 && socket->queue_cap > SMALL_QUEUE)
		drop_queue(socket);
}

/* Writes until the queue is empty or the kernel takes no more; false: the connection is dead. */
static bool
write_queue(Socket *socket)
{
	static unsigned char joined[WRITE_SIZE];

	while (socket->nqueue > 0 && !lws_partial_buffered(socket->wsi))
	{
		unsigned char *data = socket->queue[0]->data;
		size_t len = socket->queue[0]->len;
		int n = 1;

		if (socket->nqueue > 1 && len < WRITE_SIZE)
		{
			data = joined;
			n = gather(socket, joined, &len);
		}
		if (lws_write(socket->wsi, data, len, LWS_WRITE_HTTP) < 0)
			return false;
		unqueue(socket, n);
	}
	return true;
}

/*
 * Over its limit, what waits is handed over at once: many frames of one turn are no sign of
 * a slow reader. Who is one is not killed here: the caller may be on its way
 * through a list that it is in.
 */
void
socket_send(Socket *socket, Frame *frame)
{
	size_t limit = (size_t) options.max_backlog;

	if (socket->closing || socket->slow)
		return;
	if (socket->nqueue > 0 && socket->backlog + frame->len > limit &&
		(!write_queue(socket) || (socket->nqueue > 0 && socket->backlog + frame->len > limit)))
	{
		socket->slow = true;
		mark_dirty(socket);
	}
	else
		queue_frame(socket, frame);
}

void
socket_send_own(Socket *socket, Frame *frame)
{
	socket_send(socket, frame);
	frame_unref(frame);
}

/*
 * libwebsockets looks at its timeouts in its own turns only, and nothing else may be
 * going on: wake it.
 */
static void
set_timeout(Socket *socket, int seconds)
{
	lws_set_timeout(socket->wsi, PENDING_TIMEOUT_CLOSE_SEND, seconds);
	lws_cancel_service(lws_get_context(socket->wsi));
}

void
socket_close(Socket *socket, int code, const char *reason)
{
	Frame *error;
	Frame *goodbye;

	if (socket->closing)
		return;
	error = frame_error(code, reason);
	goodbye = frame_close(code);
	queue_frame(socket, error);
	queue_frame(socket, goodbye);
	frame_unref(error);
	frame_unref(goodbye);
	detach(socket);
	set_timeout(socket, CLOSE_SECONDS);
}

void
socket_kill(Socket *socket)
{
	detach(socket);
	mark_clean(socket);
	drop_queue(socket);
	set_timeout(socket, LWS_TO_KILL_ASYNC);
}

int
socket_writable(Socket *socket)
{
	mark_clean(socket);
	if (!write_queue(socket))
		return -1;
	if (socket->nqueue > 0 || lws_partial_buffered(socket->wsi))
		lws_callback_on_writable(socket->wsi);
	return 0;
}

static void
end_slow(Socket *socket)
{
	log_line(LOG_INFO, "socket %s reads too slowly: %zu bytes wait", socket->id, socket->backlog);
	metrics.closed_slow++;
	socket_kill(socket);
}

void
sockets_flush(void)
{
	while (dirty)
	{
		Socket *socket = dirty;

		mark_clean(socket);
		if (socket->slow)
			end_slow(socket);
		else if (!write_queue(socket))
			socket_kill(socket);
		else if (socket->nqueue > 0)
			lws_callback_on_writable(socket->wsi);
	}
}

void
socket_heard(Socket *socket)
{
	socket->heard_at = now_ms();
	if (socket->pinged)
		DL_DELETE(pinged, socket);
	else
		DL_DELETE(quiet, socket);
	socket->pinged = false;
	DL_APPEND(quiet, socket);
}

int
socket_activity_timeout(void)
{
	return options.silence_ms / 2000 > 1 ? options.silence_ms / 2000 : 1;
}

/*
 * Half of the silence that is allowed, then a ping, then the other half. The
 * client would ping by itself after the same time, but its clock begins anew with
 * whatever it receives: who listens to a busy room says nothing.
 */
void
sockets_tick(void)
{
	int64_t half = options.silence_ms / 2;
	int64_t now = now_ms();
	Frame *ping = NULL;

	while (pinged && pinged->heard_at + half <= now)
	{
		Socket *socket = pinged;

		DL_DELETE(pinged, socket);
		socket->pinged = false;
		socket->heard_at = now;
		DL_APPEND(quiet, socket);
		if (socket->closing)
			continue;
		metrics.closed_silent++;
		socket_close(socket, CLOSE_NO_PONG, "Pong reply not received");
	}
	while (quiet && quiet->heard_at + half <= now)
	{
		Socket *socket = quiet;

		DL_DELETE(quiet, socket);
		socket->pinged = true;
		socket->heard_at = now;
		DL_APPEND(pinged, socket);
		if (!ping)
			ping = frame_event(BYTES("pusher:ping"), (Bytes){0}, BYTES("{}"));
		socket_send(socket, ping);
	}
	frame_unref(ping);
}

bool
socket_may_send_event(Socket *socket)
{
	int64_t now = now_ms();

	if (now - socket->client_events_at >= 1000)
	{
		socket->client_events_at = now;
		socket->client_events = 0;
	}
	return ++socket->client_events <= EVENTS_PER_SECOND;
}

void
sockets_each(void (*call)(Socket *socket, void *arg), void *arg)
{
	Socket *socket;
	Socket *next;

	DL_FOREACH_SAFE(quiet, socket, next)
	{
		call(socket, arg);
	}
	DL_FOREACH_SAFE(pinged, socket, next)
	{
		call(socket, arg);
	}
}
