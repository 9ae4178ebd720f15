/*
 * pairs.h
 *	  A file of lines NAME=VALUE; # begins a comment, a value may stand in quotes.
 */
#ifndef GATEWAY_PAIRS_H
#define GATEWAY_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

/* False: the pair is wrong, and problem says how. */
typedef bool (*PairTaken)(const char *name, const char *value, void *arg, char *problem,
						  size_t size);

/* False: problem says which line is wrong, or that there is no file. */
extern bool pairs_read(const char *path, PairTaken taken, void *arg, char *problem, size_t size);

#endif /* GATEWAY_PAIRS_H */
