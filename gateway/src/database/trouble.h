/*
 * trouble.h
 *	  What the database does not take, and since when.
 */
#ifndef GATEWAY_TROUBLE_H
#define GATEWAY_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "database/statements.h"

/* Whether an error is of the server and not of what was asked. */
extern bool database_is_trouble(const char *sqlstate);

/* How a request went; why: NULL if well. */
extern void trouble_judge(Statement statement, const char *sqlstate, const char *why);
extern void trouble_read_only(bool read_only);

/* What it is; NULL: none. The second: if it lasts for so long already. */
extern const char *trouble_text(void);
extern const char *trouble_for(int64_t ms);

/* All connections are gone. */
extern void trouble_end(void);

#endif /* GATEWAY_TROUBLE_H */
