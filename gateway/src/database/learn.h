/*
 * learn.h
 *	  What the connection that listens learns: what the server can do, apps, settings; and LISTEN.
 */
#ifndef GATEWAY_LEARN_H
#define GATEWAY_LEARN_H

#include "database/pg.h"

#define EVENT_KEY_SIZE 32 /* bytes */
#define NODE_SIZE      300

/* What the database told of itself. */
typedef struct DatabaseSettings
{
	const char *channel_prefix;
	int timeout_ms;
	const char *event_key; /* hex; NULL: it has none */
	bool read_only;
} DatabaseSettings;

/*
 * How much of what was known before is still there. A store is a cluster, a database and an
 * installation of the extension; its server has a life from crash to crash.
 */
typedef enum Lineage
{
	LINEAGE_SAME,
	LINEAGE_CRASHED, /* or a copy of it took over: the last things may be lost */
	LINEAGE_OTHER    /* another store */
} Lineage;

typedef struct LearnEvents
{
	void (*refused)(const char *why,
					void *arg); /* it can't go on; the connection is to be closed */
	void (*settings)(const DatabaseSettings *now, void *arg);
	void (*apps)(const PGresult *rows, void *arg); /* of one column, JSON */
	void (*moved)(void *arg);                      /* rooms are on other nodes than before */
	void (*listening)(void *arg);
} LearnEvents;

typedef struct Learn
{
	const LearnEvents *events;
	void *arg;
	Pg *pg; /* NULL: none */
	bool listening;
	bool new_joins; /* the server is of 0.3: join_rooms() has skip_locked */
	bool has_key_function;
	bool has_shards;
	char *events_channel;
	char *channel_prefix;
	char event_key[2 * EVENT_KEY_SIZE + 1];
	char node[NODE_SIZE]; /* what a cluster calls it, HOST:PORT; empty: it has no rooms of one */
	char layout[40];      /* of the rooms over the nodes: changes with it; empty: they are here */
	int64_t at;           /* now_ms() of the last refresh */
	char store[64];
	char life[64];   /* what the server has counted begins anew with a crash */
	Lineage lineage; /* compared with how it was when that was taken; it is then set to SAME */
} Learn;

/* Before the first connection. */
extern void learn_start(Learn *learn, const LearnEvents *events, void *arg);

/* Begins with a connection that is there; refreshes what may change; the connection is gone. */
extern void learn_begin(Learn *learn, Pg *pg);
extern void learn_refresh(Learn *learn);
extern void learn_end(Learn *learn);

#endif /* GATEWAY_LEARN_H */
