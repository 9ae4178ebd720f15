/*
 * reads.h
 *	  Reads of rooms: asked together, a large answer taken in over several turns of the loop.
 */
#ifndef GATEWAY_READS_H
#define GATEWAY_READS_H

#include <stdbool.h>

/* Asks the database for the rooms that are wanted, takes in what came; at the end of each turn. */
extern void reads_flush(void);

/* Whether a part of what came is still to be taken in: the loop must turn. */
extern bool reads_busy(void);

#endif /* GATEWAY_READS_H */
