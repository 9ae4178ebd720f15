/*
 * counts.h
 *	  pusher_internal:subscription_count: how many subscribers a channel has, on all gateways.
 *
 * The database's sums come with our own reports, and from the gateways that made others, over the
 * bus. What is told is the newest one, of a large channel every few seconds at most.
 */
#ifndef GATEWAY_COUNTS_H
#define GATEWAY_COUNTS_H

#include "base/json.h"
#include "rooms/channel.h"

/* What another gateway was told: [[channel, subscriptions, version], ...] */
extern void counts_heard(App *app, const json_t *sums);

/* A client has just subscribed: tells it what is known, if that does not change by it. */
extern void counts_greet(Socket *socket, Channel *channel);

/* Tells other gateways; at the end of each turn of the loop. */
extern void counts_flush(void);

/* Tells what had to wait; twice a second. */
extern void counts_tick(void);

/* The database is there again, perhaps another one: versions begin anew. */
extern void counts_restart(void);

/* Once at the start. */
extern void counts_init(void);

#endif /* GATEWAY_COUNTS_H */
