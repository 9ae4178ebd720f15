/*
 * api_channels.h
 *	  The part of the HTTP API that asks for channels and their users.
 */
#ifndef GATEWAY_API_CHANNELS_H
#define GATEWAY_API_CHANNELS_H

#include "rooms/apps.h"
#include "transport/web.h"

extern void api_get_channels(Request *request, App *app);

/* rest is NAME or NAME/users */
extern void api_get_channel(Request *request, App *app, const char *rest);

/* Copies a part of what the database has answered; busy: there is more. */
extern void api_channels_flush(void);
extern bool api_channels_busy(void);

#endif /* GATEWAY_API_CHANNELS_H */
