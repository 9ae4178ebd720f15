/*
 * channel.h
 *	  Channels, and who is subscribed to them here.
 *
 * A Channel is there while it has a subscription. What makes one a room's
 * (its members, the connection in the database) is room.c's and seat.c's: a Subscription to a
 * room's channel has a Seat, and counts as subscribed once that is answered.
 */
#ifndef GATEWAY_CHANNEL_H
#define GATEWAY_CHANNEL_H

#include <uthash.h>

#include "apps.h"
#include "frame.h"
#include "socket.h"

struct Room;
struct Seat;

typedef enum ChannelKind
{
	CHANNEL_PUBLIC,
	CHANNEL_PRIVATE,
	CHANNEL_ENCRYPTED, /* private-encrypted-: no client events */
	CHANNEL_ROOM,
	CHANNEL_USER,     /* #server-to-user-{id} */
	CHANNEL_FORBIDDEN /* a presence channel that is no room's; a wrong name */
} ChannelKind;

typedef struct Channel
{
	App *app;
	struct Room *room; /* of CHANNEL_ROOM */
	struct Subscription *subscriptions;
	unsigned nsubscriptions;
	ChannelKind kind;
	struct Channel *room_prev, *room_next; /* the room's channels, one for each app */
	UT_hash_handle hh;                     /* app->channels */
	size_t name_len;
	char name[];
} Channel;

typedef struct Subscription
{
	Socket *socket;
	Channel *channel;
	struct Seat *seat;                    /* of CHANNEL_ROOM */
	struct Subscription *prev, *next;     /* the channel's */
	struct Subscription *s_prev, *s_next; /* the socket's */
} Subscription;

extern ChannelKind channel_kind(Bytes name);

/* NULL if nobody is subscribed. */
extern Channel *channel_find(const App *app, Bytes name);

extern Subscription *subscription_find(const Socket *socket, Bytes name);

/* Makes the channel if it is not there. The socket must not be subscribed yet. */
extern Subscription *subscription_open(Socket *socket, Bytes name, ChannelKind kind);

/* Frees it, and the channel if it was the last one. Seat and room must be gone. */
extern void subscription_close(Subscription *subscription);

/* Whether it gets the channel's events. */
extern bool subscription_active(const Subscription *subscription);

/* Sends to all that are subscribed, but one socket by its id (empty: none). */
extern void channel_send(Channel *channel, Frame *frame, Bytes except);

static inline Bytes
channel_name(const Channel *channel)
{
	return (Bytes){channel->name, channel->name_len};
}

#endif /* GATEWAY_CHANNEL_H */
