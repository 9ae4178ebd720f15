/*
 * hosts.c
 *	  Where the database may be: the hosts of the connection string, address by address.
 */
#include "database/hosts.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/options.h"

/* A name that is being resolved; the answer may come when nobody waits for it any more. */
typedef struct Lookup
{
	uv_getaddrinfo_t request;
	Hosts *hosts;
	unsigned number;
} Lookup;

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
split_hosts(Hosts *hosts, const char *names, const char *addresses, const char *ports)
{
	int n = items(names ? names : addresses);

	hosts->n = n < MAX_HOSTS ? n : MAX_HOSTS;
	for (int i = 0; i < hosts->n; i++)
		hosts->list[i] =
			(Host){item(names, i), item(addresses, i), item(ports, items(ports) == 1 ? 0 : i)};
}

static void
forget_hosts(Hosts *hosts)
{
	for (int i = 0; i < hosts->n; i++)
	{
		free(hosts->list[i].name);
		free(hosts->list[i].address);
		free(hosts->list[i].port);
		hosts->list[i] = (Host){0};
	}
	hosts->n = hosts->naddresses = 0;
	hosts->at = -1;
}

/* Where libpq would look. */
static void
take_hosts(Hosts *hosts, const char *conninfo)
{
	PQconninfoOption *defaults = PQconndefaults();
	const char *names = option(hosts->given, "host");
	const char *hostaddr = option(hosts->given, "hostaddr");
	const char *port = option(hosts->given, "port");

	hosts->whole = option(hosts->given, "service") || getenv("PGSERVICE") ? conninfo : NULL;
	if (!names && !hostaddr)
	{
		names = option(defaults, "host");
		hostaddr = option(defaults, "hostaddr");
	}
	if (hosts->whole)
		hosts->n = 1;
	else
		split_hosts(hosts, names, hostaddr, port ? port : option(defaults, "port"));
	PQconninfoFree(defaults);
}

void
hosts_start(Hosts *hosts, uv_loop_t *loop, HostsFound found, void *arg)
{
	*hosts = (Hosts){.loop = loop, .found = found, .arg = arg, .at = -1};
	uv_timer_init(loop, &hosts->timer);
	hosts->timer.data = hosts;
}

bool
hosts_change(Hosts *hosts, const char *conninfo)
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
	hosts_stop(hosts);
	forget_hosts(hosts);
	PQconninfoFree(hosts->given);
	hosts->given = now;
	take_hosts(hosts, conninfo);
	return true;
}

bool
hosts_several(const Hosts *hosts)
{
	return hosts->n > 1 || hosts->naddresses > 1;
}

/*
 * One after the other
 */

static void
tell_found(uv_timer_t *timer)
{
	Hosts *hosts = timer->data;

	hosts->found(hosts->at < hosts->n, hosts->arg);
}

static void
tell(Hosts *hosts)
{
	const Host *host = &hosts->list[hosts->at];

	if (hosts->at >= hosts->n)
		snprintf(hosts->name, sizeof(hosts->name), "(none)");
	else
		snprintf(hosts->name, sizeof(hosts->name), "%s%s%s%s%s",
				 host->name ? host->name : "(default)", hosts->naddresses && host->name ? " " : "",
				 hosts->naddresses ? hosts->addresses[hosts->address] : "", host->port ? ":" : "",
				 host->port ? host->port : "");
	uv_timer_start(&hosts->timer, tell_found, 0, 0);
}

static void resolve(Hosts *hosts);

static void
too_late(uv_timer_t *timer)
{
	Hosts *hosts = timer->data;

	hosts->lookups++; /* its answer counts no more */
	log_line(LOG_WARNING, "the name %s is not resolved in time", hosts->list[hosts->at].name);
	resolve(hosts);
}

static void
take_addresses(Hosts *hosts, int status, const struct addrinfo *list)
{
	uv_timer_stop(&hosts->timer);
	for (; list && hosts->naddresses < MAX_ADDRESSES; list = list->ai_next)
		if (getnameinfo(list->ai_addr, list->ai_addrlen, hosts->addresses[hosts->naddresses],
						sizeof(hosts->addresses[0]), NULL, 0, NI_NUMERICHOST) == 0)
			hosts->naddresses++;
	if (hosts->naddresses == 0)
		log_line(LOG_WARNING, "the name %s is not resolved: %s", hosts->list[hosts->at].name,
				 status ? uv_strerror(status) : "no address");
}

