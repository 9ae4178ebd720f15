/*
 * check_tables.h
 *	  The part of presence.check() that looks at tables and catalogs.
 */
#ifndef PRESENCE_CHECK_TABLES_H
#define PRESENCE_CHECK_TABLES_H

#include "postgres.h"

#include "nodes/execnodes.h"

/* With the store open. What holds on a standby too. */
extern void check_schema(ReturnSetInfo *rsinfo);

/* The rest; with the store open. */
extern void check_rows(ReturnSetInfo *rsinfo);

#endif /* PRESENCE_CHECK_TABLES_H */
