/*
 * state.h
 *	  What the database is told of channels that are no rooms: how many subscriptions are here.
 *
 * It adds up what all gateways tell. A change that comes alone is told at once, many within a
 * second in one call; that nobody is left, after --linger, as a page may be reloaded. A channel
 * whose count is what it was costs nothing.
 */
#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H

#include "rooms/apps.h"

struct State;

/*
 * The channel has so many subscriptions now; 0: it goes, and *state with it. *state: NULL at
 * first, then ours.
 */
extern void state_count(struct State **state, App *app, Bytes channel, unsigned n);

/* Whether the database knows, or will not be told, since it is what it was. */
extern bool state_is_told(const struct State *state);

/* What the sum is now over all gateways, of an app with subscription_count; a larger version is
 * newer. */
extern void (*state_on_sum)(App *app, Bytes channel, unsigned n, int64_t version);

/* By what name the database knows us. */
extern const char *state_gateway(void);

/* The database is there again: it is told all. */
extern void states_restart(void);

/* Tells, if it is time; at the end of each turn of the loop. */
extern void states_flush(void);

/* We stop: what goes is told at once. */
extern void states_drain(void);
extern bool states_pending(void);

#endif /* GATEWAY_STATE_H */
