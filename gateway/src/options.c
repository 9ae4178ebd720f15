/*
 * options.c
 *	  The command line, and the environment behind it.
 */
#include "options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "util.h"

#define GATEWAY_VERSION "0.1"

Options options = {
	.listen_port = 6001,
	.database = "",
	.max_sockets = 10000,
	.max_subscriptions = 100,
	.max_message = 16 * 1024,
	.max_backlog = 1024 * 1024,
	.silence_ms = 24000,
	.drain_ms = 10000,
};

typedef struct Option
{
	const char *name;
	const char *env;
	const char *argument;
	const char *help;
	void (*set)(const char *name, const char *value, void *where);
	void *where;
} Option;

static void __attribute__((noreturn)) usage_error(const char *name, const char *problem)
{
	fprintf(stderr, "presence-gateway: --%s: %s\nTry --help.\n", name, problem);
	exit(2);
}

static long
number(const char *name, const char *value, long min, long max)
{
	char *end;
	long n = strtol(value, &end, 10);
	static char problem[64];

	if (*value == '\0' || *end != '\0' || n < min || n > max)
	{
		snprintf(problem, sizeof(problem), "must be a number from %ld to %ld", min, max);
		usage_error(name, problem);
	}
	return n;
}

static void
set_text(const char *name, const char *value, void *where)
{
	(void) name;
	*(const char **) where = value;
}

static void
set_count(const char *name, const char *value, void *where)
{
	*(int *) where = (int) number(name, value, 1, INT_MAX / 2);
}

static void
set_seconds(const char *name, const char *value, void *where)
{
	*(int *) where = 1000 * (int) number(name, value, 1, 86400);
}

/* HOST:PORT, [HOST]:PORT, :PORT or PORT */
static void
set_listen(const char *name, const char *value, void *where)
{
	const char *colon = strrchr(value, ':');
	char *host = colon ? xstrndup(value, (size_t) (colon - value)) : xstrdup("");
	size_t len = strlen(host);

	(void) where;
	if (len > 1 && host[0] == '[' && host[len - 1] == ']')
	{
		memmove(host, host + 1, len - 2);
		host[len - 2] = '\0';
	}
	options.listen_port = (int) number(name, colon ? colon + 1 : value, 0, 65535);
	options.listen_host = *host ? host : NULL;
	if (!*host)
		free(host);
}

static void
set_log_level(const char *name, const char *value, void *where)
{
	LogLevel level;

	(void) where;
	if (!log_level_by_name(value, &level))
		usage_error(name, "must be error, warning, info or debug");
	log_set_level(level);
}

static const Option table[] = {
	{"listen", "GATEWAY_LISTEN", "HOST:PORT", "where to listen (:6001); port 0: a free one",
	 set_listen, NULL},
	{"database", "GATEWAY_DATABASE", "CONNINFO",
	 "connection string of libpq; what it lacks comes from PGHOST, PGUSER, ...", set_text,
	 &options.database},
	{"tls-cert", "GATEWAY_TLS_CERT", "FILE", "certificate chain, PEM: serve TLS only", set_text,
	 &options.tls_cert},
	{"tls-key", "GATEWAY_TLS_KEY", "FILE", "its private key, PEM", set_text, &options.tls_key},
	{"max-sockets", "GATEWAY_MAX_SOCKETS", "N", "clients at once (10000)", set_count,
	 &options.max_sockets},
	{"max-subscriptions", "GATEWAY_MAX_SUBSCRIPTIONS", "N", "channels of a client (100)", set_count,
	 &options.max_subscriptions},
	{"max-message", "GATEWAY_MAX_MESSAGE", "BYTES", "size of a client's message (16384)", set_count,
	 &options.max_message},
	{"max-backlog", "GATEWAY_MAX_BACKLOG", "BYTES",
	 "what may wait for a client that reads slowly (1048576)", set_count, &options.max_backlog},
	{"silence", "GATEWAY_SILENCE", "SECONDS", "a client that is silent this long is gone (24)",
	 set_seconds, &options.silence_ms},
	{"drain", "GATEWAY_DRAIN", "SECONDS", "how long a stop waits for clients to leave (10)",
	 set_seconds, &options.drain_ms},
	{"log-level", "GATEWAY_LOG_LEVEL", "LEVEL", "error, warning, info or debug (info)",
	 set_log_level, NULL},
};

#define NOPTIONS ((int) (sizeof(table) / sizeof(table[0])))

static void __attribute__((noreturn)) help(void)
{
	printf("presence-gateway: Pusher Channels clients on a PostgreSQL with presence\n\n"
		   "usage: presence-gateway [OPTION]...\n\n");
	for (int i = 0; i < NOPTIONS; i++)
		printf("  --%-18s %-10s %s\n", table[i].name, table[i].argument, table[i].help);
	printf("  --%-18s %-10s this text\n  --%-18s %-10s the version\n\n", "help", "", "version", "");
	printf("Each option has an environment variable: GATEWAY_ and its name in capitals,\n"
		   "with _ for - (GATEWAY_TLS_CERT). The command line comes first.\n");
	exit(0);
}

void
options_parse(int argc, char **argv)
{
	struct option longs[NOPTIONS + 3];

	for (int i = 0; i < NOPTIONS; i++)
	{
		const char *value = getenv(table[i].env);

		longs[i] = (struct option){table[i].name, required_argument, NULL, i};
		if (value && *value)
			table[i].set(table[i].name, value, table[i].where);
	}
	longs[NOPTIONS] = (struct option){"help", no_argument, NULL, NOPTIONS};
	longs[NOPTIONS + 1] = (struct option){"version", no_argument, NULL, NOPTIONS + 1};
	longs[NOPTIONS + 2] = (struct option){0};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
	{
		if (c == NOPTIONS)
			help();
		else if (c == NOPTIONS + 1)
		{
			puts("presence-gateway " GATEWAY_VERSION);
			exit(0);
		}
		else if (c >= 0 && c < NOPTIONS)
			table[c].set(table[c].name, optarg, table[c].where);
		else
			exit(2);
	}
	if (optind < argc)
	{
		fprintf(stderr, "presence-gateway: there is no argument \"%s\"\nTry --help.\n",
				argv[optind]);
		exit(2);
	}
	if (!options.tls_cert != !options.tls_key)
		usage_error("tls-cert", "needs --tls-key, and the other way round");
}
