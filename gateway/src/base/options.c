/*
 * options.c
 *	  The command line, the environment behind it, and a file behind that.
 */
#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/pairs.h"
#include "base/util.h"

#define PREFIX "GATEWAY_"

static const Options defaults = {
	.listen = ":6001",
	.database = "",
	.channel = "presence",
	.max_sockets = 10000,
	.max_subscriptions = 100,
	.max_message = 64 * 1024,
	.max_backlog = 1024 * 1024,
	.message_rate = 50,
	.joins_per_minute = 30,
	.linger_ms = 2000,
	.silence_ms = 24000,
	.drain_ms = 10000,
	.connect_ms = 3000,
	.statement_ms = 5000,
};

Options options;

typedef enum Kind
{
	TEXT,
	LIST,     /* TEXT, each time one more line */
	COUNT,    /* 1 and more */
	SECONDS,  /* kept in ms */
	SECONDS0, /* 0 as well */
	LEVEL,
	FLAG
} Kind;

typedef struct Option
{
	const char *name;
	Kind kind;
	size_t offset;
	const char *argument;
	const char *help;
} Option;

/* What is being filled. */
typedef struct Target
{
	Options *into;
	LogLevel *level;
} Target;

#define AT(field) offsetof(Options, field)

static const Option table[] = {
	{"config", TEXT, AT(config), "FILE", "more options, one NAME=VALUE a line"},
	{"listen", TEXT, AT(listen), "ADDRESS,...",
	 "HOST:PORT or unix:PATH (:6001); port 0: a free one"},
	{"admin-listen", TEXT, AT(admin_listen), "ADDRESS,...",
	 "where /metrics, /livez and /readyz are, and nowhere else"},
	{"reuse-port", FLAG, AT(reuse_port), "", "let other processes listen on the same port"},
	{"database", LIST, AT(database), "CONNINFO",
	 "connection string of libpq; what it lacks comes from PGHOST, PGUSER, ...; again: the next node"},
	{"channel", TEXT, AT(channel), "NAME",
	 "presence.channel, if the role may not read settings (presence)"},
	{"tls-cert", TEXT, AT(tls_cert), "FILE", "certificate chain, PEM: serve TLS only"},
	{"tls-key", TEXT, AT(tls_key), "FILE", "its private key, PEM"},
	{"webhook-ca", TEXT, AT(webhook_ca), "FILE",
	 "CAs of the servers that webhooks go to, PEM (the system's)"},
	{"path-prefix", TEXT, AT(path_prefix), "PATH", "what comes before /app and /apps (wsPath)"},
	{"proxies", TEXT, AT(proxies), "NETWORK,...",
	 "proxies that tell the client's address: 10.0.0.0/8, unix"},
	{"proxy-protocol", FLAG, AT(proxy_protocol), "", "they tell it by the PROXY protocol"},
	{"max-sockets", COUNT, AT(max_sockets), "N", "clients at once (10000)"},
	{"max-per-address", COUNT, AT(max_per_address), "N",
	 "connections of one address (1000; of this machine: any)"},
	{"max-subscriptions", COUNT, AT(max_subscriptions), "N", "channels of a client (100)"},
	{"max-message", COUNT, AT(max_message), "BYTES", "size of a client's message (65536)"},
	{"max-backlog", COUNT, AT(max_backlog), "BYTES",
	 "what may wait for a client that reads slowly (1048576)"},
	{"message-rate", COUNT, AT(message_rate), "N", "messages of a client a second (50)"},
	{"joins-per-minute", COUNT, AT(joins_per_minute), "N",
	 "joins of one user into one room, beyond ten at once (30)"},
	{"linger", SECONDS0, AT(linger_ms), "SECONDS",
	 "a member stays after its socket closed: a reload is no leave (2)"},
	{"silence", SECONDS, AT(silence_ms), "SECONDS",
	 "a client that is silent this long is gone (24)"},
	{"drain", SECONDS, AT(drain_ms), "SECONDS", "over which a stop moves clients away (10)"},
	{"connect-timeout", SECONDS, AT(connect_ms), "SECONDS", "for one address of the database (3)"},
	{"statement-timeout", SECONDS, AT(statement_ms), "SECONDS",
	 "for one answer of the database (5)"},
	{"log-level", LEVEL, 0, "LEVEL", "error, warning, info or debug (info)"},
};

#define NOPTIONS ((int) (sizeof(table) / sizeof(table[0])))

static Options on_line; /* what the command line says; only those of it */
static bool is_on_line[NOPTIONS];
static LogLevel level_on_line;

