/*
 * drop.h
 *	  Connections of closed sockets, dropped in the database, many in one call.
 *
 * On a connection of its own: a drop may have to wait for somebody's open transaction.
 */
#ifndef GATEWAY_DROP_H
#define GATEWAY_DROP_H

#include "database/database.h"

/* at_once: it left by itself; else its member lingers, since a page may be reloaded. */
extern void drop_want(Database *database, int64_t handle, bool at_once);

/* Sends what was gathered; at the end of each turn of the loop. */
extern void drops_flush(void);

/* Whether drops are still to be sent or answered, of a database that is there. */
extern bool drops_pending(void);

/* From now on members stay for so long at least: their clients come to another gateway. */
extern void drops_linger(int ms);

#endif /* GATEWAY_DROP_H */
