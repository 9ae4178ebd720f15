/*
 * channel.h
 *	  Channels, who is subscribed to them here, and the seats of rooms.
 *
 * A Channel is there while it has a subscription. A Subscription to a room's channel has a
 * Seat, which seat.c keeps, and counts as active once that is answered.
 */
#ifndef GATEWAY_CHANNEL_H
#define GATEWAY_CHANNEL_H

#include <uthash.h>

#include "rooms/socket.h"

struct Room;
struct Join;
struct State;
struct Count;
struct Paging;

typedef enum ChannelKind
{
	CHANNEL_PUBLIC,
	CHANNEL_PRIVATE,
	CHANNEL_ENCRYPTED, /* private-encrypted-: no client events */
	CHANNEL_ROOM,
	CHANNEL_WATCH,    /* private-watch-room-{book}: reads a room, no client events */
	CHANNEL_USER,     /* #server-to-user-{id} */
	CHANNEL_FORBIDDEN /* a presence channel of an app that has only those of books; a wrong name */
} ChannelKind;

/* Of an event of a cache channel: which gateway wrote it, as its how many-th. */
typedef struct CacheStamp
{
	uint64_t by; /* 0: nothing */
	int64_t number;
} CacheStamp;

typedef struct Channel
{
	App *app;
	struct Room *room; /* of CHANNEL_ROOM and CHANNEL_WATCH */
	struct Subscription *subscriptions;
	unsigned nsubscriptions;
	ChannelKind kind;
	struct Channel *room_prev, *room_next;   /* the room's channels, one or two for each app */
	struct Channel *cache_prev, *cache_next; /* those with somebody who waits (cache_read.c) */
	bool cache_waits;
	uint64_t cache_by;     /* the gateway that wrote what was read for those who were answered */
	struct State *state;   /* what the database is told; of a room NULL */
	struct Count *count;   /* what clients are told; NULL: nothing yet */
	struct Paging *paging; /* of a room of more members than are listed (list.c) */
	UT_hash_handle hh;     /* app->channels */
	size_t name_len;
	char name[];
} Channel;

/* A socket's place in a room: its connection in the database. */
typedef struct Seat
{
	struct Subscription *subscription;
	struct Room *room;
	char *user_id;
	char *user_info;         /* as this client knows it, or NULL */
	char connection[40];     /* its connection_id */
	int64_t handle;          /* of the connection; 0: none */
	int64_t presence_id;     /* as of its last join */
	int64_t presence_before; /* the one before that, if it is another one */
	int64_t old_handle;      /* of the seat before it: dropped when this one has joined */
	struct Join *join;       /* under way, or NULL */
	int64_t asked_at;        /* us */
	int64_t lost_at;         /* ms; the database did not know its connection */
	int64_t came_at;         /* ms; when its presence was first heard of */
	int64_t alive_at;        /* ms; when its connection was last known to be there (beat.c) */
	int lease_ms;            /* that it was joined with */
	bool is_author;
	bool unsure;    /* how its presence ended is to be asked before it is joined again (again.c) */
	bool asked;     /* and is being asked */
	bool timed_out; /* its presence: nothing to ask */
	bool removed;   /* by the application: it is not joined again */
	UT_hash_handle hh; /* by handle */
} Seat;

typedef struct Subscription
{
	Socket *socket;
	Channel *channel;
	Seat *seat;                           /* of CHANNEL_ROOM; others have none */
	bool active;                          /* it gets the channel's events */
	unsigned char cache;                  /* waits for the last event (cache_read.c) */
	uint32_t cache_number;                /* and the last digits of its stamp */
	struct Subscription *prev, *next;     /* the channel's */
	struct Subscription *s_prev, *s_next; /* the socket's */
} Subscription;

extern ChannelKind channel_kind(const App *app, Bytes name);

/* Whether its subscriptions are summed over all gateways. */
extern bool channel_is_counted(ChannelKind kind);

/* NULL if nobody is subscribed. */
extern Channel *channel_find(const App *app, Bytes name);

/* Called before a channel is freed. */
extern void (*channel_on_close)(Channel *channel);

extern Subscription *subscription_find(const Socket *socket, Bytes name);

/* Makes the channel if it is not there. The socket must not be subscribed yet. */
extern Subscription *subscription_open(Socket *socket, Bytes name, ChannelKind kind);

/* Frees it, and the channel if it was the last one. Seat and room must be gone. */
extern void subscription_close(Subscription *subscription);

/* Called before a channel is freed; NULL: nobody cares. */
extern void (*channel_on_free)(Channel *channel);

/* Sends to all that are active, but one socket by its id (empty: none). */
extern void channel_send(Channel *channel, Frame *frame, Bytes except);

static inline Bytes
channel_name(const Channel *channel)
{
	return (Bytes){channel->name, channel->name_len};
}

#endif /* GATEWAY_CHANNEL_H */
