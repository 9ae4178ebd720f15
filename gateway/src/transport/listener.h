/*
 * listener.h
 *	  Where clients connect: addresses bound, or given by systemd; and when none is accepted.
 *
 * What is bound is what was asked for. While there are no files, or connections as many as may
 * be, nothing is accepted and nothing is polled.
 */
#ifndef GATEWAY_LISTENER_H
#define GATEWAY_LISTENER_H

#include "transport/conn.h"

/* A connection came, whose handler takes it. */
extern const ConnHandler *listener_handler;

/*
 * Binds --listen and --admin-listen, or takes the sockets of systemd. False: it could not, and
 * the log says why.
 */
extern bool listeners_start(uv_loop_t *loop);

/* How many connections there may be, all together; and accepts again if it had stopped. */
extern void listeners_allow(unsigned connections);

/* Takes what has connected already, then no more. Operators are still let in. */
extern void listeners_stop(void);

/* Closes all. */
extern void listeners_end(void);

/* How many connections of one address there may be; 0: any number. */
extern unsigned listener_per_address(const Ip *ip);

#endif /* GATEWAY_LISTENER_H */
