/*
 * api.h
 *	  The HTTP API of Pusher Channels, and what operators ask for.
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include "transport/web.h"

/*
 * The head of a request is there. 0: the rest may come; else the status to refuse it with, and
 * why. Who it is from is known by then: a stranger's body is not read.
 */
extern int api_begins(Request *request, const char **why);

/* Answers a complete request, now or later. */
extern void api_complete(Request *request);

/* From now on /readyz says that no client should come. */
extern void api_drain(void);

#endif /* GATEWAY_API_H */
