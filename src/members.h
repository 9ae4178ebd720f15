/*
 * members.h
 *	  Many presences at once, a handful of statements in all.
 *
 * All functions are called with the store open.
 */
#ifndef PRESENCE_MEMBERS_H
#define PRESENCE_MEMBERS_H

#include "utils/array.h"
#include "utils/timestamp.h"

#include "member.h"

/* What member_join does, for many; the results in the order of the requests. */
extern void members_join(const JoinRequest *joins, int n, TimestampTz now, Joined *joined);

/* Ends all presences of a room; returns their number. */
extern int members_empty_room(text *book_id, TimestampTz now);

/* Closes sockets, with presence.linger; returns the number of members removed. */
extern int members_drop(ArrayType *handles, TimestampTz now);

/*
 * Ends up to limit presences whose last lease ended at that time or before;
 * those that others hold locked are passed over. Returns the number of members
 * removed, and in *examined of those looked at: if it is limit, more may be left.
 */
extern int members_expire(TimestampTz at, int limit, int *examined);

/* Deletes the presences of a user or of a book, with events for the open ones. */
extern int64 members_forget_user(text *user_id, TimestampTz now);
extern int64 members_forget_book(text *book_id, TimestampTz now);

#endif /* PRESENCE_MEMBERS_H */
