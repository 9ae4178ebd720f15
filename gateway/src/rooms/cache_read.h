/*
 * cache_read.h
 *	  Cache channels: who subscribes gets the last event, from the database.
 */
#ifndef GATEWAY_CACHE_READ_H
#define GATEWAY_CACHE_READ_H

#include "rooms/channel.h"

/* Whether a channel of that name is one: cache-, private-cache-, presence-cache-, ... */
extern bool is_cache_channel(Bytes name);

/* The subscription has succeeded: it gets the last event, or pusher:cache_miss. */
extern void cache_want(Subscription *subscription);

/* An event goes to the channel: who still waits for the last one gets this one. */
extern void cache_passed(Channel *channel);

/*
 * Sends an event that another gateway told of, but to those whose last event that was already, or a
 * later one of the same gateway: they read it before it was told.
 */
extern void cache_send(Channel *channel, Frame *frame, Bytes except, CacheStamp stamp);

/* Called when somebody subscribed to a channel that has no last event; NULL: nobody cares. */
extern void (*cache_on_miss)(Channel *channel);

/* The attribute cache of a channel, as the HTTP API has it: {"data":"...","ttl":1800}. */
extern void cache_add_attribute(Buf *out, Bytes data, int ttl);

/*
 * For the HTTP API: calls back with {"data":"...","ttl":n}, or NULL: there is none. ok false: the
 * database does not answer.
 */
typedef void (*CacheFound)(bool ok, const char *json, void *arg);
extern void cache_look_up(const App *app, Bytes channel, CacheFound call, void *arg);

/* Sends what was gathered; at the end of each turn of the loop. */
extern void cache_reads_flush(void);

/* Once at the start. */
extern void cache_init(void);

#endif /* GATEWAY_CACHE_READ_H */
