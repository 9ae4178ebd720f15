/*
 * findings.c
 *	  The rows of presence.check(): what is wrong, how bad it is, and what to do.
 */
#include "postgres.h"

#include "findings.h"

#include "utils/builtins.h"

void
finding(ReturnSetInfo *rsinfo, Severity severity, const char *name, const char *detail,
		const char *hint)
{
	static const char *const severities[] = {"notice", "warning", "error"};
	Datum values[] = {CStringGetTextDatum(severities[severity]), CStringGetTextDatum(name),
					  CStringGetTextDatum(detail), CStringGetTextDatum(hint)};
	bool nulls[lengthof(values)] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
