/*
 * hosts.c
 *	  Where the database may be: the hosts of the connection string, address by address.
 */
#include "database/hosts.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/options.h"

#define MAX_HOSTS     16
#define MAX_ADDRESSES 16

typedef struct Host
{
	char *name;    /* or a directory of sockets; NULL: libpq's own choice */
	char *address; /* given, so that nothing is to be resolved */
	char *port;
} Host;

/* A name that is being resolved; the answer may come when nobody waits for it any more. */
typedef struct Lookup
{
	uv_getaddrinfo_t request;
	unsigned number;
} Lookup;

static uv_loop_t *loop;
static HostsFound found;
static PQconninfoOption *given;
static const char *whole; /* of a service: libpq knows where that is */
static Host hosts[MAX_HOSTS];
static int nhosts;

static int host = -1; /* that is tried */
static char addresses[MAX_ADDRESSES][64];
static int naddresses;
static int address; /* of them */
static uv_timer_t timer;
static unsigned lookups;
static char name[256];

/*
 * The connection string
 */

static const char *
option(const PQconninfoOption *list, const char *keyword)
{
	for (; list && list->keyword; list++)
		if (strcmp(list->keyword, keyword) == 0 && list->val && *list->val)
			return list->val;
	return NULL;
}

/* The n-th of a list with commas; NULL: it has none, or an empty one. */
static char *
item(const char *list, int n)
{
	size_t len;

	for (; list && n > 0; n--)
	{
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	len = list ? strcspn(list, ",") : 0;
	return len ? xstrndup(list, len) : NULL;
}

static int
items(const char *list)
{
	int n = 1;

	for (; list && *list; list++)
		n += *list == ',';
	return n;
}

static void
split_hosts(const char *names, const char *given_addresses, const char *ports)
{
	int n = items(names ? names : given_addresses);

	nhosts = n < MAX_HOSTS ? n : MAX_HOSTS;
	for (int i = 0; i < nhosts; i++)
		hosts[i] = (Host){item(names, i), item(given_addresses, i),
						  item(ports, items(ports) == 1 ? 0 : i)};
}

static void
forget_hosts(void)
{
	for (int i = 0; i < nhosts; i++)
	{
		free(hosts[i].name);
		free(hosts[i].address);
		free(hosts[i].port);
	}
	nhosts = naddresses = 0;
	host = -1;
}

/* Where libpq would look. */
static void
take_hosts(const char *conninfo)
{
	PQconninfoOption *defaults = PQconndefaults();
	const char *names = option(given, "host");
	const char *hostaddr = option(given, "hostaddr");
	const char *port = option(given, "port");

	whole = option(given, "service") || getenv("PGSERVICE") ? conninfo : NULL;
	if (!names && !hostaddr)
	{
		names = option(defaults, "host");
		hostaddr = option(defaults, "hostaddr");
	}
	if (whole)
		nhosts = 1;
	else
		split_hosts(names, hostaddr, port ? port : option(defaults, "port"));
	PQconninfoFree(defaults);
}

bool
hosts_change(const char *conninfo)
{
	PQconninfoOption *now = NULL;
	char *why = NULL;

	if (strchr(conninfo, '=') || strstr(conninfo, "://"))
		now = PQconninfoParse(conninfo, &why);
	if (why)
	{
		log_line(LOG_ERROR, "--database: %s", why);
		PQfreemem(why);
		return false;
	}
	lookups++; /* what is under way counts no more */
	uv_timer_stop(&timer);
	forget_hosts();
	memset(hosts, 0, sizeof(hosts));
	PQconninfoFree(given);
	given = now;
	take_hosts(conninfo);
	return true;
}

bool
hosts_start(uv_loop_t *loop_, const char *conninfo, HostsFound found_)
{
	loop = loop_;
	found = found_;
	uv_timer_init(loop, &timer);
	return hosts_change(conninfo);
}

bool
hosts_several(void)
{
	return nhosts > 1 || naddresses > 1;
}

/*
 * One after the other
 */

static void
tell_found(uv_timer_t *timer_)
{
	(void) timer_;
	found(host < nhosts);
}

static void
tell(void)
{
	if (host >= nhosts)
		snprintf(name, sizeof(name), "(none)");
	else
		snprintf(name, sizeof(name), "%s%s%s%s%s",
				 hosts[host].name ? hosts[host].name : "(default)",
				 naddresses && hosts[host].name ? " " : "", naddresses ? addresses[address] : "",
				 hosts[host].port ? ":" : "", hosts[host].port ? hosts[host].port : "");
	uv_timer_start(&timer, tell_found, 0, 0);
}

static void resolve(void);

static void
too_late(uv_timer_t *timer_)
{
	(void) timer_;
	lookups++; /* its answer counts no more */
	log_line(LOG_WARNING, "the name %s is not resolved in time", hosts[host].name);
	resolve();
}

static void
resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	Lookup *lookup = request->data;
	bool waited = lookup->number == lookups;

	free(lookup);
	if (waited)
	{
		uv_timer_stop(&timer);
		for (struct addrinfo *at = list; at && naddresses < MAX_ADDRESSES; at = at->ai_next)
			if (getnameinfo(at->ai_addr, at->ai_addrlen, addresses[naddresses],
							sizeof(addresses[0]), NULL, 0, NI_NUMERICHOST) == 0)
				naddresses++;
		if (naddresses == 0)
			log_line(LOG_WARNING, "the name %s is not resolved: %s", hosts[host].name,
					 status ? uv_strerror(status) : "no address");
	}
	uv_freeaddrinfo(list);
	if (waited && naddresses == 0)
		resolve();
	else if (waited)
		tell();
}

