/*
 * chars.c
 *	  The characters of a channel's name.
 */
#include "postgres.h"

#include "chars.h"

/* The characters that Pusher allows in the name of a channel. */
bool
channel_chars_only(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') ||
			  (s[i] >= '0' && s[i] <= '9') || (s[i] != '\0' && strchr("_-=@,.;", s[i]))))
			return false;
	return true;
}
