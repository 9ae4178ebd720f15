/*
 * queue.c
 *	  The ring of a database: events on their way from transactions to the worker.
 *
 * Called by events.c, before commit, and by publisher.c. See queue.h for what
 * the lock guards; it is held to copy bytes, never to wait or to allocate.
 */
#include "postgres.h"

#include "queue.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/dsm.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "presence.h"

/* Positions only grow; modulo size they are places in data. */
typedef struct Ring
{
	uint64 size;
	uint64 head; /* where the next entry goes */
	uint64 tail; /* where the oldest is */
	char data[FLEXIBLE_ARRAY_MEMBER];
} Ring;

/* Followed by three strings, each with its zero. */
typedef struct EntryHeader
{
	uint32 channel_len;
	uint32 name_len;
	uint32 rest_len;
	TransactionId xid;
} EntryHeader;

/* The ring this process has mapped. */
static struct
{
	dsm_segment *segment;
	uint32 generation;
} mapped;

static void
ring_write(Ring *ring, const void *bytes, uint64 len)
{
	uint64 at = ring->head % ring->size;
	uint64 first = Min(len, ring->size - at);

	memcpy(ring->data + at, bytes, first);
	memcpy(ring->data, (const char *) bytes + first, len - first);
	ring->head += len;
}

static EntryHeader
header_of(const QueuedEvent *event)
{
	return (EntryHeader){.channel_len = strlen(event->channel) + 1,
						 .name_len = strlen(event->name) + 1,
						 .rest_len = strlen(event->rest) + 1,
						 .xid = event->xid};
}

static uint64
entry_size(const EntryHeader *header)
{
	return sizeof(EntryHeader) + header->channel_len + header->name_len + header->rest_len;
}

static void
append_entry(Ring *ring, const QueuedEvent *event)
{
	EntryHeader header = header_of(event);

	ring_write(ring, &header, sizeof(header));
	ring_write(ring, event->channel, header.channel_len);
	ring_write(ring, event->name, header.name_len);
	ring_write(ring, event->rest, header.rest_len);
}

/* Maps the current ring, if it is not; false if there is none. */
static bool
map_ring(DatabaseSlot *slot)
{
	dsm_handle handle;
	uint32 generation;

	LWLockAcquire(slot->queue_lock, LW_SHARED);
	handle = slot->queue_handle;
	generation = slot->queue_generation;
	LWLockRelease(slot->queue_lock);

	if (mapped.segment != NULL && mapped.generation != generation)
	{
		dsm_detach(mapped.segment);
		mapped.segment = NULL;
	}
	if (handle == DSM_HANDLE_INVALID)
		return false;
	if (mapped.segment == NULL)
	{
		mapped.segment = dsm_attach(handle);
		if (mapped.segment == NULL)
			return false; /* its worker just ended */
		dsm_pin_mapping(mapped.segment);
		mapped.generation = generation;
	}
	return true;
}

static QueueResult
append_all(DatabaseSlot *slot, dlist_head *events, uint64 size, uint64 n)
{
	Ring *ring = dsm_segment_address(mapped.segment);
	dlist_iter iter;

	if (slot->dboid != MyDatabaseId || slot->queue_handle == DSM_HANDLE_INVALID ||
		slot->queue_generation != mapped.generation)
		return QUEUE_CLOSED;
	if (size > ring->size - (ring->head - ring->tail))
		return QUEUE_FULL;
	dlist_foreach (iter, events)
		append_entry(ring, dlist_container(QueuedEvent, node, iter.cur));
	pg_atomic_fetch_add_u64(&slot->unpublished, (int64) n);
	return QUEUE_APPENDED;
}

QueueResult
queue_append(DatabaseSlot *slot, dlist_head *events, uint32 *generation)
{
	QueueResult result;
	uint64 size = 0;
	uint64 n = 0;
	dlist_iter iter;

	dlist_foreach (iter, events)
	{
		QueuedEvent *event = dlist_container(QueuedEvent, node, iter.cur);
		EntryHeader header;

		event->xid = GetTopTransactionId();
		header = header_of(event);
		size += entry_size(&header);
		n++;
	}
	if (!map_ring(slot))
		return QUEUE_CLOSED;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	result = append_all(slot, events, size, n);
	LWLockRelease(slot->queue_lock);
	*generation = mapped.generation;
	return result;
}

bool
queue_is_current(DatabaseSlot *slot, uint32 generation)
{
	return slot->queue_handle != DSM_HANDLE_INVALID && slot->queue_generation == generation;
}

void
queue_open(DatabaseSlot *slot)
{
	Size size = (Size) presence_event_queue_size * 1024;
	dsm_segment *segment = dsm_create(offsetof(Ring, data) + size, 0);
	Ring *ring = dsm_segment_address(segment);

	dsm_pin_mapping(segment);
	ring->size = size;
	ring->head = 0;
	ring->tail = 0;

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	slot->queue_handle = dsm_segment_handle(segment);
	slot->queue_generation = shared_new_generation();
	mapped.segment = segment;
	mapped.generation = slot->queue_generation;
	LWLockRelease(slot->queue_lock);
}

void
queue_close(DatabaseSlot *slot)
{
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	slot->queue_handle = DSM_HANDLE_INVALID;
	LWLockRelease(slot->queue_lock);
}

/* Copies what is in the ring, and empties it. */
static char *
take_bytes(DatabaseSlot *slot, uint64 *len)
{
	Ring *ring = dsm_segment_address(mapped.segment);
	char *bytes = NULL;
	uint64 room;

	/* the size is known only under the lock, where nothing is allocated */
	LWLockAcquire(slot->queue_lock, LW_SHARED);
	room = ring->head - ring->tail;
	LWLockRelease(slot->queue_lock);
	*len = room;
	if (room == 0)
		return NULL;
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, room);

	/* only this process moves tail, so these bytes are still there */
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	{
		uint64 at = ring->tail % ring->size;
		uint64 first = Min(room, ring->size - at);

		memcpy(bytes, ring->data + at, first);
		memcpy(bytes + first, ring->data, room - first);
		ring->tail += room;
	}
	LWLockRelease(slot->queue_lock);
	return bytes;
}

static char *
take_string(const char **at, uint32 len)
{
	char *s = pnstrdup(*at, len - 1);

	*at += len;
	return s;
}

void
queue_drain(DatabaseSlot *slot, dlist_head *events)
{
	uint64 len;
	char *bytes = take_bytes(slot, &len);
	const char *at = bytes;

	while (at < bytes + len)
	{
		QueuedEvent *event = palloc(sizeof(QueuedEvent));
		EntryHeader header;

		memcpy(&header, at, sizeof(header));
		at += sizeof(header);
		event->xid = header.xid;
		event->channel = take_string(&at, header.channel_len);
		event->name = take_string(&at, header.name_len);
		event->rest = take_string(&at, header.rest_len);
		dlist_push_tail(events, &event->node);
	}
	if (bytes)
		pfree(bytes);
}
