/*
 * options.h
 *	  The command line, the environment behind it, and a file behind that.
 */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>

typedef struct Options
{
	char *config;       /* a file with more of these; NULL: none */
	char *listen;       /* HOST:PORT or unix:PATH, some with commas between */
	char *admin_listen; /* the same, for operators; NULL: none */
	char *database;     /* connection strings of libpq, one a line */
	char *channel;      /* presence.channel, where our role may not read it */
	char *tls_cert;
	char *tls_key;
	char *webhook_ca;      /* whose certificates webhooks' servers have; NULL: the system's */
	char *path_prefix;     /* before /app and /apps, as "/ws"; NULL: none */
	char *proxies;         /* networks whose X-Forwarded-For is true; NULL: none */
	bool proxy_protocol;   /* these begin with a line of the PROXY protocol */
	bool reuse_port;       /* other processes may listen on the same port */
	int max_sockets;       /* clients */
	int max_per_address;   /* connections; 0: 1000, and none for this machine's own */
	int max_subscriptions; /* of a socket */
	int max_message;       /* bytes of a client's message */
	int max_backlog;       /* bytes that wait for a slow reader */
	int message_rate;      /* of a client, a second */
	int joins_per_minute;  /* of a user and a room, beyond a first few */
	int linger_ms;         /* a member stays for so long after its socket closed */
	int silence_ms;        /* a peer that was silent that long is gone */
	int drain_ms;          /* over which SIGTERM moves clients away */
	int connect_ms;        /* for one address of the database */
	int statement_ms;      /* for one answer of the database */
} Options;

extern Options options;

/* Fills options; on --help and --version, and on a mistake, ends the program. */
extern void options_parse(int argc, char **argv);

/* The lines of such an option, at most max of them; how many there are. They stay valid. */
extern int options_list(const char *lines, const char **list, int max);

/*
 * Reads the file and the environment again. False, with nothing changed, if there is a
 * mistake; it is logged. Strings that were handed out before stay valid.
 */
extern bool options_reload(void);

#endif /* GATEWAY_OPTIONS_H */
