/*
 * connections.h
 *	  What holds presences open: the tabs and sockets of members, and their leases.
 *
 * With shared_preload_libraries they are in shared memory (connections_memory.c), without
 * it in the unlogged table presence.connection (connections_table.c); which, is decided when
 * the server starts, and nothing above this header knows it. All is seen as rows are:
 * what this transaction did, and what others committed.
 *
 * A connection may be a stand-in: nobody is heard on it, but it holds the presence open until
 * its lease ends, which is then the end of the presence, with that reason. Such are a closed
 * socket that lingers, a presence found without connections after a restart, and a
 * member whom only Pusher has seen. Stand-ins are not counted, can't be touched, and
 * yield to a connection.
 *
 * Locking. Who changes the connections of a member first calls connections_lock, and nobody
 * else changes them, or ends the presence, until this transaction, or the subtransaction, has
 * ended. Several members are locked in the order of book_id and user_id. Heartbeats lock nothing.
 */
#ifndef PRESENCE_CONNECTIONS_H
#define PRESENCE_CONNECTIONS_H

#include "utils/array.h"
#include "utils/timestamp.h"

#include "liveness.h"

/*
 * Locks a member. connection_id: a connection of that name will be opened, and there is
 * room for it from now on; raises 53200 if there is none, with nothing changed.
 */
extern LockResult connections_lock(MemberKey member, text *connection_id, bool wait);

/* What holds the presence of a member, as this transaction sees it. Needs no lock. */
extern Liveness connections_of(MemberKey member, Moment moment);

/* Opens a connection, or renews that with the name; returns its handle. The member is locked. */
extern int64 connections_open(MemberKey member, text *connection_id, HeldPresence presence,
							  int64 ttl, StandIn stand_in);

/* Closes one connection (NULL: all, with the stand-ins); returns what was closed. */
extern Liveness connections_close(MemberKey member, text *connection_id, Moment moment);
extern void connections_close_stand_ins(MemberKey member);

/* Closes what has ended; returns that. */
extern Liveness connections_close_ended(MemberKey member, Moment moment);

/* Closes one; linger > 0: it becomes a stand-in for so long. False: it is closed. */
extern bool connections_drop(const Connection *connection, int64 linger);

/* Heartbeats: false if the connection is unknown or its lease has ended. */
extern bool connections_touch(MemberKey member, text *connection_id);

/* Heartbeats of handles; returns those that are unknown or over, as a bigint[]. */
extern Datum connections_touch_many(ArrayType *handles);

/* Those of the handles that are connections, in the current memory context. */
extern Connection *connections_by_handles(ArrayType *handles, int *n);

/* Members of whom a lease has ended; up to max, *more if there may be others. */
extern MemberKey *connections_ended(Moment moment, int max, int *n, bool *more);

/* A stand-in for a presence that has nothing else. The member is locked. */
extern void connections_adopt(MemberKey member, HeldPresence presence, int64 lease);

/* All connections and stand-ins of the database, in the current memory context. */
extern Connection *connections_all(int64 *n);

/* What holds each presence of the database, likewise. */
extern Liveness *connections_sums(Moment moment, int64 *n);

/* How many connections, without stand-ins, have a lease that has not ended. */
extern int64 connections_count(Moment moment);

/* What holds the members of a room, to be looked up by presence_id. */
typedef struct RoomView RoomView;

extern RoomView *connections_view_room(text *book_id);
extern Liveness connections_in_view(RoomView *view, text *user_id, int64 presence_id);

/* Members in a room, if that is known without counting them. */
extern bool connections_member_count(text *book_id, int32 *count);

/*
 * A number that changes whenever the list of a room has; to be read before the list is. False:
 * nobody counts.
 */
extern bool connections_room_version(text *book_id, int64 *version);

/*
 * The same, and who has changed since a known version (NULL: none), in the current memory
 * context; it is remembered from the first call on.
 */
extern bool connections_room_changes(text *book_id, const int64 *known, RoomChanges *changes);

/* This transaction changes the list. The member is locked. */
extern void connections_list_changes(MemberKey member);

extern void connections_init(void);

#endif /* PRESENCE_CONNECTIONS_H */
