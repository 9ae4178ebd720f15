/*
 * cache_write.h
 *	  Cache channels: the last event of each goes to the database.
 *
 * It is kept for 30 minutes, and any gateway answers with it (cache_read.h).
 */
#ifndef GATEWAY_CACHE_WRITE_H
#define GATEWAY_CACHE_WRITE_H

#include "base/json.h"
#include "rooms/channel.h"

/* An event of one cache channel, as it was triggered. */
typedef struct CacheEvent
{
	App *app;
	Bytes channel;
	Bytes event;
	Bytes data;
	Bytes except;     /* the socket that does not get it, or empty */
	CacheStamp stamp; /* given by cache_write() */
} CacheEvent;

/*
 * Keeps it. cache_on_written is called when that is done, or can't be; only then others may be
 * told: who reads before that, and subscribes after they were, would miss it.
 */
extern void cache_write(const CacheEvent *event);
extern void (*cache_on_written)(const CacheEvent *event);

/* Calls when all that was given so far has been written, or can't be; at once, if it has. */
extern void cache_when_written(void (*call)(void *arg), void *arg);

/* Whether nothing waits to be sent: what is asked now on that connection sees it all. */
extern bool cache_is_sent(void);

/* Sends what was gathered; at the end of each turn of the loop. */
extern void cache_writes_flush(void);

/* Once a minute has deleted what has expired; twice a second. */
extern void cache_tick(void);

#endif /* GATEWAY_CACHE_WRITE_H */
