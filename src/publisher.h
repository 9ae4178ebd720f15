/*
 * publisher.h
 *	  The worker's part that sends the events of other transactions.
 */
#ifndef PRESENCE_PUBLISHER_H
#define PRESENCE_PUBLISHER_H

#include "shared.h"

/*
 * Sends, in transactions of its own, what is committed and visible. The rest waits for
 * the next call, which the commits will ask for by the latch. Returns how many were sent.
 * May raise; then nothing was sent that is still in the queue.
 */
extern int publisher_run(DatabaseSlot *slot);

#endif /* PRESENCE_PUBLISHER_H */
