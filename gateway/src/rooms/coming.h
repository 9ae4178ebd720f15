/*
 * coming.h
 *	  How often a user comes into a room: so many times a minute.
 */
#ifndef GATEWAY_COMING_H
#define GATEWAY_COMING_H

#include "base/util.h"

/* Counts one more; false if that is too often. */
extern bool coming_allowed(const char *user_id, Bytes book_id);

/* Forgets who has not come for a while; now and then. */
extern void comings_tidy(void);

#endif /* GATEWAY_COMING_H */
