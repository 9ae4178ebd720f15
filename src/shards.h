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

/*
 * Raises PR001 for a room of another node. No state of the server's: one room that is elsewhere
 * must not be taken for a database that takes nothing.
 */
#define ERRCODE_ROOM_ON_ANOTHER_NODE MAKE_SQLSTATE('P', 'R', '0', '0', '1')
extern void shards_require_here(text *book_id);

/* Whether rooms are spread over nodes. */
extern bool shards_there(void);

/* Whether they are spread otherwise than when it was called last. */
extern bool shards_changed(void);

extern void shards_init(void);

#endif /* PRESENCE_SHARDS_H */
