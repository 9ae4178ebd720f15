/*
 * echo.c
 *	  Notifications to ourselves: if they do not come, a pooler is in between, and we are deaf.
 */
#include "database/echo.h"

#include <stdio.h>

#include "base/metrics.h"

static char own_id[20];
static unsigned long number; /* that was sent last */
static unsigned long heard;
static int64_t sent_at; /* ms */

void
echo_send(Pg *pg, const char *statement)
{
	char payload[64];
	const char *values[] = {payload};

	if (!*own_id)
		snprintf(own_id, sizeof(own_id), "%016llx", (unsigned long long) random_u64());
	snprintf(payload, sizeof(payload), "echo %s %lu", own_id, ++number);
	sent_at = now_ms();
	pg_ask(pg, statement, 1, values, NULL, NULL, NULL);
}

bool
echo_heard(const char *payload)
{
	char id[20];
	unsigned long n;

	if (strncmp(payload, "echo ", 5) != 0)
		return false;
	if (sscanf(payload, "echo %19s %lu", id, &n) != 2 || strcmp(id, own_id) != 0)
		return true;
	if (n == number && heard != n)
		metrics_notification_delay((now_ms() - sent_at) * 1000);
	heard = n;
	return true;
}

bool
echo_is_back(void)
{
	return heard == number;
}

int64_t
echo_sent_at(void)
{
	return sent_at;
}

void
echo_end(void)
{
	sent_at = 0;
	heard = number;
}
