/*
 * bus.h
 *	  What gateways tell each other: events of the application, over NOTIFY.
 *
 * Anyone who can connect to the database can send notifications, so each message is signed, with
 * the database's key or, where it has none, with the app's secret; it tells its time and a number
 * that rises, so that it can't be sent again. Anyone can read them: see docs/gateway.md.
 */
#ifndef GATEWAY_BUS_H
#define GATEWAY_BUS_H

#include "base/json.h"
#include "rooms/apps.h"
#include "rooms/cache_write.h"

/*
 * An event that was triggered here, for an array of channels; data is the string that clients get.
 * False: too much waits already, and nothing is told.
 */
extern bool bus_event(App *app, json_t *channels, Bytes event, Bytes data, Bytes except);

/* The same, of a cache channel, with the stamp that it was kept under. */
extern bool bus_cached_event(const CacheEvent *event);

/* A client event; data is JSON. */
extern void bus_client_event(App *app, Bytes channel, Bytes event, Bytes data, Bytes user_id);

/* Sums of subscriptions that the database has told us: see counts.h. */
extern void bus_counts(App *app, json_t *sums);

/* A user's sockets are to be closed. */
extern bool bus_terminate(App *app, Bytes user_id);

/* Called when all that was told so far has been sent; false: not within some seconds. */
typedef void (*BusSent)(bool sent, void *arg);
extern void bus_when_sent(BusSent call, void *arg);

/* What others tell; called by whoever carries it out (protocol.c). */
typedef struct BusMessage
{
	App *app;
	Bytes kind; /* event, client, terminate, counts */
	json_t *channels;
	Bytes event;
	Bytes data;
	Bytes user_id;
	Bytes except;
	CacheStamp stamp; /* of an event of a cache channel */
} BusMessage;

extern void (*bus_on_message)(const BusMessage *message);

/* A notification of the bus. */
extern void bus_notified(const char *payload);

/* Sends what was gathered; at the end of each turn of the loop. */
extern void bus_flush(void);

/* Answers those who have waited too long; twice a second. */
extern void bus_tick(void);

/* The connection was lost: parts of messages that came over it are no use. */
extern void bus_lost(void);

#endif /* GATEWAY_BUS_H */
