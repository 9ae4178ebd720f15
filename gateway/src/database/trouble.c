/*
 * trouble.c
 *	  What the database does not take, and since when.
 */
#include "database/trouble.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* Errors that are not of the arguments: privileges, read-only, no such function, resources. */
bool
database_is_trouble(const char *sqlstate)
{
	static const char *const states[] = {"25006", "42501", "42883", "42P01", "3F000",
										 "0A000", "55000", "58030", "XX000", "26000"};

	if (!sqlstate)
		return true;
	if (strncmp(sqlstate, "53", 2) == 0)
		return strcmp(sqlstate, "53400") != 0; /* a room that is full */
	if (strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0)
		return true;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

static void
set(Trouble *trouble, const char *what, const char *why)
{
	if (!why)
	{
		if (trouble->since)
			log_line(LOG_INFO, "%s get through again", what);
		trouble->since = 0;
		return;
	}
	if (!trouble->since)
		trouble->since = now_ms();
	snprintf(trouble->text, sizeof(trouble->text), "%s fail: %s", what, why);
	log_line(LOG_ERROR, "%s", trouble->text);
}

void
trouble_judge(Troubles *troubles, Statement statement, const char *sqlstate, const char *why)
{
	if (statement == STATEMENT_JOIN && !(why && !database_is_trouble(sqlstate)))
		set(&troubles->joins, "joins", why);
	else if (statement == STATEMENT_TOUCH)
		set(&troubles->beats, "heartbeats", why);
}

void
trouble_read_only(Troubles *troubles, bool read_only)
{
	set(&troubles->writes, "writes", read_only ? "the server is read-only" : NULL);
}

const char *
trouble_text(const Troubles *troubles)
{
	return trouble_for(troubles, -1);
}

const char *
trouble_for(const Troubles *troubles, int64_t ms)
{
	const Trouble *all[] = {&troubles->writes, &troubles->joins, &troubles->beats};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->since && all[i]->since + ms < now_ms())
			return all[i]->text;
	return NULL;
}

void
trouble_end(Troubles *troubles)
{
	troubles->joins.since = troubles->beats.since = troubles->writes.since = 0;
}
