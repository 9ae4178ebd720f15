/*
 * ring.h
 *	  The last changes of a room's list: who changed, by the version that counted it.
 *
 * A ring is in shared memory, hangs at a room, and is guarded by the room's lock: exclusive to add
 * and to free, shared to read. It has all changes after the version "since", the newest ones as
 * many as it has bytes for.
 */
#ifndef PRESENCE_RING_H
#define PRESENCE_RING_H

typedef struct Ring
{
	Size size;    /* bytes of data */
	uint64 begun; /* the room's version when there was no change in it */
	uint64 since; /* that of the last change that is not in it any more; or begun */
	Size tail;    /* where the oldest change begins */
	Size used;    /* bytes from there */
	char data[FLEXIBLE_ARRAY_MEMBER];
} Ring;

/* An empty one for a room of that version; NULL where memory is short. Raises nothing. */
extern Ring *ring_new(Size size, uint64 version);

/* A larger one with what is in this one, which is freed; or this one, where memory is short. */
extern Ring *ring_grow(Ring *ring, Size size);
extern void ring_free(Ring *ring);

/* One more; the oldest ones give way to it. Allocates and raises nothing. */
extern void ring_add(Ring *ring, uint64 version, text *user_id);

/* Who changed after a version, each once, in the current memory context. */
extern text **ring_after(const Ring *ring, uint64 version, int *n);

/* Whether all changes after a version are in it. */
static inline bool
ring_reaches(const Ring *ring, uint64 version)
{
	return version >= ring->since;
}

/* Whether they were once. */
static inline bool
ring_has_lost(const Ring *ring, uint64 version)
{
	return version >= ring->begun && version < ring->since;
}

#endif /* PRESENCE_RING_H */
