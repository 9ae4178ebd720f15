/*
 * findings.h
 *	  The rows of presence.check(): what is wrong, how bad it is, and what to do.
 */
#ifndef PRESENCE_FINDINGS_H
#define PRESENCE_FINDINGS_H

#include "postgres.h"

#include "nodes/execnodes.h"

typedef enum Severity
{
	FINDING_NOTICE,  /* may be meant so */
	FINDING_WARNING, /* something will go wrong, or is slow */
	FINDING_ERROR    /* something is wrong now */
} Severity;

/* Adds a row. name: what alerts go by, so it stays as it is; texts: sentences. */
extern void finding(ReturnSetInfo *rsinfo, Severity severity, const char *name, const char *detail,
					const char *hint);

#endif /* PRESENCE_FINDINGS_H */
