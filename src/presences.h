/*
 * presences.h
 *	  The table presence.room_presence: what reads it, and what deletes from it.
 *
 * All functions are called with the store open. What is returned is in SPI's memory until the
 * store is closed.
 */
#ifndef PRESENCE_PRESENCES_H
#define PRESENCE_PRESENCES_H

#include "presence_rows.h"

/* The open presence of a member, as of now. Also without the store. */
extern bool presence_find(MemberKey member, Presence *presence);

/* The same for the caller, who may have an older snapshot. */
extern bool presence_find_for_caller(MemberKey member, Presence *presence);

/* Whether another transaction, which still runs, has inserted one. Also without the store. */
extern bool presence_is_being_inserted(MemberKey member);

/* The open presences of a room, or of a user, oldest first; latest: as of now, not for the caller.
 */
extern Presences presences_of_room(text *book_id, bool latest);
extern Presences presences_of_user(text *user_id, bool latest);

/* Those of some members of a room as of now, in their order; id 0: none is open. */
extern Presences presences_of_members(text *book_id, text **user_ids, int n);

/* Their number, or limit if that is less; 0: no limit. latest: as above. */
extern int32 presences_count(text *book_id, int32 limit, bool latest);
extern int64 presences_count_all(void);

/* Open presences in the order of book_id and user_id, after a member (NULL: from the start). */
extern Presences presences_after(MemberKey member, int limit);

/* Whether the table is a subscriber's of logical replication: then others end what they began. */
extern bool presences_come_by_replication(void);

/* Deletes those of a user or of a book, open and past; returns those that were open. */
extern Presences presences_forget_user(text *user_id, int64 *forgotten);
extern Presences presences_forget_book(text *book_id, int64 *forgotten);

/* Deletes all that ended before; returns how many. */
extern int64 presences_purge(TimestampTz before);

/* Deletes some that have ended. */
extern void presences_delete(const Presence *presences, int n);

#endif /* PRESENCE_PRESENCES_H */
