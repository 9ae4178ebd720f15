/*
 * echo.c
 *	  Notifications to ourselves: if they do not come, a pooler is in between, and we are deaf.
 */
#include "database/echo.h"

#include <stdio.h>

#include "base/metrics.h"

static char own_id[20];

void
echo_send(Echo *echo, Pg *pg, const char *statement)
{
	char payload[64];
	const char *values[] = {payload};

	if (!*own_id)
		snprintf(own_id, sizeof(own_id), "%016llx", (unsigned long long) random_u64());
	snprintf(payload, sizeof(payload), "echo %s %lu", own_id, ++echo->number);
	echo->sent_at = now_ms();
	pg_ask(pg, statement, 1, values, NULL, NULL, NULL);
}

bool
echo_heard(Echo *echo, const char *payload)
{
	char id[20];
	unsigned long n;

	if (strncmp(payload, "echo ", 5) != 0)
		return false;
	if (sscanf(payload, "echo %19s %lu", id, &n) != 2 || strcmp(id, own_id) != 0)
		return true;
	if (n == echo->number && echo->heard != n)
		metrics_notification_delay((now_ms() - echo->sent_at) * 1000);
	echo->heard = n;
	return true;
}

bool
echo_is_back(const Echo *echo)
{
	return echo->heard == echo->number;
}

void
echo_end(Echo *echo)
{
	echo->sent_at = 0;
	echo->heard = echo->number;
}