static void
resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	Lookup *lookup = request->data;
	Hosts *hosts = lookup->hosts;
	bool waited = lookup->number == hosts->lookups;

	free(lookup);
	if (waited)
		take_addresses(hosts, status, list);
	uv_freeaddrinfo(list);
	if (waited && hosts->naddresses == 0)
		resolve(hosts);
	else if (waited)
		tell(hosts);
}

static bool
look_up(Hosts *hosts, const char *name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	Lookup *lookup = xcalloc(1, sizeof(Lookup));

	lookup->hosts = hosts;
	lookup->number = ++hosts->lookups;
	lookup->request.data = lookup;
	if (uv_getaddrinfo(hosts->loop, &lookup->request, resolved, name, NULL, &hints) == 0)
	{
		uv_timer_start(&hosts->timer, too_late, (uint64_t) options.connect_ms, 0);
		return true;
	}
	free(lookup);
	return false;
}

/* The next host whose address is known or may become so. */
static void
resolve(Hosts *hosts)
{
	for (;;)
	{
		const Host *host = &hosts->list[++hosts->at];

		hosts->address = hosts->naddresses = 0;
		if (hosts->at >= hosts->n || !host->name || host->address || host->name[0] == '/' ||
			host->name[0] == '@')
		{
			tell(hosts);
			return;
		}
		if (look_up(hosts, host->name))
			return;
	}
}

void
hosts_next(Hosts *hosts)
{
	if (hosts->at >= hosts->n)
		hosts->at = -1;
	if (hosts->at >= 0 && hosts->address + 1 < hosts->naddresses)
	{
		hosts->address++;
		tell(hosts);
	}
	else
		resolve(hosts);
}

void
hosts_stop(Hosts *hosts)
{
	hosts->lookups++; /* what is under way counts no more */
	uv_timer_stop(&hosts->timer);
}

void
hosts_end(Hosts *hosts)
{
	hosts_stop(hosts);
	uv_close((uv_handle_t *) &hosts->timer, NULL);
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
session_attrs(const Hosts *hosts)
{
	const char *wanted = option(hosts->given, "target_session_attrs");

	if (!wanted)
		wanted = getenv("PGTARGETSESSIONATTRS");
	if (!wanted || !*wanted)
		return "read-write";
	return strcmp(wanted, "prefer-standby") == 0 ? "any" : wanted;
}

void
hosts_parameters(const Hosts *hosts, const char *keywords[HOST_KEYWORDS],
				 const char *values[HOST_KEYWORDS])
{
	const Host *at = &hosts->list[hosts->at];
	bool whole = hosts->whole != NULL;
	int n = 0;

	put(keywords, values, &n, "fallback_application_name", "presence-gateway");
	put(keywords, values, &n, "keepalives_idle", "5");
	put(keywords, values, &n, "keepalives_interval", "2");
	put(keywords, values, &n, "keepalives_count", "3");
	put(keywords, values, &n, "tcp_user_timeout", "10000");
	if (whole)
		put(keywords, values, &n, "dbname", hosts->whole);
	for (const PQconninfoOption *o = hosts->given; !whole && o && o->keyword; o++)
		if (o->val && *o->val && !is_ours(o->keyword))
			put(keywords, values, &n, o->keyword, o->val);
	if (!whole && at->name)
		put(keywords, values, &n, "host", at->name);
	if (!whole && (at->address || hosts->naddresses))
		put(keywords, values, &n, "hostaddr",
			at->address ? at->address : hosts->addresses[hosts->address]);
	if (!whole && at->port)
		put(keywords, values, &n, "port", at->port);
	put(keywords, values, &n, "client_encoding", "UTF8");
	put(keywords, values, &n, "target_session_attrs", session_attrs(hosts));
	keywords[n] = values[n] = NULL;
}
