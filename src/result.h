/*
 * result.h
 *	  The row type of a function's result.
 */
#ifndef PRESENCE_RESULT_H
#define PRESENCE_RESULT_H

#include "access/tupdesc.h"
#include "fmgr.h"

/* Kept for the session: a function's never changes, and to look it up takes longer than a
 * heartbeat. */
extern TupleDesc result_type(FunctionCallInfo fcinfo);

#endif /* PRESENCE_RESULT_H */
