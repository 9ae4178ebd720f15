/*
 * shards.h
 *	  Which rooms are this node's, where a cluster of Citus spreads them over several.
 *
 * The table presence.room_shard is empty; how Citus has distributed it says where each room is.
 */
#ifndef PRESENCE_SHARDS_H
#define PRESENCE_SHARDS_H

#include "c.h"

/* True as well where nothing is spread. */
extern bool shards_is_here(text *book_id);

/* Raises 55000 for a room of another node. */
extern void shards_require_here(text *book_id);

/* Whether rooms are spread over nodes. */
extern bool shards_there(void);

/* Whether they are spread otherwise than when it was called last. */
extern bool shards_changed(void);

extern void shards_init(void);

#endif /* PRESENCE_SHARDS_H */
