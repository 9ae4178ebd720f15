/*
 * api_trigger.h
 *	  The part of the HTTP API that triggers events.
 */
#ifndef GATEWAY_API_TRIGGER_H
#define GATEWAY_API_TRIGGER_H

#include "api.h"
#include "json.h"

extern void api_post_event(Request *request, App *app);
extern void api_post_batch(Request *request, App *app);

/* Of api.c */
extern void api_answer_json(Request *request, const json_t *json);
extern void api_refuse(Request *request, int status, const char *why);

#endif /* GATEWAY_API_TRIGGER_H */
