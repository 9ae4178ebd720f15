/*
 * socket.c
 *	  One client's WebSocket: who it is, its silence, its end.
 *
 * All sockets are in one of two lists, in the order of time: quiet (since when
 * nothing was heard) and pinged (since when an answer is owed). So a tick looks at
 * the heads only.
 */
#include "rooms/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"

#define EVENTS_PER_SECOND 10
#define MESSAGE_BURST     (options.max_subscriptions + 4 * options.message_rate)
#define BYTES_A_MESSAGE   4096 /* a longer one counts as more */
#define ADDRESS_RATE      20   /* times that of a client */

void (*socket_on_detach)(Socket *socket);

static Socket *quiet;
static Socket *pinged;

Socket *
socket_open(Conn *conn, AppKey *key)
{
	Socket *socket = xcalloc(1, sizeof(Socket));

	socket->conn = conn;
	socket->key = key;
	snprintf(socket->id, sizeof(socket->id), "%u.%u", (unsigned) (random_u64() >> 33),
			 (unsigned) (random_u64() >> 33));
	socket->heard_at = now_ms();
	DL_APPEND(quiet, socket);
	conn->owner = socket;
	if (key)
	{
		metrics.sockets++;
		key->connections++;
	}
	return socket;
}

static void
detach(Socket *socket)
{
	if (socket->closing)
		return;
	socket->closing = true;
	socket_on_detach(socket);
	if (!socket->key)
		return;
	metrics.sockets--;
	socket->key->connections--;
}

void
socket_closed(Socket *socket)
{
	detach(socket);
	if (socket->pinged)
		DL_DELETE(pinged, socket);
	else
		DL_DELETE(quiet, socket);
	free(socket->user_id);
	free(socket->user_info);
	free(socket);
}

void
socket_send(Socket *socket, Frame *frame)
{
	if (!socket->closing)
		conn_send(socket->conn, frame);
}

void
socket_send_own(Socket *socket, Frame *frame)
{
	socket_send(socket, frame);
	frame_unref(frame);
}

static void
say_closed(const Socket *socket, int code, const char *reason)
{
	char address[ADDRESS_TEXT];
	char number[12];
	const LogField fields[] = {{"reason", reason},
							   {"code", number},
							   {"address", address},
							   {"app", socket->key ? socket->key->app->id : NULL},
							   {"user", socket->user_id},
							   {"socket", socket->id},
							   {NULL, NULL}};

	ip_text(&socket->conn->ip, address);
	snprintf(number, sizeof(number), "%d", code);
	log_fields(code == CLOSE_RECONNECT ? LOG_DEBUG : LOG_INFO,
			   socket->key ? "client closed" : "client refused", fields);
}

void
socket_close(Socket *socket, int code, const char *reason)
{
	Frame *error;
	Frame *goodbye;

	if (socket->closing)
		return;
	say_closed(socket, code, reason);
	error = frame_error(code, (Bytes){0}, reason);
	goodbye = frame_close(code);
	conn_send_last(socket->conn, error);
	conn_send_last(socket->conn, goodbye);
	frame_unref(error);
	frame_unref(goodbye);
	detach(socket);
	conn_end(socket->conn);
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
 * whatever it receives: who listens to a busy room says nothing. WebSocket's own
 * ping goes along: some clients answer that one only.
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
		{
			frame_begin();
			frame_add(BYTES("pusher:ping"), (Bytes){0}, BYTES("{}"));
			frame_add_ping();
			ping = frame_end();
		}
		socket_send(socket, ping);
	}
	frame_unref(ping);
}

/* A client's own measure, and that of its address: a thousand clients of one may not do more. */
bool
socket_may_speak(Socket *socket, size_t bytes)
{
	int64_t now = now_ms();
	int tokens = 1 + (int) (bytes / BYTES_A_MESSAGE);
	Holder *holder = socket->conn->holder;

	if (!bucket_take(&socket->messages, now, tokens, MESSAGE_BURST, options.message_rate))
		return false;
	return !holder || ip_is_local(&holder->ip) ||
		   bucket_take(&holder->messages, now, tokens, ADDRESS_RATE * MESSAGE_BURST,
					   ADDRESS_RATE * options.message_rate);
}

bool
socket_may_send_event(Socket *socket)
{
	return bucket_take(&socket->client_events, now_ms(), 1, EVENTS_PER_SECOND, EVENTS_PER_SECOND);
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

void
sockets_move_away(unsigned n)
{
	Socket *lists[] = {pinged, quiet};

	for (int i = 0; i < 2; i++)
	{
		Socket *socket;

		DL_FOREACH(lists[i], socket)
		{
			if (n == 0)
				return;
			if (socket->closing)
				continue;
			socket_close(socket, CLOSE_RECONNECT, "This server is going away");
			n--;
		}
	}
}
