/*
 * compat.h
 *	  What differs between PostgreSQL 15 and 18; the only place that asks
 *	  for PG_VERSION_NUM.
 */
#ifndef PRESENCE_COMPAT_H
#define PRESENCE_COMPAT_H

#include "postgres.h"

#include "catalog/pg_database.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "presence needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM < 160000
#define owns_database(dboid, roleid) pg_database_ownercheck(dboid, roleid)
#else
#define owns_database(dboid, roleid) object_ownercheck(DatabaseRelationId, dboid, roleid)
#endif

/* Parameters of a dshash with a key of plain bytes, up to the tranche. */
#if PG_VERSION_NUM < 170000
#define DSHASH_BINARY_KEYS(key_size, entry_size, tranche)                                          \
	{                                                                                              \
		key_size, entry_size, dshash_memcmp, dshash_memhash, tranche                               \
	}
#else
#define DSHASH_BINARY_KEYS(key_size, entry_size, tranche)                                          \
	{                                                                                              \
		key_size, entry_size, dshash_memcmp, dshash_memhash, dshash_memcpy, tranche                \
	}
#endif

#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#endif /* PRESENCE_COMPAT_H */
