/*
 * beats.c
 *	  Heartbeats: who was heard when, in shared memory.
 *
 * One hash finds everything: a connection by its handle and by its name, a presence by
 * its id, a room by its book_id. Names are found by a digest of 126 bits, with a
 * seed that nobody outside knows: two that meet by chance are not to be expected.
 *
 * Called by liveness.c (heartbeats and reads), events.c (changes, at the end of their
 * transaction) and, for the worker, by leases.c. See beats.h for locks and lifetimes.
 */
#include "postgres.h"

#include "beats.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "lib/dshash.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "presence.h"

#define SEGMENT_SIZE (256 * 1024) /* to begin with */

/* The last bits of a key say of what. */
typedef enum KeyKind
{
	KEY_HANDLE,
	KEY_PRESENCE,
	KEY_NAME,
	KEY_ROOM
} KeyKind;

#define KEY_KIND_BITS 2

typedef struct IndexEntry
{
	BeatKey key;
	dsa_pointer target; /* invalid: memory ran out when it was made */
} IndexEntry;

/* At the start of the segment, before the area. */
typedef struct BeatsHeader
{
	Oid relid; /* of presence.connection, and the file its rows are in */
	Oid filenumber;
	uint64 seed[2];
	dshash_table_handle index;
	pg_atomic_uint32 ready;
	pg_atomic_uint64 fresh;         /* a stack of beats, linked by next_fresh */
	pg_atomic_uint64 next_version;  /* of any room; grows, also over restarts */
	pg_atomic_uint64 floor_version; /* of rooms that are not here; no smaller than theirs was */
} BeatsHeader;

/* The memory this process has mapped. */
static struct
{
	uint32 generation;
	dsm_segment *segment;
	BeatsHeader *header;
	dsa_area *area;
	dshash_table *index;
} mine;

/* presence.connection as this session sees it. */
static struct
{
	bool known;
	Oid relid;
	Oid filenumber;
	uint32 noticed; /* generation of a memory that was found to be of another file */
} table;

static dshash_parameters
index_parameters(void)
{
	return (dshash_parameters) DSHASH_BINARY_KEYS(sizeof(BeatKey), sizeof(IndexEntry),
												  shared_state->beats_tranche);
}

static void
forget_table(Datum arg pg_attribute_unused(), Oid relid)
{
	if (!OidIsValid(relid) || !OidIsValid(table.relid) || relid == table.relid)
		table.known = false;
}

void
beats_init(void)
{
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
}

static void
look_at_table(void)
{
	Oid namespace;
	HeapTuple tuple = NULL;

	if (table.known)
		return;
	table.known = true; /* before the look, which may find that it is not */
	namespace = get_namespace_oid("presence", true);
	table.relid = OidIsValid(namespace) ? get_relname_relid("connection", namespace) : InvalidOid;
	if (OidIsValid(table.relid))
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table.relid));
	table.filenumber = 0;
	if (HeapTupleIsValid(tuple))
	{
		table.filenumber = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);
	}
}

bool
beats_are_stale(bool *other)
{
	look_at_table();
	*other = table.relid != mine.header->relid;
	return *other || table.filenumber != mine.header->filenumber;
}

static void
unmap(void)
{
	if (mine.index != NULL)
		dshash_detach(mine.index);
	if (mine.area != NULL)
		dsa_detach(mine.area);
	if (mine.segment != NULL)
		dsm_detach(mine.segment);
	memset(&mine, 0, sizeof(mine));
}

static void *
area_place(dsm_segment *segment)
{
	return (char *) dsm_segment_address(segment) + MAXALIGN(sizeof(BeatsHeader));
}

/* In TopMemoryContext, with the lock that keeps the memory open. */
static void
map_segment(DatabaseSlot *slot)
{
	dshash_parameters parameters = index_parameters();

	mine.segment = dsm_attach(slot->beats_handle);
	if (mine.segment == NULL)
		return;
	dsm_pin_mapping(mine.segment);
	mine.header = dsm_segment_address(mine.segment);
	mine.area = dsa_attach_in_place(area_place(mine.segment), mine.segment);
	dsa_pin_mapping(mine.area);
	mine.index = dshash_attach(mine.area, &parameters, mine.header->index, NULL);
	mine.generation = pg_atomic_read_u32(&slot->beats_generation);
}

