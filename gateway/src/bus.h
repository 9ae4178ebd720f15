/*
 * bus.h
 *	  What gateways tell each other: events of the application, over NOTIFY.
 *
 * Anyone who can connect to the database can send notifications, so each message is
 * signed with the app's secret. Anyone can read them, too: see docs/gateway.md.
 */
#ifndef GATEWAY_BUS_H
#define GATEWAY_BUS_H

#include "apps.h"

/* An event that was triggered here, for a channel; data is the string that clients get. */
extern void bus_event(const App *app, Bytes channel, Bytes event, Bytes data, Bytes except);

/* A client event; data is JSON. */
extern void bus_client_event(const App *app, Bytes channel, Bytes event, Bytes data, Bytes user_id);

/* A user's sockets are to be closed. */
extern void bus_terminate(const App *app, Bytes user_id);

/* A notification of the bus. */
extern void bus_notified(const char *payload);

/* Sends what was gathered; at the end of each turn of the loop. */
extern void bus_flush(void);

/* The connection was lost: parts of messages that came over it are no use. */
extern void bus_lost(void);

#endif /* GATEWAY_BUS_H */
