/*
 * api.h
 *	  The HTTP API of Pusher Channels, and what operators ask for.
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include "apps.h"
#include "http.h"

/* Answers a complete request, now or later. */
extern void api_handle(Request *request);

/* From now on /healthz says that no client should come. */
extern void api_drain(void);

/* Whether a request is signed by the app, for these minutes; if not, why. */
extern bool api_is_signed(const Request *request, const App *app, const char **why);

#endif /* GATEWAY_API_H */
