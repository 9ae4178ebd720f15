/*
 * expiry.h
 *	  The worker's part that ends leases, and gives one to what a restart left.
 */
#ifndef PRESENCE_EXPIRY_H
#define PRESENCE_EXPIRY_H

#include "shared.h"

/*
 * Ends some of what has ended by now, in transactions of its own. True: there may be more. May
 * raise what keeps it from ending anything; a presence that can't be ended is set aside.
 */
extern bool expiry_run(void);

/*
 * Adopts some of the open presences that nothing holds, in a transaction of its own; true: there
 * are more. Where their table comes by logical replication, none. busy is set if a transaction held
 * one.
 */
extern bool expiry_adopt(DatabaseSlot *slot, bool *busy);

#endif /* PRESENCE_EXPIRY_H */
