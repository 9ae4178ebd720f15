/*
 * trouble.h
 *	  What the database does not take, and since when.
 */
#ifndef GATEWAY_TROUBLE_H
#define GATEWAY_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "database/statements.h"

/* What does not get through; since: ms, 0: it does. */
typedef struct Trouble
{
	int64_t since;
	char text[200];
} Trouble;

typedef struct Troubles
{
	Trouble joins;
	Trouble beats;
	Trouble writes;
} Troubles;

/* Whether an error is of the server and not of what was asked. */
extern bool database_is_trouble(const char *sqlstate);

/* How a request went; why: NULL if well. */
extern void trouble_judge(Troubles *troubles, Statement statement, const char *sqlstate,
						  const char *why);
extern void trouble_read_only(Troubles *troubles, bool read_only);

/* What it is; NULL: none. The second: if it lasts for so long already. */
extern const char *trouble_text(const Troubles *troubles);
extern const char *trouble_for(const Troubles *troubles, int64_t ms);

/* All connections are gone. */
extern void trouble_end(Troubles *troubles);

#endif /* GATEWAY_TROUBLE_H */
