/*
 * memory_changes.c
 *	  What has changed in a room in shared memory since a version.
 *
 * Only rooms that somebody asks this of have a ring (ring.h). It is a small part of what the room's
 * members take, and grows when somebody finds that it has lost what he asks for. Where memory is
 * short there is none.
 *
 * Called by connections_memory.c.
 */
#include "postgres.h"

#include "memory_changes.h"

#include "memory_lock.h"
#include "memory_read.h"
#include "ring.h"
#include "store.h"

#define FIRST_BYTES 8  /* a member of the room, of a ring that begins */
#define MOST_BYTES  32 /* of one that grew: a whole list is about as cheap as what is older */

/*
 * Few sizes: of each that is less than 8 kB the area keeps 64 kB when the last one is freed. Those
 * of more are whole pages.
 */
static const Size ring_sizes[] = {512, 2048, 16000, 64000};

typedef struct Question
{
	const int64 *known;
	bool counted;
	Size ring_size; /* that the room's ring should have; 0: it is right */
	RoomChanges *changes;
} Question;

static Size
first_size(const RoomEntry *room)
{
	Size size = ring_sizes[0];

	for (size_t i = 1; i < lengthof(ring_sizes); i++)
		if (ring_sizes[i] <= (Size) room->nmembers * FIRST_BYTES)
			size = ring_sizes[i];
	return size;
}

static Size
next_size(const RoomEntry *room)
{
	for (size_t i = 1; i < lengthof(ring_sizes); i++)
		if (ring_sizes[i] > room->ring->size && ring_sizes[i] <= (Size) room->nmembers * MOST_BYTES)
			return ring_sizes[i];
	return 0;
}

static Size
wanted_size(const RoomEntry *room, uint64 known)
{
	if (room->ring == NULL)
		return first_size(room);
	return ring_has_lost(room->ring, known) ? next_size(room) : 0;
}

static void
answer_changes(RoomEntry *room, bool mine, void *arg)
{
	Question *question = arg;
	RoomChanges *changes = question->changes;
	uint64 known = question->known ? (uint64) *question->known : 0;

	question->counted = !mine;
	changes->version = room ? (int64) room->version : 0;
	if (room == NULL || mine)
		return;
	if (room->ring != NULL && known <= room->version && ring_reaches(room->ring, known))
	{
		changes->known = true;
		changes->user_ids = ring_after(room->ring, known, &changes->n);
	}
	else
		question->ring_size = wanted_size(room, known);
}

static void
resize_ring(text *book_id, Size size)
{
	uint64 hash = memory_hash_of_room(book_id);
	LWLock *lock = memory_lock_of(hash);
	RoomEntry *room;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	room = memory_find_room(hash, store_room_presence(), book_id);
	if (room != NULL && room->ring == NULL)
		room->ring = ring_new(size, room->version);
	else if (room != NULL && room->ring->size < size)
		room->ring = ring_grow(room->ring, size);
	LWLockRelease(lock);
}

bool
memory_room_changes(text *book_id, const int64 *known, RoomChanges *changes)
{
	Question question = {.known = known, .changes = changes};

	*changes = (RoomChanges){0};
	if (!memory_is_adopted())
		return false;
	memory_ask_room(book_id, answer_changes, &question);
	if (question.ring_size > 0)
		resize_ring(book_id, question.ring_size);
	return question.counted;
}