/*
 * One value
 */

static bool
number(const char *value, long min, long max, int *n, char *problem, size_t size)
{
	char *end;
	long parsed;

	errno = 0;
	parsed = strtol(value, &end, 10);
	if (*value == '\0' || *end != '\0' || errno || parsed < min || parsed > max)
	{
		snprintf(problem, size, "must be a number from %ld to %ld", min, max);
		return false;
	}
	*n = (int) parsed;
	return true;
}

static bool
is_true(const char *value)
{
	return !strcasecmp(value, "on") || !strcasecmp(value, "true") || !strcasecmp(value, "yes") ||
		   !strcmp(value, "1");
}

static bool
set_number(const Option *option, const char *value, int *field, char *problem, size_t size)
{
	bool seconds = option->kind != COUNT;
	bool ok = number(value, option->kind != SECONDS0, seconds ? 86400 : INT_MAX / 2, field, problem,
					 size);

	if (ok && seconds)
		*field *= 1000;
	return ok;
}

/* Strings are kept for ever, each once: whoever has one needs no copy. */
static char *
kept(const char *value)
{
	static struct Kept
	{
		struct Kept *next;
		char text[];
	} * all;
	struct Kept *one = all;

	while (one && strcmp(one->text, value) != 0)
		one = one->next;
	if (!one)
	{
		one = xcalloc(1, sizeof(*one) + strlen(value) + 1);
		strcpy(one->text, value);
		one->next = all;
		all = one;
	}
	return one->text;
}

/* One more line. */
static char *
longer(const char *lines, const char *value)
{
	size_t size = strlen(lines) + strlen(value) + 2;
	char *both = xmalloc(size);
	char *result;

	snprintf(both, size, "%s\n%s", lines, value);
	result = kept(both);
	free(both);
	return result;
}

int
options_list(const char *lines, const char **list, int max)
{
	int n = 0;

	for (size_t len; *lines; lines += len + (lines[len] == '\n'))
	{
		char *line;

		len = strcspn(lines, "\n");
		if (len == 0)
			continue;
		line = xstrndup(lines, len);
		if (n < max)
			list[n] = kept(line);
		n++;
		free(line);
	}
	return n;
}

static bool
set(Options *into, LogLevel *level, int i, const char *value, char *problem, size_t size)
{
	const Option *option = &table[i];
	char *field = (char *) into + option->offset;

	switch (option->kind)
	{
		case TEXT:
			*(char **) field =
				*value ? kept(value) : *(char *const *) ((const char *) &defaults + option->offset);
			return true;
		case LIST:
			*(char **) field = *(char **) field ? longer(*(char **) field, value) : kept(value);
			return true;
		case FLAG:
			*(bool *) field = is_true(value);
			return true;
		case LEVEL:
			snprintf(problem, size, "must be error, warning, info or debug");
			return log_level_by_name(value, level);
		default:
			return set_number(option, value, (int *) field, problem, size);
	}
}

static int
find(const char *name, size_t len)
{
	for (int i = 0; i < NOPTIONS; i++)
		if (strlen(table[i].name) == len && strncmp(table[i].name, name, len) == 0)
			return i;
	return -1;
}

/* "GATEWAY_TLS_CERT" or "tls-cert"; -1: none. */
static int
find_by_variable(const char *name, size_t len)
{
	char plain[64];

	if (len >= sizeof(PREFIX) && strncmp(name, PREFIX, strlen(PREFIX)) == 0)
	{
		name += strlen(PREFIX);
		len -= strlen(PREFIX);
	}
	if (len >= sizeof(plain))
		return -1;
	for (size_t i = 0; i < len; i++)
		plain[i] = name[i] == '_'                     ? '-'
				   : name[i] >= 'A' && name[i] <= 'Z' ? (char) (name[i] - 'A' + 'a')
													  : name[i];
	return find(plain, len);
}

/* Variables that are not ours (PGPASSFILE) go to the environment, for libpq. */
static bool
take_pair(const char *name, const char *value, void *arg, char *problem, size_t size)
{
	const Target *target = arg;
	int i = find_by_variable(name, strlen(name));

	if (i >= 0)
		return set(target->into, target->level, i, value, problem, size);
	if (strncmp(name, "PG", 2) == 0)
		return setenv(name, value, 1) == 0;
	snprintf(problem, size, "there is no such option");
	return false;
}

static bool
take_file(Options *into, LogLevel *level, char *problem, size_t size)
{
	Target target = {into, level};

	return pairs_read(into->config, take_pair, &target, problem, size);
}

