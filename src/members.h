/*
 * members.h
 *	  Many members at once.
 *
 * All functions are called with the store open. They lock the members they change.
 */
#ifndef PRESENCE_MEMBERS_H
#define PRESENCE_MEMBERS_H

#include "utils/array.h"

#include "liveness.h"
#include "member.h"

/*
 * What member_join does, for many; the results in the order of the requests. skip_locked: who
 * is being changed by another transaction comes back busy.
 */
extern void members_join(const JoinRequest *joins, int n, bool skip_locked, Joined *joined);

/* Closes sockets, with presence.linger; returns the number of members removed. */
extern int members_drop(ArrayType *handles);

/* Ends all presences of a room; returns their number. */
extern int members_empty_room(text *book_id);

/*
 * Ends the presences of some members whose leases have all ended, but of those that are locked.
 * Returns the number of members removed.
 */
extern int members_expire(MemberKey *members, int n, Moment moment);

/*
 * Stand-ins for up to limit open presences that nothing holds, after a member; true: that is all.
 * busy is set if some may be without one since a transaction holds them.
 */
extern bool members_adopt(MemberKey *after, int limit, int64 lease, bool *busy);

/* Deletes the presences of a user or of a book, with events for the open ones. */
extern int64 members_forget_user(text *user_id);
extern int64 members_forget_book(text *book_id);

#endif /* PRESENCE_MEMBERS_H */
