/*
 * listener.c
 *	  Where clients connect: addresses bound, or given by systemd; and when none is accepted.
 */
#include "transport/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "base/log.h"
#include "base/metrics.h"
#include "base/options.h"
#include "transport/bind.h"
#include "transport/tls.h"
#include "transport/waits.h"

#define ACCEPTS_A_TURN      64
#define RETRY_MS            200 /* while there are no files */
#define MAX_ADMIN           64
#define SYSTEMD_FIRST_FD    3
#define DEFAULT_PER_ADDRESS 1000

typedef struct Listener
{
	int fd;
	bool admin;
	bool given; /* by systemd, whose it is */
	bool accepting;
	uv_poll_t poll;
	char *path; /* of a Unix socket, to be removed */
	struct Listener *prev, *next;
} Listener;

const ConnHandler *listener_handler;

static uv_loop_t *loop;
static Listener *listeners;
static uv_timer_t retry;
static unsigned allowed;
static unsigned nadmin;
static bool stopped;

static void on_connect(uv_poll_t *poll, int status, int events);

/*
 * Accepting, or not
 */

static void
accept_or_not(bool accept)
{
	Listener *listener;

	DL_FOREACH(listeners, listener)
	{
		if (listener->admin || listener->accepting == accept)
			continue;
		listener->accepting = accept;
		if (accept)
			uv_poll_start(&listener->poll, UV_READABLE, on_connect);
		else
			uv_poll_stop(&listener->poll);
	}
}

static void
accept_again(uv_timer_t *timer)
{
	(void) timer;
	if (!stopped)
		accept_or_not(true);
}

static void
pause_accepting(const char *why)
{
	log_line(LOG_WARNING, "no more connections are accepted for now: %s", why);
	metrics.accept_pauses++;
	accept_or_not(false);
	uv_timer_start(&retry, accept_again, RETRY_MS, 0);
}

/* A file is free. */
static void
on_closed(const Conn *conn)
{
	if (conn->admin)
		nadmin--;
}

unsigned
listener_per_address(const Ip *ip)
{
	if (options.max_per_address)
		return (unsigned) options.max_per_address;
	return ip_is_local(ip) ? 0 : DEFAULT_PER_ADDRESS;
}

/* False: it is refused, and closed. */
static bool
count_for_address(Conn *conn)
{
	conn->proxied = ip_in(&conn->ip, options.proxies);
	conn->from_proxy = conn->proxied && options.proxy_protocol;
	if (conn->proxied || conn->admin)
		return true;
	conn->holder = holder_take(&conn->ip, listener_per_address(&conn->ip));
	return conn->holder != NULL;
}

static void
refuse_address(const Ip *ip)
{
	char text[ADDRESS_TEXT];

	ip_text(ip, text);
	metrics.refused_address++;
	log_line(LOG_WARNING,
			 "%s has as many connections as one address may (--max-per-address); if it is a "
			 "proxy, name it (--proxies)",
			 text);
}

static void
take_connection(const Listener *listener, int fd, const struct sockaddr *peer)
{
	Conn *conn = conn_open(fd, listener_handler, listener->admin, tls_wanted() && !listener->admin);

	if (!conn)
		return;
	conn->ip = ip_of(peer);
	nadmin += listener->admin;
	if (count_for_address(conn))
		return;
	refuse_address(&conn->ip);
	conn_close(conn);
}

/* Whether there is room for one more; makes some, if that costs nobody anything. */
static bool
has_room(const Listener *listener)
{
	if (listener->admin)
		return nadmin < MAX_ADMIN;
	if (conns_open() < allowed || conns_evict())
		return true;
	pause_accepting("there are as many as may be");
	return false;
}

