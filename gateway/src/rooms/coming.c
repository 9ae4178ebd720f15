/*
 * coming.c
 *	  How often a user comes into a room: so many times a minute.
 */
#include "rooms/coming.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/bucket.h"
#include "base/options.h"

#define COMINGS_KEPT 20000
#define MINUTE       60 /* tokens of a join, and seconds */

typedef struct Coming
{
	Bucket bucket;
	UT_hash_handle hh;
	size_t len;
	char key[]; /* user_id, a zero, book_id */
} Coming;

static Coming *comings;

static void
comings_forget_old(int64_t now)
{
	Coming *next;

	for (Coming *coming = comings; coming; coming = next)
	{
		next = coming->hh.next;
		/* The analyzer does not follow the links of the table. NOLINTNEXTLINE */
		if (HASH_COUNT(comings) < COMINGS_KEPT && coming->bucket.at + MINUTE * 1000 > now)
			continue;
		/* NOLINTNEXTLINE */
		HASH_DEL(comings, coming);
		free(coming);
	}
}

bool
coming_allowed(const char *user_id, Bytes book_id)
{
	int64_t now = now_ms();
	size_t user_len = strlen(user_id) + 1;
	size_t len = user_len + book_id.len;
	char key[700];
	Coming *coming;

	if (len > sizeof(key))
		return true;
	memcpy(key, user_id, user_len);
	memcpy(key + user_len, book_id.data, book_id.len);
	HASH_FIND(hh, comings, key, len, coming);
	if (!coming)
	{
		if (HASH_COUNT(comings) >= COMINGS_KEPT)
			comings_forget_old(now);
		coming = xcalloc(1, sizeof(Coming) + len);
		coming->len = len;
		memcpy(coming->key, key, len);
		HASH_ADD_KEYPTR(hh, comings, coming->key, len, coming);
	}
	return bucket_take(&coming->bucket, now, MINUTE, MINUTE * options.joins_per_minute,
					   options.joins_per_minute);
}

void
comings_tidy(void)
{
	comings_forget_old(now_ms());
}
