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

#include <uv.h>

#include "base/util.h"

#define HOST_KEYWORDS 64

/* Called when the next address is known; false: all have been tried, begin anew (later). */
typedef void (*HostsFound)(bool found);

/* False: the connection string is not one, and the log says so. */
extern bool hosts_start(uv_loop_t *loop, const char *conninfo, HostsFound found);

/* Another connection string from now on, from its first host. False: it is none, and all stays. */
extern bool hosts_change(const char *conninfo);

/* Looks for the address after the last one; calls back, not before the next turn of the loop. */
extern void hosts_next(void);

/* What libpq connects with, to the address that was found. The arrays end with NULL. */
extern void hosts_parameters(const char *keywords[HOST_KEYWORDS],
							 const char *values[HOST_KEYWORDS]);

/* The address that was found, for the log. */
extern const char *hosts_name(void);

/* Whether there is another one. */
extern bool hosts_several(void);

extern void hosts_stop(void);

#endif /* GATEWAY_HOSTS_H */