/* False: nothing more is to be had now. */
static bool
accept_one(const Listener *listener)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	int fd = accept4(listener->fd, (struct sockaddr *) &peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
	{
		take_connection(listener, fd, (struct sockaddr *) &peer);
		return true;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
	{
		if (!conns_evict())
			pause_accepting(strerror(errno));
		return false;
	}
	return errno == ECONNABORTED || errno == EINTR;
}

static void
on_connect(uv_poll_t *poll, int status, int events)
{
	const Listener *listener = poll->data;

	(void) events;
	for (int i = 0; status == 0 && i < ACCEPTS_A_TURN; i++)
		if (!has_room(listener) || !accept_one(listener))
			break;
}

void
listeners_allow(unsigned connections)
{
	allowed = connections;
}

/*
 * Binding
 */

static bool
add(int fd, bool admin, bool given, const char *path, Buf *where)
{
	Listener *listener = xcalloc(1, sizeof(Listener));
	struct sockaddr_storage bound = {0};
	socklen_t len = sizeof(bound);
	char text[160];

	listener->fd = fd;
	listener->admin = admin;
	listener->given = given;
	listener->accepting = true;
	listener->path = path ? xstrdup(path) : NULL;
	listener->poll.data = listener;
	DL_APPEND(listeners, listener);
	if (getsockname(fd, (struct sockaddr *) &bound, &len) != 0 ||
		uv_poll_init(loop, &listener->poll, fd) != 0)
		return false;
	uv_poll_start(&listener->poll, UV_READABLE, on_connect);
	address_text((struct sockaddr *) &bound, text, sizeof(text));
	if (where->len)
		buf_adds(where, ", ");
	buf_adds(where, text);
	return true;
}

/*
 * systemd's sockets: LISTEN_FDS of them from 3 on, for the process LISTEN_PID; the one that is
 * called "admin" is for operators. The number given; -1: they are no good.
 */
static int
take_given(Buf *where, Buf *admin_where)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	int n = pid && count && atol(pid) == (long) getpid() ? atoi(count) : 0;
	int clients = 0;

	for (int i = 0; i < n; i++)
	{
		int fd = SYSTEMD_FIRST_FD + i;
		bool admin = names && strncmp(names, "admin", 5) == 0 && (!names[5] || names[5] == ':');

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		if (!add(fd, admin, true, NULL, admin ? admin_where : where))
		{
			log_line(LOG_ERROR, "socket %d of systemd is none to listen on", fd);
			return -1;
		}
		clients += !admin;
		names = names ? strchr(names, ':') : NULL;
		names = names ? names + 1 : NULL;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return clients;
}

static bool
take_clients(int fd, const char *path, Buf *where)
{
	return add(fd, false, false, path, where);
}

static bool
take_operators(int fd, const char *path, Buf *where)
{
	return add(fd, true, false, path, where);
}

bool
listeners_start(uv_loop_t *loop_)
{
	Buf where = {0};
	Buf admin_where = {0};
	int given;
	bool ok;

	loop = loop_;
	conns_on_closed = on_closed;
	uv_timer_init(loop, &retry);
	given = take_given(&where, &admin_where);
	ok = given >= 0 && (given > 0 || bind_addresses(options.listen, take_clients, &where)) &&
		 (!options.admin_listen ||
		  bind_addresses(options.admin_listen, take_operators, &admin_where));
	if (ok && where.len == 0)
		log_line(LOG_ERROR, "--listen is empty");
	ok = ok && where.len > 0;
	if (ok)
		log_line(LOG_INFO, "listening on %s%s%s", where.data, tls_wanted() ? " (TLS)" : "",
				 given > 0 ? ", given by systemd" : "");
	if (ok && admin_where.len)
		log_line(LOG_INFO, "listening for operators on %s", admin_where.data);
	buf_free(&where);
	buf_free(&admin_where);
	return ok;
}

static void
free_listener(uv_handle_t *handle)
{
	free(handle->data);
}

static void
end_listener(Listener *listener)
{
	DL_DELETE(listeners, listener);
	uv_poll_stop(&listener->poll);
	close(listener->fd);
	if (listener->path)
		unlink(listener->path);
	free(listener->path);
	uv_close((uv_handle_t *) &listener->poll, free_listener);
}

void
listeners_stop(void)
{
	Listener *listener;
	Listener *next;

	stopped = true;
	uv_timer_stop(&retry);
	DL_FOREACH_SAFE(listeners, listener, next)
	{
		if (listener->admin)
			continue;
		/* Who has connected would be reset. A socket of systemd's is for the next process. */
		while (!listener->given && conns_open() < allowed && accept_one(listener))
			;
		end_listener(listener);
	}
}

void
listeners_end(void)
{
	Listener *listener;
	Listener *next;

	DL_FOREACH_SAFE(listeners, listener, next)
	{
		end_listener(listener);
	}
	uv_close((uv_handle_t *) &retry, NULL);
}
