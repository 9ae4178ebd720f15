/*
 * learn.h
 *	  What the connection that listens learns: what the server can do, apps, settings; and LISTEN.
 */
#ifndef GATEWAY_LEARN_H
#define GATEWAY_LEARN_H

#include "database/pg.h"

/* What the database told of itself. */
typedef struct DatabaseSettings
{
	const char *channel_prefix;
	int timeout_ms;
	bool new_joins;        /* join_rooms() with skip_locked */
	const char *event_key; /* hex; NULL: it has none */
	bool read_only;
} DatabaseSettings;

typedef struct LearnEvents
{
	void (*refused)(const char *why); /* it can't go on; the connection is to be closed */
	void (*settings)(const DatabaseSettings *now);
	void (*apps)(const PGresult *rows); /* of one column, JSON */
	void (*listening)(void);
} LearnEvents;

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

/* Begins with a connection that is there; refreshes what may change; the connection is gone. */
extern void learn_begin(Pg *pg, const LearnEvents *events);
extern void learn_refresh(void);
extern void learn_end(void);

extern bool learn_is_listening(void);

/* The server is of 0.3: join_rooms() has skip_locked. */
extern bool learn_new_joins(void);

/* Compared with how it was when learn_lineage_taken() was called. */
extern Lineage learn_lineage(void);
extern void learn_lineage_taken(void);

/* now_ms() of the last refresh. */
extern int64_t learn_at(void);

#endif /* GATEWAY_LEARN_H */