/* Maps the memory there is; false if there is none. */
static bool
map(DatabaseSlot *slot)
{
	uint32 generation = pg_atomic_read_u32(&slot->beats_generation);
	MemoryContext old;

	if (generation == 0)
		return false;
	if (mine.index != NULL && mine.generation == generation)
		return true;
	unmap();
	old = MemoryContextSwitchTo(TopMemoryContext);
	LWLockAcquire(slot->queue_lock, LW_SHARED);
	if (slot->dboid == MyDatabaseId && pg_atomic_read_u32(&slot->beats_generation) != 0)
		map_segment(slot);
	LWLockRelease(slot->queue_lock);
	MemoryContextSwitchTo(old);
	return mine.index != NULL;
}

BeatsMode
beats_mode(void)
{
	DatabaseSlot *slot = shared_use();
	bool other;

	if (slot == NULL || !map(slot))
		return BEATS_NONE;
	if (beats_are_stale(&other))
	{
		/* the worker has not seen it yet; if the rows are the same ones, they are behind */
		if (!other && table.noticed != mine.generation)
			beats_lost(slot);
		table.noticed = mine.generation;
		pg_atomic_write_u32(&slot->sweep, 1);
		shared_wake_worker(slot);
		return BEATS_NONE;
	}
	return pg_atomic_read_u32(&mine.header->ready) ? BEATS_READY : BEATS_LOADING;
}

