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
 * Drops connections whose lease ended at that time or before, of handles or of all up to
 * some hundred, and ends the presences that have no other; what
 * others hold locked is passed over. Returns the number of members removed, and the number of
 * connections dropped: without handles, there may be more if that is not 0.
 */
extern int members_expire(TimestampTz at, ArrayType *handles, int *dropped);

/* Deletes the presences of a user or of a book, with events for the open ones. */
extern int64 members_forget_user(text *user_id, TimestampTz now);
extern int64 members_forget_book(text *book_id, TimestampTz now);

#endif /* PRESENCE_MEMBERS_H */
