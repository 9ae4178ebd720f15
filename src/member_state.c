/*
 * member_state.c
 *	  What is known of a member, and how it is told.
 *
 * Called by member.c and members.c, and by the SQL functions that read.
 */
#include "postgres.h"

#include "member_state.h"

#include "access/xlog.h"

#include "outbox.h"

void
member_tell(EventKind kind, const Presence *presence, const char *reason, TimestampTz at)
{
	Event event = {.kind = kind,
				   .presence_id = presence->id,
				   .user_id = presence->member.user_id,
				   .book_id = presence->member.book_id,
				   .user_info = presence->user_info,
				   .is_author = presence->is_author,
				   .reason = reason,
				   .at = at};

	connections_list_changes(presence->member);
	event_emit(&event);
	outbox_tell(&event);
}

Liveness
member_liveness(const Presence *presence)
{
	Liveness liveness = {0};

	if (!RecoveryInProgress())
		liveness = connections_of(presence->member, moment_now());
	if (liveness.presence.id != presence->id)
		liveness = (Liveness){0};
	return liveness;
}

TimestampTz
member_last_active(const Presence *presence, const Liveness *liveness)
{
	if (liveness->total == 0)
		return presence->last_active_at;
	return Max(presence->last_active_at, liveness->last_active);
}

/* One by one, without those whose leases are over. */
static int32
count_alive(text *book_id, bool latest)
{
	RoomView *view = connections_view_room(book_id);
	Presences presences = presences_of_room(book_id, latest);
	int32 count = 0;

	for (int i = 0; i < presences.n; i++)
	{
		Liveness liveness =
			connections_in_view(view, presences.list[i].member.user_id, presences.list[i].id);

		count += liveness.total == 0 || liveness.alive;
	}
	return count;
}

int32
member_count(text *book_id, int32 limit, bool latest)
{
	int32 count;

	if (connections_member_count(book_id, &count))
		return count;
	if (RecoveryInProgress())
		return presences_count(book_id, limit, latest);
	if (limit > 0 && (count = presences_count(book_id, limit, latest)) < limit)
		return count;
	return count_alive(book_id, latest);
}

const char *
member_reason(const Liveness *liveness)
{
	return liveness->stand_in == STAND_IN_LEFT ? "left" : "timeout";
}

/*
 * When a presence has ended whose leases are over. That is when the last one ended; a clock that
 * was set back does not make it the future.
 */
TimestampTz
member_lease_end(const Liveness *liveness, Moment moment)
{
	return Min(liveness->lease_end, Max(moment.at, GetCurrentTimestamp()));
}