/*
 * All of them
 */

static bool
take_environment(Options *into, LogLevel *level, char *problem, size_t size)
{
	for (int i = 0; i < NOPTIONS; i++)
	{
		char name[64] = PREFIX;
		char why[128];
		size_t n = strlen(PREFIX);
		const char *value;

		for (const char *p = table[i].name; *p; p++)
			name[n++] = *p == '-' ? '_' : (char) (*p - 'a' + 'A');
		value = getenv(name);
		if (value && *value && table[i].kind == LIST) /* in place of the file's */
			*(char **) ((char *) into + table[i].offset) = NULL;
		if (value && *value && !set(into, level, i, value, why, sizeof(why)))
		{
			snprintf(problem, size, "%s: %s", name, why);
			return false;
		}
	}
	return true;
}

static void
take_on_line(Options *into, LogLevel *level)
{
	for (int i = 0; i < NOPTIONS; i++)
	{
		void *to = (char *) into + table[i].offset;
		const void *from = (const char *) &on_line + table[i].offset;

		if (!is_on_line[i])
			continue;
		if (table[i].kind == LEVEL)
			*level = level_on_line;
		else if (table[i].kind == TEXT || table[i].kind == LIST)
			*(char **) to = *(char *const *) from;
		else if (table[i].kind == FLAG)
			*(bool *) to = *(const bool *) from;
		else
			*(int *) to = *(const int *) from;
	}
}

static bool
gather(char *problem, size_t size)
{
	Options all = defaults;
	LogLevel level = LOG_INFO;

	/* Who names the file comes first, then what it says, then what overrules it. */
	if (!take_environment(&all, &level, problem, size))
		return false;
	take_on_line(&all, &level);
	if (all.config)
	{
		Options below = defaults;

		below.config = all.config;
		level = LOG_INFO;
		if (!take_file(&below, &level, problem, size))
			return false;
		all = below;
		if (!take_environment(&all, &level, problem, size))
			return false;
		take_on_line(&all, &level);
	}
	if (!all.tls_cert != !all.tls_key)
	{
		snprintf(problem, size, "--tls-cert: needs --tls-key, and the other way round");
		return false;
	}
	if (all.path_prefix && *all.path_prefix != '/')
	{
		snprintf(problem, size, "--path-prefix: must begin with /");
		return false;
	}
	options = all;
	log_set_level(level);
	return true;
}

bool
options_reload(void)
{
	char problem[512] = "";

	if (gather(problem, sizeof(problem)))
		return true;
	log_line(LOG_ERROR, "options stay as they are: %s", problem);
	return false;
}

static void __attribute__((noreturn)) usage_error(const char *problem)
{
	fprintf(stderr, "presence-gateway: %s\nTry --help.\n", problem);
	exit(2);
}

static void __attribute__((noreturn)) help(void)
{
	printf("presence-gateway: Pusher Channels clients on a PostgreSQL with presence\n\n"
		   "usage: presence-gateway [OPTION]...\n\n");
	for (int i = 0; i < NOPTIONS; i++)
		printf("  --%-18s %-12s %s\n", table[i].name, table[i].argument, table[i].help);
	printf("  --%-18s %-12s this text\n  --%-18s %-12s the version\n\n", "help", "", "version", "");
	printf("Each option has an environment variable: GATEWAY_ and its name in capitals,\n"
		   "with _ for - (GATEWAY_TLS_CERT), and may be a line of the file (tls-cert=FILE).\n"
		   "The command line comes first, then the environment. SIGHUP reads the file again.\n");
	exit(0);
}

static void
take_argument(int i, const char *value)
{
	char why[128];
	char problem[256];

	if (!set(&on_line, &level_on_line, i, value ? value : "on", why, sizeof(why)))
	{
		snprintf(problem, sizeof(problem), "--%s: %s", table[i].name, why);
		usage_error(problem);
	}
	is_on_line[i] = true;
}

void
options_parse(int argc, char **argv)
{
	struct option longs[NOPTIONS + 3];
	char problem[512] = "";

	for (int i = 0; i < NOPTIONS; i++)
		longs[i] = (struct option){
			table[i].name, table[i].kind == FLAG ? optional_argument : required_argument, NULL, i};
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
			take_argument(c, optarg);
		else
			exit(2);
	}
	if (optind < argc)
	{
		snprintf(problem, sizeof(problem), "there is no argument \"%s\"", argv[optind]);
		usage_error(problem);
	}
	if (!gather(problem, sizeof(problem)))
		usage_error(problem);
}
