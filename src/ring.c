/*
 * ring.c
 *	  The last changes of a room's list: who changed, by the version that counted it.
 *
 * A change lies in the ring as its length, the user_id, the version, and the length again, byte by
 * byte over the end: the oldest is found from the front, the newest ones are read from the back, so
 * that to read costs what changed. Versions in a ring grow.
 *
 * Added to by memory.c, when a member is settled; read by memory_changes.c.
 */
#include "postgres.h"

#include "ring.h"

#include "compat.h"
#include "shared.h"

/* What is around a user_id. */
typedef uint16 Length;
#define AROUND (2 * sizeof(Length) + sizeof(uint64))

Ring *
ring_new(Size size, uint64 version)
{
	Ring *ring = shared_alloc_spare(offsetof(Ring, data) + size);

	if (ring == NULL)
		return NULL;
	*ring = (Ring){.size = size, .begun = version, .since = version};
	return ring;
}

void
ring_free(Ring *ring)
{
	if (ring != NULL)
		shared_free(ring);
}

/* Copies bytes in, at a position that may be over the end. */
static void
put(Ring *ring, Size at, const void *from, Size n)
{
	Size before_end;

	at %= ring->size;
	before_end = Min(n, ring->size - at);
	memcpy(ring->data + at, from, before_end);
	memcpy(ring->data, (const char *) from + before_end, n - before_end);
}

static void
get(const Ring *ring, Size at, void *to, Size n)
{
	Size before_end;

	at %= ring->size;
	before_end = Min(n, ring->size - at);
	memcpy(to, ring->data + at, before_end);
	memcpy((char *) to + before_end, ring->data, n - before_end);
}

static void
drop_oldest(Ring *ring)
{
	Length length;

	get(ring, ring->tail, &length, sizeof(length));
	get(ring, ring->tail + sizeof(length) + length, &ring->since, sizeof(uint64));
	ring->tail = (ring->tail + AROUND + length) % ring->size;
	ring->used -= AROUND + length;
}

void
ring_add(Ring *ring, uint64 version, text *user_id)
{
	Length length = (Length) VARSIZE_ANY_EXHDR(user_id);
	Size at;

	while (ring->used > 0 && ring->used + AROUND + length > ring->size)
		drop_oldest(ring);
	if (AROUND + length > ring->size)
	{
		ring->since = version;
		return;
	}
	at = ring->tail + ring->used;
	put(ring, at, &length, sizeof(length));
	put(ring, at + sizeof(length), VARDATA_ANY(user_id), length);
	put(ring, at + sizeof(length) + length, &version, sizeof(version));
	put(ring, at + AROUND + length - sizeof(length), &length, sizeof(length));
	ring->used += AROUND + length;
}

Ring *
ring_grow(Ring *ring, Size size)
{
	Ring *larger = ring_new(size, ring->begun);

	Assert(size >= ring->size);
	if (larger == NULL)
		return ring;
	larger->since = ring->since;
	larger->used = ring->used;
	get(ring, ring->tail, larger->data, ring->used);
	ring_free(ring);
	return larger;
}

static int
compare_user_ids(const void *a, const void *b)
{
	const text *x = *(text *const *) a;
	const text *y = *(text *const *) b;
	int by_length = (int) VARSIZE_ANY_EXHDR(x) - (int) VARSIZE_ANY_EXHDR(y);

	return by_length ? by_length : memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x));
}

static int
without_doubles(text **user_ids, int n)
{
	int kept = 0;

	qsort(user_ids, n, sizeof(text *), compare_user_ids);
	for (int i = 0; i < n; i++)
		if (i == 0 || compare_user_ids(&user_ids[i], &user_ids[kept - 1]) != 0)
			user_ids[kept++] = user_ids[i];
	return kept;
}

/* The change that ends there, if it is after a version; NULL if not. */
static text *
change_before(const Ring *ring, Size end, uint64 after)
{
	Length length;
	uint64 version;
	text *user_id;

	get(ring, ring->tail + end - sizeof(length), &length, sizeof(length));
	get(ring, ring->tail + end - sizeof(length) - sizeof(version), &version, sizeof(version));
	if (version <= after)
		return NULL;
	user_id = palloc(VARHDRSZ + length);
	SET_VARSIZE(user_id, VARHDRSZ + length);
	get(ring, ring->tail + end - AROUND + sizeof(length) - length, VARDATA(user_id), length);
	return user_id;
}

text **
ring_after(const Ring *ring, uint64 version, int *n)
{
	int max = 16;
	text **user_ids = palloc(sizeof(text *) * max);
	Size end = ring->used;
	text *user_id;

	*n = 0;
	while (end > 0 && (user_id = change_before(ring, end, version)) != NULL)
	{
		if (*n == max)
			user_ids = repalloc(user_ids, sizeof(text *) * (max *= 2));
		user_ids[(*n)++] = user_id;
		end -= AROUND + VARSIZE_ANY_EXHDR(user_id);
	}
	*n = without_doubles(user_ids, *n);
	return user_ids;
}
