/*
 * liveness.c
 *	  Connections and leases as values: what holds a presence open, at a moment.
 */
#include "postgres.h"

#include "liveness.h"

#include "settings.h"

/* So far away that it stands for infinity. */
#define FAR_AWAY (INT64CONST(1000) * 365 * USECS_PER_DAY)

Moment
moment_now(void)
{
	return (Moment){.at = presence_now(), .mono = presence_monotonic()};
}

Moment
moment_at(TimestampTz at)
{
	int64 distance = TIMESTAMP_IS_NOBEGIN(at) ? -FAR_AWAY
					 : TIMESTAMP_IS_NOEND(at) ? FAR_AWAY
											  : at - GetCurrentTimestamp();

	distance = Max(Min(distance, FAR_AWAY), -FAR_AWAY);
	return (Moment){.at = at, .mono = presence_monotonic() + distance, .by_clock = true};
}

void
liveness_add(Liveness *liveness, HeldPresence presence, StandIn stand_in, TimestampTz last_active,
			 TimestampTz lease_end, bool over)
{
	if (liveness->total == 0 || last_active > liveness->last_active)
		liveness->last_active = last_active;
	if (liveness->total == 0 || lease_end > liveness->lease_end)
	{
		liveness->lease_end = lease_end;
		liveness->stand_in = stand_in;
	}
	liveness->total++;
	liveness->connections += stand_in == NO_STAND_IN;
	liveness->live += stand_in == NO_STAND_IN && !over;
	liveness->alive |= !over;
	liveness->presence = presence;
}
