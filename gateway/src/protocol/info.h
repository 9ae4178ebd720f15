/*
 * info.h
 *	  Attributes of channels, as the HTTP API's "info" asks for them: over all gateways.
 *
 * A room's are the database's: its members and their connections. Of another channel it knows what
 * the other gateways have; ours we add.
 */
#ifndef GATEWAY_INFO_H
#define GATEWAY_INFO_H

#include "base/json.h"
#include "rooms/apps.h"

typedef struct InfoWanted
{
	bool user_count;
	bool subscription_count;
} InfoWanted;

/* Whether "user_count,subscription_count" has one. */
extern bool info_lists(Bytes info, const char *what);

/* "user_count,subscription_count"; others are not known, and not given. */
extern InfoWanted info_wanted(Bytes info);

typedef struct ChannelInfo
{
	Bytes channel;
	int users; /* of a room; others: -1 */
	int subscriptions;
} ChannelInfo;

/* A list of them, in the order of the names. NULL: the database does not answer, and why. */
typedef void (*InfoTaken)(const ChannelInfo *info, int n, const char *problem, void *arg);

/*
 * Asks for an array of names of channels, which stays until the answer; not for connections of
 * rooms, if nobody wants subscription_count.
 */
extern void info_ask(App *app, const json_t *names, InfoWanted wanted, InfoTaken taken, void *arg);

/* Appends {"user_count":1,"subscription_count":2}: what is wanted and there is; {} of NULL. */
extern void info_add(Buf *out, const ChannelInfo *info, InfoWanted wanted);

#endif /* GATEWAY_INFO_H */
