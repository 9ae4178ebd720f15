/*
 * hosts.h
 *	  Where the database may be: the hosts of the connection string, address by address.
 *
 * libpq tries them one after the other too, but resolves names while everything waits, and gives
 * the first that is silent all the time. Here each address has its own time limit, and a name is
 * resolved in a thread.
 */
#ifndef GATEWAY_HOSTS_H
#define GATEWAY_HOSTS_H

#include <libpq-fe.h>
#include <uv.h>

#include "base/util.h"

#define HOST_KEYWORDS 64

#define MAX_HOSTS     16
#define MAX_ADDRESSES 16

typedef struct Host
{
	char *name;    /* or a directory of sockets; NULL: libpq's own choice */
	char *address; /* given, so that nothing is to be resolved */
	char *port;
} Host;

/* Called when the next address is known; false: all have been tried, begin anew (later). */
typedef void (*HostsFound)(bool found, void *arg);

/* Of one connection string. Where it is must not move. */
typedef struct Hosts
{
	uv_loop_t *loop;
	HostsFound found;
	void *arg;
	PQconninfoOption *given;
	const char *whole; /* of a service: libpq knows where that is */
	Host list[MAX_HOSTS];
	int n;
	int at; /* that is tried; -1: none yet */
	char addresses[MAX_ADDRESSES][64];
	int naddresses;
	int address; /* of them */
	uv_timer_t timer;
	unsigned lookups;
	char name[256]; /* the address that was found, for the log */
} Hosts;

/* Once for each. */
extern void hosts_start(Hosts *hosts, uv_loop_t *loop, HostsFound found, void *arg);

/* This connection string from now on, from its first host. False: it is none, the log says so, and
 * all stays. */
extern bool hosts_change(Hosts *hosts, const char *conninfo);

/* Looks for the address after the last one; calls back, not before the next turn of the loop. */
extern void hosts_next(Hosts *hosts);

/* What libpq connects with, to the address that was found. The arrays end with NULL. */
extern void hosts_parameters(const Hosts *hosts, const char *keywords[HOST_KEYWORDS],
							 const char *values[HOST_KEYWORDS]);

/* Whether there is another one. */
extern bool hosts_several(const Hosts *hosts);

/* Looks for none any more. */
extern void hosts_stop(Hosts *hosts);

/* At the end. */
extern void hosts_end(Hosts *hosts);

#endif /* GATEWAY_HOSTS_H */