static void
init_header(BeatsHeader *header)
{
	uint64 first = (uint64) GetCurrentTimestamp();

	look_at_table();
	header->relid = table.relid;
	header->filenumber = table.filenumber;
	if (!pg_strong_random(header->seed, sizeof(header->seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate a random seed")));
	pg_atomic_init_u32(&header->ready, 0);
	pg_atomic_init_u64(&header->fresh, InvalidDsaPointer);
	pg_atomic_init_u64(&header->floor_version, first);
	pg_atomic_init_u64(&header->next_version, first + 1);
}

void
beats_open(DatabaseSlot *slot)
{
	dshash_parameters parameters = index_parameters();
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Size place = MAXALIGN(sizeof(BeatsHeader));

	unmap();
	mine.segment = dsm_create(place + SEGMENT_SIZE, 0);
	dsm_pin_mapping(mine.segment);
	mine.header = dsm_segment_address(mine.segment);
	init_header(mine.header);
	mine.area = dsa_create_in_place(area_place(mine.segment), SEGMENT_SIZE,
									shared_state->beats_tranche, mine.segment);
	dsa_pin_mapping(mine.area);
	mine.index = dshash_create(mine.area, &parameters, NULL);
	mine.header->index = dshash_get_hash_table_handle(mine.index);
	MemoryContextSwitchTo(old);

	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	slot->beats_handle = dsm_segment_handle(mine.segment);
	mine.generation = shared_new_generation();
	pg_atomic_write_u32(&slot->beats_generation, mine.generation);
	LWLockRelease(slot->queue_lock);
}

void
beats_ready(void)
{
	pg_atomic_write_u32(&mine.header->ready, 1);
}

void
beats_lost(DatabaseSlot *slot)
{
	pg_atomic_write_u64(&slot->leases_from, (uint64) GetCurrentTimestamp());
}

void
beats_close(DatabaseSlot *slot)
{
	LWLockAcquire(slot->queue_lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&slot->beats_generation) != 0)
		beats_lost(slot);
	pg_atomic_write_u32(&slot->beats_generation, 0);
	LWLockRelease(slot->queue_lock);
}

static BeatKey
number_key(int64 number, KeyKind kind)
{
	return (BeatKey){.high = (uint64) number, .low = kind};
}

static KeyKind
kind_of(BeatKey key)
{
	return (KeyKind) (key.low & ((1 << KEY_KIND_BITS) - 1));
}

static uint64
hash_text(text *t, uint64 seed)
{
	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(t), (int) VARSIZE_ANY_EXHDR(t),
							   seed);
}

static BeatKey
text_key(text *const *parts, int n, KeyKind kind)
{
	BeatKey key = {mine.header->seed[0], mine.header->seed[1]};

	for (int i = 0; i < n; i++)
	{
		key.high = hash_text(parts[i], key.high);
		key.low = hash_text(parts[i], key.low);
	}
	key.low = (key.low << KEY_KIND_BITS) | kind;
	return key;
}

static BeatKey
name_key(text *user_id, text *book_id, text *connection_id)
{
	text *const parts[] = {user_id, book_id, connection_id};

	return text_key(parts, 3, KEY_NAME);
}

static BeatKey
room_key(text *book_id)
{
	return text_key(&book_id, 1, KEY_ROOM);
}

/* Entry of a key, with its lock held; or NULL. */
static IndexEntry *
find_entry(BeatKey key, bool exclusive)
{
	IndexEntry *entry = dshash_find(mine.index, &key, exclusive);

	if (entry != NULL && !DsaPointerIsValid(entry->target))
	{
		dshash_release_lock(mine.index, entry);
		return NULL;
	}
	return entry;
}

/* The same, made if missing, with size bytes of zeros for its target. */
static IndexEntry *
make_entry(BeatKey key, Size size, bool *found)
{
	IndexEntry *entry = dshash_find_or_insert(mine.index, &key, found);

	if (!*found)
		entry->target = InvalidDsaPointer;
	*found = DsaPointerIsValid(entry->target);
	if (!*found && size > 0)
		entry->target = dsa_allocate0(mine.area, size);
	return entry;
}

static void
release_entry(IndexEntry *entry)
{
	dshash_release_lock(mine.index, entry);
}

static void *
target_of(const IndexEntry *entry)
{
	return dsa_get_address(mine.area, entry->target);
}

static void
rise_to(pg_atomic_uint64 *value, uint64 to)
{
	uint64 now = pg_atomic_read_u64(value);

	while (now < to && !pg_atomic_compare_exchange_u64(value, &now, to))
		;
}

static void
hear(Beat *beat, TimestampTz at)
{
	rise_to(&beat->last_active, (uint64) at);
	if (DsaPointerIsValid(beat->stay))
	{
		Stay *stay = dsa_get_address(mine.area, beat->stay);

		rise_to(&stay->last_active, (uint64) at);
	}
}

/* *instead: another handle to try, if the connection is not committed yet; or 0. */
static bool
touch_entry(BeatKey key, TimestampTz now, int64 *instead)
{
	IndexEntry *entry = find_entry(key, false);
	bool alive;
	Beat *beat;

	*instead = 0;
	if (entry == NULL)
		return false;
	beat = target_of(entry);
	if (beat_state(beat) == BEAT_NONE)
		*instead = beat->instead_of;
	alive =
		beat_state(beat) == BEAT_ACTIVE && (TimestampTz) pg_atomic_read_u64(&beat->expires) > now;
	if (alive)
	{
		hear(beat, now);
		rise_to(&beat->expires, (uint64) now + pg_atomic_read_u64(&beat->ttl));
	}
	release_entry(entry);
	return alive;
}

bool
beats_touch(int64 handle, TimestampTz now)
{
	int64 instead;

	return touch_entry(number_key(handle, KEY_HANDLE), now, &instead);
}

bool
beats_touch_name(text *user_id, text *book_id, text *connection_id, TimestampTz now)
{
	int64 instead;

	return touch_entry(name_key(user_id, book_id, connection_id), now, &instead) ||
		   (instead != 0 && beats_touch(instead, now));
}

bool
beats_of_connection(int64 handle, TimestampTz *last_active, TimestampTz *expires)
{
	IndexEntry *entry = find_entry(number_key(handle, KEY_HANDLE), false);
	Beat *beat;

	if (entry == NULL)
		return false;
	beat = target_of(entry);
	*last_active = (TimestampTz) pg_atomic_read_u64(&beat->last_active);
	*expires = (TimestampTz) pg_atomic_read_u64(&beat->expires);
	release_entry(entry);
	return true;
}

bool
beats_of_presence(int64 presence_id, int32 *connections, TimestampTz *last_active)
{
	IndexEntry *entry = find_entry(number_key(presence_id, KEY_PRESENCE), false);
	Stay *stay;

	if (entry == NULL)
		return false;
	stay = target_of(entry);
	*connections = (int32) pg_atomic_read_u32(&stay->connections);
	*last_active = (TimestampTz) pg_atomic_read_u64(&stay->last_active);
	release_entry(entry);
	return true;
}

int64
beats_room_version(text *book_id)
{
	IndexEntry *entry = find_entry(room_key(book_id), false);
	RoomVersion *room;
	uint64 version;

	if (entry == NULL)
		return (int64) pg_atomic_read_u64(&mine.header->floor_version);
	room = target_of(entry);
	version = pg_atomic_read_u64(&room->version);
	release_entry(entry);
	return (int64) version;
}

/* A presence's, with one more beat that points to it. */
static dsa_pointer
use_stay(int64 presence_id)
{
	BeatKey key = number_key(presence_id, KEY_PRESENCE);
	bool found;
	IndexEntry *entry = make_entry(key, sizeof(Stay), &found);
	dsa_pointer pointer = entry->target;
	Stay *stay = target_of(entry);

	if (!found)
	{
		stay->key = key;
		pg_atomic_init_u32(&stay->connections, 0);
		pg_atomic_init_u64(&stay->last_active, 0);
	}
	stay->beats++;
	release_entry(entry);
	return pointer;
}

static void
leave_stay(dsa_pointer pointer)
{
	Stay *stay = dsa_get_address(mine.area, pointer);
	IndexEntry *entry = find_entry(stay->key, true);

	if (--stay->beats > 0)
	{
		release_entry(entry);
		return;
	}
	dshash_delete_entry(mine.index, entry);
	dsa_free(mine.area, pointer);
}

static void
init_beat(Beat *beat, BeatKey key, int64 handle)
{
	beat->key = key;
	beat->handle = handle;
	beat->stay = InvalidDsaPointer;
	pg_atomic_init_u32(&beat->pins, 0);
	pg_atomic_init_u64(&beat->word, BEAT_NONE);
	pg_atomic_init_u64(&beat->last_active, 0);
	pg_atomic_init_u64(&beat->expires, 0);
	pg_atomic_init_u64(&beat->ttl, 0);
	pg_atomic_init_u64(&beat->written, 0);
	pg_atomic_init_flag(&beat->fresh);
}

/* The beat of a handle, pinned; a presence_id of 0 leaves it without a stay. */
static dsa_pointer
pin_beat(int64 handle, int64 presence_id, bool make, uint64 *ticket)
{
	BeatKey key = number_key(handle, KEY_HANDLE);
	dsa_pointer stay = presence_id ? use_stay(presence_id) : InvalidDsaPointer;
	bool found = true;
	IndexEntry *entry = make ? make_entry(key, sizeof(Beat), &found) : find_entry(key, true);
	dsa_pointer pointer;
	Beat *beat;

	if (entry == NULL)
		return InvalidDsaPointer;
	pointer = entry->target;
	beat = target_of(entry);
	if (!found)
		init_beat(beat, key, handle);
	if (!DsaPointerIsValid(beat->stay))
	{
		beat->stay = stay;
		stay = InvalidDsaPointer;
	}
	if (DsaPointerIsValid(beat->stay))
		(void) dsa_get_address(mine.area, beat->stay); /* maps it */
	*ticket = ++beat->tickets;
	pg_atomic_fetch_add_u32(&beat->pins, 1);
	release_entry(entry);
	if (DsaPointerIsValid(stay))
		leave_stay(stay);
	return pointer;
}

/* Lets a name find a beat; one that it finds already is kept, unless it is to be replaced. */
static void
name_beat(BeatKey name, dsa_pointer pointer, bool replace)
{
	Beat *beat = dsa_get_address(mine.area, pointer);
	bool found;
	IndexEntry *entry = make_entry(name, 0, &found);

	if (found && replace && entry->target != pointer)
		beat->instead_of = ((Beat *) target_of(entry))->handle;
	if (!found || replace)
		entry->target = pointer;
	beat->name = name;
	release_entry(entry);
}

/* Puts a pinned beat where the worker looks. */
static void
push_fresh(Beat *beat, dsa_pointer pointer)
{
	uint64 top;

	pg_memory_barrier();
	if (!pg_atomic_test_set_flag(&beat->fresh))
		return;
	top = pg_atomic_read_u64(&mine.header->fresh);
	do
		beat->next_fresh = top;
	while (!pg_atomic_compare_exchange_u64(&mine.header->fresh, &top, pointer));
}

/* The name goes back to the connection that had it. */
static void
give_name_back(Beat *beat, dsa_pointer pointer)
{
	uint64 ticket;
	dsa_pointer before = pin_beat(beat->instead_of, 0, false, &ticket);
	IndexEntry *entry;

	if (!DsaPointerIsValid(before))
		return;
	entry = find_entry(beat->name, true);
	if (entry != NULL)
	{
		if (entry->target == pointer)
			entry->target = before;
		release_entry(entry);
	}
	push_fresh(dsa_get_address(mine.area, before), before);
	pg_atomic_fetch_sub_u32(&((Beat *) dsa_get_address(mine.area, before))->pins, 1);
}

Beat *
beats_take_fresh(void)
{
	static uint32 generation = 0;
	static dsa_pointer next = InvalidDsaPointer;
	Beat *beat;

	if (generation != mine.generation || !DsaPointerIsValid(next))
		next = pg_atomic_exchange_u64(&mine.header->fresh, InvalidDsaPointer);
	generation = mine.generation;
	if (!DsaPointerIsValid(next))
		return NULL;
	beat = dsa_get_address(mine.area, next);
	next = beat->next_fresh;
	pg_atomic_clear_flag(&beat->fresh);
	pg_memory_barrier(); /* what changes from here on is pushed again */
	return beat;
}

/*
 * The state that a change leads to, unless a later one was faster: a transaction may
 * be slow to say that it is committed, and others have gone on from what it did.
 */
static bool
advance(Beat *beat, uint64 ticket, BeatState state)
{
	uint64 word = pg_atomic_read_u64(&beat->word);
	BeatState before;

	do
	{
		if ((word >> 8) > ticket)
			return false;
		before = (BeatState) (word & 0xff);
	} while (!pg_atomic_compare_exchange_u64(&beat->word, &word, ticket << 8 | state));

	if (DsaPointerIsValid(beat->stay) && (before == BEAT_ACTIVE) != (state == BEAT_ACTIVE))
	{
		Stay *stay = dsa_get_address(mine.area, beat->stay);

		pg_atomic_fetch_add_u32(&stay->connections, state == BEAT_ACTIVE ? 1 : -1);
	}
	return true;
}

static void
pin_room(BeatChange *change)
{
	BeatKey key = room_key(change->book_id);
	bool found;
	IndexEntry *entry = make_entry(key, sizeof(RoomVersion), &found);
	RoomVersion *room = target_of(entry);

	if (!found)
	{
		room->key = key;
		pg_atomic_init_u32(&room->pins, 0);
		pg_atomic_init_u64(&room->version, pg_atomic_read_u64(&mine.header->floor_version));
		pg_atomic_init_u64(&room->changed_at, (uint64) presence_now());
	}
	pg_atomic_fetch_add_u32(&room->pins, 1);
	release_entry(entry);
	change->room = room;
}

void
beats_prepare(BeatChange *change, BeatsMode mode)
{
	if (change->kind == BEAT_ROOM)
	{
		pin_room(change);
		return;
	}
	/* while loading, it says that the row is not as the worker may still read it */
	change->beat_pointer =
		pin_beat(change->handle, change->presence_id,
				 change->kind == BEAT_OPEN || mode == BEATS_LOADING, &change->ticket);
	if (!DsaPointerIsValid(change->beat_pointer))
		return;
	change->beat = dsa_get_address(mine.area, change->beat_pointer);
	if (change->kind == BEAT_OPEN && change->connection_id != NULL)
		name_beat(name_key(change->user_id, change->book_id, change->connection_id),
				  change->beat_pointer, true);
}

static BeatState
state_after(const BeatChange *change)
{
	if (change->kind == BEAT_CLOSE)
		return BEAT_GONE;
	return change->kind == BEAT_OPEN && change->connection_id ? BEAT_ACTIVE : BEAT_STAND_IN;
}

static void
set_lease(Beat *beat, const BeatChange *change)
{
	TimestampTz expires = change->expires;

	if (change->kind == BEAT_OPEN)
	{
		hear(beat, change->last_active);
		rise_to(&beat->written, (uint64) change->last_active);
		pg_atomic_write_u64(&beat->ttl, (uint64) change->ttl);
		/* it may have been heard since the join that is committed only now */
		expires = Max(expires, (TimestampTz) pg_atomic_read_u64(&beat->last_active) + change->ttl);
	}
	pg_atomic_write_u64(&beat->expires, (uint64) expires);
}

static void
change_room(RoomVersion *room)
{
	rise_to(&room->version, pg_atomic_fetch_add_u64(&mine.header->next_version, 1));
	pg_atomic_write_u64(&room->changed_at, (uint64) presence_now());
	pg_atomic_fetch_sub_u32(&room->pins, 1);
}

void
beats_finish(BeatChange *change)
{
	Beat *beat = change->beat;

	if (change->room != NULL)
		change_room(change->room);
	if (beat == NULL)
		return;
	if (advance(beat, change->ticket, state_after(change)) && change->kind != BEAT_CLOSE)
		set_lease(beat, change);
	push_fresh(beat, change->beat_pointer);
	pg_atomic_fetch_sub_u32(&beat->pins, 1);
}

void
beats_cancel(BeatChange *change)
{
	if (change->room != NULL)
		pg_atomic_fetch_sub_u32(&change->room->pins, 1);
	if (change->beat == NULL)
		return;
	if (change->beat->instead_of != 0 && beat_state(change->beat) == BEAT_NONE)
		give_name_back(change->beat, change->beat_pointer);
	push_fresh(change->beat, change->beat_pointer); /* it may be good for nothing */
	pg_atomic_fetch_sub_u32(&change->beat->pins, 1);
}

void
beats_load(BeatChange *row)
{
	uint64 untouched = BEAT_NONE;
	Beat *beat;

	row->beat_pointer = pin_beat(row->handle, row->presence_id, true, &row->ticket);
	beat = dsa_get_address(mine.area, row->beat_pointer);
	if (pg_atomic_read_u64(&beat->word) == untouched && advance(beat, 0, state_after(row)))
		set_lease(beat, row);
	else
	{
		rise_to(&beat->last_active, (uint64) row->last_active);
		rise_to(&beat->expires, (uint64) row->expires);
	}
	if (row->connection_id != NULL)
		name_beat(name_key(row->user_id, row->book_id, row->connection_id), row->beat_pointer,
				  false);
	push_fresh(beat, row->beat_pointer);
	pg_atomic_fetch_sub_u32(&beat->pins, 1);
}

Beat *
beats_find(int64 handle)
{
	IndexEntry *entry = find_entry(number_key(handle, KEY_HANDLE), false);
	Beat *beat = entry ? target_of(entry) : NULL;

	if (entry != NULL)
		release_entry(entry);
	return beat;
}

bool
beats_forget(Beat *beat)
{
	IndexEntry *entry = find_entry(beat->key, true);
	dsa_pointer pointer;
	bool pinned;

	if (entry == NULL)
		elog(ERROR, "the beat of handle " INT64_FORMAT " is not there", beat->handle);
	pointer = entry->target;
	pinned = pg_atomic_read_u32(&beat->pins) > 0;
	pg_read_barrier(); /* who unpins has pushed it before */
	if (pinned || !pg_atomic_unlocked_test_flag(&beat->fresh))
	{
		release_entry(entry);
		return false;
	}
	dshash_delete_entry(mine.index, entry);

	entry = find_entry(beat->name, true);
	if (entry != NULL && entry->target == pointer)
		dshash_delete_entry(mine.index, entry);
	else if (entry != NULL)
		release_entry(entry);
	if (DsaPointerIsValid(beat->stay))
		leave_stay(beat->stay);
	dsa_free(mine.area, pointer);
	return true;
}

int64 *
beats_heard(int *n)
{
	int max = 64;
	int64 *handles = palloc(sizeof(int64) * max);
	dshash_seq_status status;
	IndexEntry *entry;

	*n = 0;
	dshash_seq_init(&status, mine.index, false);
	while ((entry = dshash_seq_next(&status)) != NULL)
	{
		Beat *beat;

		if (kind_of(entry->key) != KEY_HANDLE || !DsaPointerIsValid(entry->target))
			continue;
		beat = target_of(entry);
		if (pg_atomic_read_u64(&beat->last_active) <= pg_atomic_read_u64(&beat->written))
			continue;
		if (*n == max)
			handles = repalloc_huge(handles, sizeof(int64) * (Size) (max *= 2));
		handles[(*n)++] = beat->handle;
	}
	dshash_seq_term(&status);
	return handles;
}

void
beats_forget_rooms(TimestampTz before)
{
	dshash_seq_status status;
	IndexEntry *entry;

	dshash_seq_init(&status, mine.index, true);
	while ((entry = dshash_seq_next(&status)) != NULL)
	{
		RoomVersion *room;

		if (kind_of(entry->key) != KEY_ROOM || !DsaPointerIsValid(entry->target))
			continue;
		room = target_of(entry);
		if (pg_atomic_read_u32(&room->pins) == 0 &&
			(TimestampTz) pg_atomic_read_u64(&room->changed_at) < before)
		{
			dsa_pointer pointer = entry->target;

			rise_to(&mine.header->floor_version, pg_atomic_read_u64(&room->version));
			dshash_delete_current(&status);
			dsa_free(mine.area, pointer);
		}
	}
	dshash_seq_term(&status);
}
