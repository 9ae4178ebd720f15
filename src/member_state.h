/*
 * member_state.h
 *	  What is known of a member, and how it is told. With the store open.
 */
#ifndef PRESENCE_MEMBER_STATE_H
#define PRESENCE_MEMBER_STATE_H

#include "connections.h"
#include "events.h"
#include "presences.h"

/* Tells of a change of a member. */
extern void member_tell(EventKind kind, const Presence *presence, const char *reason,
						TimestampTz at);

/* Of a presence whose leases have all ended: the reason, and when it did. */
extern const char *member_reason(const Liveness *liveness);
extern TimestampTz member_lease_end(const Liveness *liveness, Moment moment);

/* What holds a presence open: nothing, if that is another presence of the member. */
extern Liveness member_liveness(const Presence *presence);
extern TimestampTz member_last_active(const Presence *presence, const Liveness *liveness);

/*
 * Members of a room, or limit if that is less (0: no limit). latest: as of now, for a join, and not
 * as the caller's snapshot has it.
 */
extern int32 member_count(text *book_id, int32 limit, bool latest);

#endif /* PRESENCE_MEMBER_STATE_H */
