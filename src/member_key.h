/*
 * member_key.h
 *	  Who: one user in one room.
 */
#ifndef PRESENCE_MEMBER_KEY_H
#define PRESENCE_MEMBER_KEY_H

#include "compat.h"

typedef struct MemberKey
{
	text *user_id;
	text *book_id;
} MemberKey;

/* Whether two names are the same, byte by byte: all have the collation C. */
static inline bool
same_name(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

#endif /* PRESENCE_MEMBER_KEY_H */