static bool
look_up(const char *host_name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	Lookup *lookup = xcalloc(1, sizeof(Lookup));

	lookup->number = ++lookups;
	lookup->request.data = lookup;
	if (uv_getaddrinfo(loop, &lookup->request, resolved, host_name, NULL, &hints) == 0)
	{
		uv_timer_start(&timer, too_late, (uint64_t) options.connect_ms, 0);
		return true;
	}
	free(lookup);
	return false;
}

/* The next host whose address is known or may become so. */
static void
resolve(void)
{
	for (;;)
	{
		host++;
		address = naddresses = 0;
		if (host >= nhosts || !hosts[host].name || hosts[host].address ||
			hosts[host].name[0] == '/' || hosts[host].name[0] == '@')
		{
			tell();
			return;
		}
		if (look_up(hosts[host].name))
			return;
	}
}

void
hosts_next(void)
{
	if (host >= nhosts)
		host = -1;
	if (host >= 0 && address + 1 < naddresses)
	{
		address++;
		tell();
	}
	else
		resolve();
}

const char *
hosts_name(void)
{
	return name;
}

/*
 * What libpq gets
 */

static void
put(const char **keywords, const char **values, int *n, const char *keyword, const char *value)
{
	if (*n + 1 == HOST_KEYWORDS)
		return;
	keywords[*n] = keyword;
	values[(*n)++] = value;
}

static bool
is_ours(const char *keyword)
{
	static const char *const ours[] = {"host",
									   "hostaddr",
									   "port",
									   "connect_timeout",
									   "client_encoding",
									   "load_balance_hosts",
									   "target_session_attrs"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(keyword, ours[i]) == 0)
			return true;
	return false;
}

/* A gateway writes: unless told otherwise it wants a server that takes that. */
static const char *
session_attrs(void)
{
	const char *wanted = option(given, "target_session_attrs");

	if (!wanted)
		wanted = getenv("PGTARGETSESSIONATTRS");
	if (!wanted || !*wanted)
		return "read-write";
	return strcmp(wanted, "prefer-standby") == 0 ? "any" : wanted;
}

void
hosts_parameters(const char *keywords[HOST_KEYWORDS], const char *values[HOST_KEYWORDS])
{
	const Host *at = &hosts[host];
	int n = 0;

	put(keywords, values, &n, "fallback_application_name", "presence-gateway");
	put(keywords, values, &n, "keepalives_idle", "5");
	put(keywords, values, &n, "keepalives_interval", "2");
	put(keywords, values, &n, "keepalives_count", "3");
	put(keywords, values, &n, "tcp_user_timeout", "10000");
	if (whole)
		put(keywords, values, &n, "dbname", whole);
	for (const PQconninfoOption *o = given; !whole && o && o->keyword; o++)
		if (o->val && *o->val && !is_ours(o->keyword))
			put(keywords, values, &n, o->keyword, o->val);
	if (!whole && at->name)
		put(keywords, values, &n, "host", at->name);
	if (!whole && (at->address || naddresses))
		put(keywords, values, &n, "hostaddr", at->address ? at->address : addresses[address]);
	if (!whole && at->port)
		put(keywords, values, &n, "port", at->port);
	put(keywords, values, &n, "client_encoding", "UTF8");
	put(keywords, values, &n, "target_session_attrs", session_attrs());
	keywords[n] = values[n] = NULL;
}

void
hosts_stop(void)
{
	lookups++;
	uv_timer_stop(&timer);
	uv_close((uv_handle_t *) &timer, NULL);
}
