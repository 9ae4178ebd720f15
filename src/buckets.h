/*
 * buckets.h
 *	  A hash table of lists in shared memory, of a bounded size, that grows bucket by bucket.
 *
 * Linear hashing: as many buckets are in use as there have ever been entries, so that what is
 * touched is what is needed, however large the table may become, and no step is longer than
 * to move the entries of one bucket.
 *
 * Who calls has a lock, exclusive to add and to remove.
 */
#ifndef PRESENCE_BUCKETS_H
#define PRESENCE_BUCKETS_H

#include "lib/ilist.h"

/* The low bits of a hash say which table it is of: they are the same in all of one. */
#define PARTITION_BITS 6

/* In an entry; the hash does not change while it is in a table. */
typedef struct BucketNode
{
	dlist_node node;
	uint64 hash;
} BucketNode;

typedef struct Buckets
{
	dlist_head *heads;
	uint32 max; /* of n */
	uint32 n;   /* in use */
	uint32 nentries;
} Buckets;

extern void buckets_init(Buckets *buckets, dlist_head *heads, uint32 max);

/* The list of BucketNode that an entry with that hash is in. */
extern dlist_head *buckets_find(const Buckets *buckets, uint64 hash);

extern void buckets_add(Buckets *buckets, BucketNode *entry);
extern void buckets_remove(Buckets *buckets, BucketNode *entry);

#endif /* PRESENCE_BUCKETS_H */
