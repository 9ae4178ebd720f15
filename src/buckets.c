/*
 * buckets.c
 *	  A hash table of lists in shared memory, of a bounded size, that grows bucket by bucket.
 *
 * See buckets.h. The first n buckets are in use. An entry's is given by as many bits of its
 * hash as n has, or, where that bucket is not in use yet, by one bit less. (Litwin, Linear
 * Hashing, 1980; PostgreSQL's dynahash.c grows in the same way.)
 */
#include "postgres.h"

#include "buckets.h"

#include "port/pg_bitutils.h"

void
buckets_init(Buckets *buckets, dlist_head *heads, uint32 max)
{
	Assert(max > 0);
	dlist_init(heads);
	*buckets = (Buckets){.heads = heads, .max = max, .n = 1};
}

static uint32
number_of(const Buckets *buckets, uint64 hash)
{
	uint32 mask = pg_nextpower2_32(buckets->n) - 1;
	uint32 number = (uint32) (hash >> PARTITION_BITS) & mask;

	return number < buckets->n ? number : number & (mask >> 1);
}

dlist_head *
buckets_find(const Buckets *buckets, uint64 hash)
{
	return &buckets->heads[number_of(buckets, hash)];
}

/* One bucket more: what belongs there was, until now, in the one that has its highest bit not. */
static void
split(Buckets *buckets)
{
	uint32 number = buckets->n++;
	dlist_head *from = &buckets->heads[number - pg_prevpower2_32(number)];
	dlist_head *to = &buckets->heads[number];
	dlist_mutable_iter iter;

	dlist_init(to);
	dlist_foreach_modify (iter, from)
	{
		if (number_of(buckets, dlist_container(BucketNode, node, iter.cur)->hash) != number)
			continue;
		dlist_delete(iter.cur);
		dlist_push_tail(to, iter.cur);
	}
}

void
buckets_add(Buckets *buckets, BucketNode *entry)
{
	buckets->nentries++;
	if (buckets->nentries > buckets->n && buckets->n < buckets->max)
		split(buckets);
	dlist_push_head(buckets_find(buckets, entry->hash), &entry->node);
}

void
buckets_remove(Buckets *buckets, BucketNode *entry)
{
	buckets->nentries--;
	dlist_delete(&entry->node);
}
