/*
 * options.h
 *	  The command line, and the environment behind it.
 */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include <stdbool.h>

typedef struct Options
{
	const char *listen_host; /* NULL: all addresses */
	int listen_port;         /* 0: any free one, logged */
	const char *database;    /* a connection string of libpq */
	const char *tls_cert;
	const char *tls_key;
	int max_sockets;
	int max_subscriptions; /* of a socket */
	int max_message;       /* bytes of a client's message */
	int max_backlog;       /* bytes that wait for a slow reader */
	int silence_ms;        /* a peer that was silent that long is gone */
	int drain_ms;          /* how long SIGTERM waits for sockets to close */
} Options;

extern Options options;

/* Fills options; on --help and --version, and on a mistake, ends the program. */
extern void options_parse(int argc, char **argv);

#endif /* GATEWAY_OPTIONS_H */
