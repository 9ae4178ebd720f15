/*
 * api_trigger.h
 *	  The part of the HTTP API that triggers events.
 */
#ifndef GATEWAY_API_TRIGGER_H
#define GATEWAY_API_TRIGGER_H

#include "rooms/apps.h"
#include "transport/web.h"

extern void api_post_event(Request *request, App *app);
extern void api_post_batch(Request *request, App *app);

/* Once at the start. */
extern void api_trigger_init(void);

#endif /* GATEWAY_API_TRIGGER_H */
