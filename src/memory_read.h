/*
 * memory_read.h
 *	  What is read of connections in shared memory: of a member, of a room, of all.
 */
#ifndef PRESENCE_MEMORY_READ_H
#define PRESENCE_MEMORY_READ_H

#include "connections_methods.h"
#include "memory.h"

/* The clock and the monotonic one differ by more only if somebody has set the clock. */
#define CLOCK_SKEW (1 * USECS_PER_SEC)

/* With the room's lock held. */
extern bool memory_is_over(ConnectionEntry *connection, Moment moment);
extern void memory_add_to(Liveness *liveness, ConnectionEntry *connection, Moment moment);
extern Connection memory_describe(ConnectionEntry *entry);
extern text *memory_copy_text(text *value);
extern bool memory_is_of_this_extension(RoomEntry *room);

/* Whether memory has all open presences of the database. */
extern bool memory_is_adopted(void);

/*
 * Calls what is asked of a room with its lock held, after what has ended was settled; room is
 * NULL where there is none, and mine says whether this transaction is changing it.
 */
typedef void (*RoomQuestion)(RoomEntry *room, bool mine, void *answer);

extern void memory_ask_room(text *book_id, RoomQuestion question, void *answer);

/* connections_of and its like. */
extern Liveness memory_liveness_of(MemberKey key, Moment moment);
extern Connection *memory_all_connections(int64 *n);
extern Liveness *memory_all_sums(Moment moment, int64 *n);
extern int64 memory_count_live(Moment moment);
extern RoomView *memory_view_room(text *book_id);
extern Liveness memory_in_view(RoomView *view, text *user_id, int64 presence_id);
extern bool memory_member_count(text *book_id, int32 *count);
extern bool memory_room_version(text *book_id, int64 *version);

#endif /* PRESENCE_MEMORY_READ_H */
