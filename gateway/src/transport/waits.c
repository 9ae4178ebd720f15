/*
 * waits.c
 *	  How long connections may wait for something, and who makes room.
 */
#include "transport/waits.h"

#include <utlist.h>

#include "base/metrics.h"

#define EVICT_MS 1000

static const int limits_ms[WAITS] = {
	[WAIT_HEAD] = 10000,   [WAIT_IDLE] = 30000, [WAIT_BODY] = 20000,
	[WAIT_ANSWER] = 60000, [WAIT_END] = 3000,
};

void
conns_tick(void)
{
	int64_t now = now_ms();

	for (int wait = 1; wait < WAITS; wait++)
		while (conn_first((ConnWait) wait) &&
			   conn_first((ConnWait) wait)->wait_since + limits_ms[wait] <= now)
		{
			if (wait != WAIT_END && wait != WAIT_IDLE)
				metrics.closed_late++;
			conn_close(conn_first((ConnWait) wait));
		}
}

bool
conns_evict(void)
{
	Conn *oldest = conn_first(WAIT_HEAD);
	Conn *idle = conn_first(WAIT_IDLE);

	if (idle && (!oldest || idle->wait_since < oldest->wait_since))
		oldest = idle;
	if (!oldest || oldest->wait_since + EVICT_MS > now_ms())
		return false;
	metrics.closed_evicted++;
	conn_close(oldest);
	return true;
}

void
conns_end_idle(void)
{
	Conn *conn;
	Conn *next;

	DL_FOREACH_SAFE(conn_first(WAIT_IDLE), conn, next)
	{
		if (!conn->admin)
			conn_end(conn);
	}
}
