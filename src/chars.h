/*
 * chars.h
 *	  The characters of a channel's name.
 */
#ifndef PRESENCE_CHARS_H
#define PRESENCE_CHARS_H

#include "postgres.h"

/* Whether every byte may stand in a channel's name. */
extern bool channel_chars_only(const char *s, size_t len);

#endif /* PRESENCE_CHARS_H */
