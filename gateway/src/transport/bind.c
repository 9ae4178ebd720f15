/*
 * bind.c
 *	  Addresses to listen on, bound as they were asked for.
 */
#include "transport/bind.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"

#define BACKLOG 4096

static void
say_failure(const char *address, const char *why)
{
	log_line(LOG_ERROR, "can't listen on %s: %s", address, why);
}

/* A socket that nobody listens on any more, left by a process that was killed, is replaced. */
static bool
bind_path(const char *path, BindTake take, Buf *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool bound;

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
	{
		say_failure(path, fd < 0 ? strerror(errno) : "the path is too long");
		return false;
	}
	strcpy(address.sun_path, path);
	bound = bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
	if (!bound && errno == EADDRINUSE &&
		connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0 && errno == ECONNREFUSED)
	{
		unlink(path);
		bound = bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0;
	}
	if (bound && chmod(path, 0666) == 0 && listen(fd, BACKLOG) == 0)
		return take(fd, path, where);
	say_failure(path, bound ? strerror(errno) : strerror(EADDRINUSE));
	close(fd);
	return false;
}

static int
bound_socket(const struct addrinfo *to, bool dual)
{
	int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	int v6_only = !dual;
	int error;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (options.reuse_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (to->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
	if (bind(fd, to->ai_addr, to->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The port that the first address of a name got, for the others. */
static void
same_port(int fd, struct addrinfo *to)
{
	struct sockaddr_storage bound = {0};
	socklen_t len = sizeof(bound);
	in_port_t port;

	if (getsockname(fd, (struct sockaddr *) &bound, &len) != 0)
		return;
	/* IPv4 and IPv6 have it at the same place. */
	memcpy(&port, (char *) &bound + offsetof(struct sockaddr_in, sin_port), sizeof(port));
	if (to->ai_family == AF_INET)
		((struct sockaddr_in *) to->ai_addr)->sin_port = port;
	else
		((struct sockaddr_in6 *) to->ai_addr)->sin6_port = port;
}

/*
 * All addresses of a name; one that this machine does not have (IPv6 is off) is left out. Without
 * a host one socket takes both families, or IPv4 alone.
 */
static bool
bind_all(struct addrinfo *list, bool any, const char *address, BindTake take, Buf *where)
{
	int first = -1;
	const char *why = "there is no such address";

	for (struct addrinfo *to = list; to; to = to->ai_next)
	{
		int fd;

		if (first >= 0)
			same_port(first, to);
		fd = bound_socket(to, any);
		if (fd < 0 && errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT)
		{
			say_failure(address, strerror(errno));
			return false;
		}
		if (fd < 0)
			why = strerror(errno);
		else if (!take(fd, NULL, where))
			return false;
		if (fd >= 0 && first < 0)
			first = fd;
		if (fd >= 0 && any)
			break;
	}
	if (first < 0)
		say_failure(address, why);
	return first >= 0;
}

/* An address without a host: IPv6, which takes IPv4 too, comes first. */
static void
put_v6_first(struct addrinfo **list)
{
	struct addrinfo *first = *list;
	struct addrinfo *second = first ? first->ai_next : NULL;

	if (second && first->ai_family == AF_INET && second->ai_family == AF_INET6)
	{
		first->ai_next = second->ai_next;
		second->ai_next = first;
		*list = second;
	}
}

static bool
is_port(const char *text)
{
	char *end;
	long port = strtol(text, &end, 10);

	return *text && !*end && port >= 0 && port <= 65535;
}

/* HOST:PORT, [HOST]:PORT, :PORT or PORT */
static bool
bind_name(char *address, BindTake take, Buf *where)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
								   .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
								   .ai_family = AF_UNSPEC};
	char *whole = xstrdup(address);
	char *colon = strrchr(address, ':');
	char *host = colon ? address : NULL;
	struct addrinfo *list = NULL;
	int error;
	bool ok = false;

	if (colon)
		*colon = '\0';
	if (host && *host == '[' && host[strlen(host) - 1] == ']')
	{
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if (host && (!*host || strcmp(host, "*") == 0))
		host = NULL;
	error = is_port(colon ? colon + 1 : address)
				? getaddrinfo(host, colon ? colon + 1 : address, &hints, &list)
				: EAI_SERVICE;
	if (error)
		say_failure(whole, gai_strerror(error));
	else
	{
		if (!host)
			put_v6_first(&list);
		ok = bind_all(list, !host, whole, take, where);
		freeaddrinfo(list);
	}
	free(whole);
	return ok;
}

bool
bind_addresses(const char *addresses, BindTake take, Buf *where)
{
	char *copy = xstrdup(addresses);
	char *save = NULL;
	bool ok = true;

	for (char *one = strtok_r(copy, ", ", &save); ok && one; one = strtok_r(NULL, ", ", &save))
		ok = strncmp(one, "unix:", 5) == 0 ? bind_path(one + 5, take, where)
										   : bind_name(one, take, where);
	free(copy);
	return ok;
}
