/*
 * bucket.h
 *	  Token buckets: so many at once, so many a second.
 */
#ifndef GATEWAY_BUCKET_H
#define GATEWAY_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Tokens are thousandths. All zero: full, whatever its size. */
typedef struct Bucket
{
	int64_t taken;
	int64_t at; /* ms */
} Bucket;

/* Takes tokens; false, and nothing is taken, if there are not so many. */
static inline bool
bucket_take(Bucket *bucket, int64_t now, int tokens, int burst, int per_second)
{
	int64_t back = (now - bucket->at) * per_second;

	bucket->taken = bucket->taken > back ? bucket->taken - back : 0;
	bucket->at = now;
	if (bucket->taken + 1000L * tokens > 1000L * burst)
		return false;
	bucket->taken += 1000L * tokens;
	return true;
}

#endif /* GATEWAY_BUCKET_H */
