/*
 * check_tables.c
 *	  The part of presence.check() that looks at tables and catalogs.
 *
 * It reads as the owner of the tables. How long a transaction has been open is read where
 * pg_stat_activity reads it, which would hide it from an owner who is no superuser; nothing is told
 * of it but that, and the process.
 */
#include "postgres.h"

#include "check_tables.h"

#include "utils/backend_status.h"

#include "compat.h"
#include "findings.h"
#include "settings.h"
#include "store.h"

#define LONG_OPEN (60 * USECS_PER_SEC)

/* A finding for each row of a statement; its two columns, of text, go into the texts. */
static void
find_each(ReturnSetInfo *rsinfo, Statement *statement, Severity severity, const char *name,
		  const char *detail, const char *hint)
{
	uint64 n = store_execute(statement, NULL, NULL);
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		Datum values[2] = {0};
		bool nulls[2] = {true, true};
		char *first;
		char *second;

		store_row(rows, i, values, nulls);
		first = TextDatumGetCString(store_datum(values, nulls, 0));
		second = TextDatumGetCString(store_datum(values, nulls, 1));
		finding(rsinfo, severity, name, psprintf(detail, first, second),
				psprintf(hint, first, second));
	}
}

static Statement invalid_indexes = {
	.sql = "SELECT i.indexrelid::pg_catalog.regclass::pg_catalog.text,"
		   " i.indrelid::pg_catalog.regclass::pg_catalog.text"
		   " FROM pg_catalog.pg_index AS i"
		   " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indrelid"
		   " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		   " WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'"
		   " AND NOT (i.indisvalid AND i.indisready) ORDER BY 1",
	.args = "",
	.columns = "tt"};

static Statement missing_indexes = {
	.sql = "SELECT e.name, e.table_name FROM (VALUES"
		   " ('room_presence_pkey', 'room_presence'), ('room_presence_open_key', 'room_presence'),"
		   " ('room_presence_room_idx', 'room_presence'),"
		   " ('room_presence_user_idx', 'room_presence'),"
		   " ('room_presence_left_idx', 'room_presence'),"
		   " ('connection_pkey', 'connection'), ('connection_handle_idx', 'connection'),"
		   " ('pusher_app_pkey', 'pusher_app'), ('event_secret_pkey', 'event_secret'),"
		   " ('channel_cache_pkey', 'channel_cache'), ('channel_cache_age_idx', 'channel_cache'),"
		   " ('gateway_pkey', 'gateway'), ('gateway_channel_pkey', 'gateway_channel'),"
		   " ('gateway_channel_gateway_idx', 'gateway_channel'),"
		   " ('pusher_webhook_pkey', 'pusher_webhook'), ('webhook_event_pkey', 'webhook_event'),"
		   " ('webhook_event_hint_idx', 'webhook_event'),"
		   " ('webhook_event_room_idx', 'webhook_event'),"
		   " ('webhook_event_count_key', 'webhook_event'),"
		   " ('webhook_channel_pkey', 'webhook_channel')) AS e(name, table_name)"
		   " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c"
		   " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		   " WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'"
		   " AND c.relname OPERATOR(pg_catalog.=) e.name::pg_catalog.name) ORDER BY 1",
	.args = "",
	.columns = "tt"};

/* The extension's own, the owner's on its tables, and those that forget users and books. */
static Statement disabled_triggers = {
	.sql = "SELECT t.tgname::pg_catalog.text, t.tgrelid::pg_catalog.regclass::pg_catalog.text"
		   " FROM pg_catalog.pg_trigger AS t"
		   " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid"
		   " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		   " JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid"
		   " JOIN pg_catalog.pg_namespace AS f ON f.oid OPERATOR(pg_catalog.=) p.pronamespace"
		   " WHERE t.tgenabled OPERATOR(pg_catalog.=) 'D' AND NOT t.tgisinternal"
		   " AND (n.nspname OPERATOR(pg_catalog.=) 'presence'"
		   " OR f.nspname OPERATOR(pg_catalog.=) 'presence') ORDER BY 2, 1",
	.args = "",
	.columns = "tt"};

static Statement missing_triggers = {
	.sql = "SELECT e.name, e.table_name FROM (VALUES"
		   " ('pusher_app_check', 'pusher_app'), ('pusher_app_changed', 'pusher_app'),"
		   " ('pusher_webhook_check', 'pusher_webhook'),"
		   " ('pusher_webhook_changed', 'pusher_webhook')) AS e(name, table_name)"
		   " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t"
		   " JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid"
		   " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		   " WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'"
		   " AND c.relname OPERATOR(pg_catalog.=) e.table_name::pg_catalog.name"
		   " AND t.tgname OPERATOR(pg_catalog.=) e.name::pg_catalog.name) ORDER BY 1",
	.args = "",
	.columns = "tt"};

static void
check_version(ReturnSetInfo *rsinfo)
{
	static Statement installed = {.sql = "SELECT e.extversion FROM pg_catalog.pg_extension AS e"
										 " WHERE e.extname OPERATOR(pg_catalog.=) 'presence'",
								  .args = "",
								  .columns = "t"};
	char *version;

	if (store_execute(&installed, NULL, NULL) == 0)
		return;
	version = TextDatumGetCString(store_value());
	if (strcmp(version, PRESENCE_VERSION) != 0)
		finding(
			rsinfo, FINDING_ERROR, "version_mismatch",
			psprintf("The library is of version " PRESENCE_VERSION
					 ", the objects in this database are of version %s.",
					 version),
			"Restart the server if it has an old library, then ALTER EXTENSION presence UPDATE.");
}

void
check_schema(ReturnSetInfo *rsinfo)
{
	check_version(rsinfo);
	find_each(rsinfo, &missing_indexes, FINDING_ERROR, "index_missing",
			  "There is no index \"%s\" of presence.%s.",
			  "Create it as the extension's script does: reads and concurrent joins rely on it.");
	find_each(
		rsinfo, &invalid_indexes, FINDING_WARNING, "index_invalid",
		"The index %s of %s is not valid: a CREATE or REINDEX CONCURRENTLY failed or is at work.",
		"If none is at work: REINDEX INDEX CONCURRENTLY %s, or drop it if it is a left-over.");
	find_each(rsinfo, &missing_triggers, FINDING_ERROR, "trigger_missing",
			  "There is no trigger \"%s\" on presence.%s.",
			  "Create it as the extension's script does: gateways are not told of changes.");
	find_each(rsinfo, &disabled_triggers, FINDING_WARNING, "trigger_disabled",
			  "The trigger \"%s\" on %s is disabled.", "ALTER TABLE ... ENABLE TRIGGER \"%s\".");
}

/* A statement with one number, NULL: none. */
static int64
number(Statement *statement, Datum *values)
{
	Datum value = 0;
	bool null = true;

	if (store_execute(statement, values, NULL) > 0)
		store_row(SPI_tuptable, 0, &value, &null);
	return null ? 0 : DatumGetInt64(value);
}

/*
 * Rows that were copied in may have numbers that the sequence has not given yet. The past is not
 * read for it: what ANALYZE has seen is.
 */
static void
check_sequence(ReturnSetInfo *rsinfo)
{
	static Statement behind = {
		.sql = "SELECT GREATEST((SELECT pg_catalog.max(p.id) FROM presence.room_presence AS p"
			   " WHERE p.left_at IS NULL),"
			   " (SELECT pg_catalog.max(b.id) FROM pg_catalog.pg_stats AS t CROSS JOIN LATERAL"
			   " pg_catalog.unnest(t.histogram_bounds::pg_catalog.text::pg_catalog.int8[]) AS b(id)"
			   " WHERE t.schemaname OPERATOR(pg_catalog.=) 'presence'"
			   " AND t.tablename OPERATOR(pg_catalog.=) 'room_presence'"
			   " AND t.attname OPERATOR(pg_catalog.=) 'id'))"
			   " OPERATOR(pg_catalog.-) s.last_value FROM presence.room_presence_id_seq AS s",
		.args = "",
		.columns = "i"};
	int64 by = number(&behind, NULL);

	if (by > 0)
		finding(rsinfo, FINDING_WARNING, "sequence_behind",
				psprintf("presence.room_presence_id_seq is behind the rows by " INT64_FORMAT
						 ": numbers will meet that are taken.",
						 by),
				"SELECT setval('presence.room_presence_id_seq', (SELECT max(id) FROM "
				"presence.room_presence)); on a subscriber, a range of its own.");
}

/* Of a table so large autovacuum has gathered statistics long since. */
static void
check_statistics(ReturnSetInfo *rsinfo)
{
	static Statement unknown = {
		.sql =
			"SELECT c.relname::pg_catalog.text,"
			" pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size(c.oid))"
			" FROM pg_catalog.pg_class AS c"
			" JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
			" WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'"
			" AND c.relkind OPERATOR(pg_catalog.=) 'r'"
			" AND pg_catalog.pg_relation_size(c.oid)"
			" OPERATOR(pg_catalog.>) 16777216 AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats AS s"
			" WHERE s.schemaname OPERATOR(pg_catalog.=) 'presence'"
			" AND s.tablename OPERATOR(pg_catalog.=) c.relname) ORDER BY 1",
		.args = "",
		.columns = "tt"};

	find_each(rsinfo, &unknown, FINDING_WARNING, "statistics_missing",
			  "The table presence.%s has %s, and nobody has analyzed it.",
			  "ANALYZE presence.%s; does autovacuum run?");
}

/* When the transaction of a process began; 0: it has none. */
static TimestampTz
transaction_start(int pid)
{
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const PgBackendStatus *entry = &local_backend(i)->backendStatus;

		if (entry->st_procpid == pid)
			return entry->st_xact_start_timestamp;
	}
	return 0;
}

static void
check_open_transactions(ReturnSetInfo *rsinfo)
{
	static Statement holders = {
		.sql =
			"SELECT DISTINCT l.pid::pg_catalog.int8 FROM pg_catalog.pg_locks AS l"
			" JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation"
			" JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
			" WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'"
			" AND c.relname OPERATOR(pg_catalog.=) 'room_presence'"
			" AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database AS d"
			" WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())"
			" AND l.granted AND l.pid IS NOT NULL AND l.mode OPERATOR(pg_catalog.<>) ALL"
			" (ARRAY['AccessShareLock', 'RowShareLock', 'ShareUpdateExclusiveLock'])",
		.args = "",
		.columns = "i"};
	uint64 n = store_execute(&holders, NULL, NULL);
	SPITupleTable *rows = SPI_tuptable;
	TimestampTz now = GetCurrentTimestamp();

	pgstat_clear_backend_activity_snapshot();
	for (uint64 i = 0; i < n; i++)
	{
		Datum value;
		bool null;
		int pid;
		TimestampTz start;

		store_row(rows, i, &value, &null);
		pid = (int) DatumGetInt64(store_datum(&value, &null, 0));
		start = transaction_start(pid);
		if (start != 0 && now - start > LONG_OPEN)
			finding(
				rsinfo, FINDING_WARNING, "open_transaction",
				psprintf(
					"Process %d has rooms locked, in a transaction that has been open for " INT64_FORMAT
					" s.",
					pid, (now - start) / USECS_PER_SEC),
				psprintf("Who wants to change the same members waits for it. To end it: SELECT "
						 "pg_terminate_backend(%d).",
						 pid));
	}
}

static void
check_prepared_transactions(ReturnSetInfo *rsinfo)
{
	static Statement prepared = {
		.sql =
			"SELECT x.gid, x.prepared::pg_catalog.text FROM pg_catalog.pg_prepared_xacts AS x"
			" WHERE x.database OPERATOR(pg_catalog.=) pg_catalog.current_database()"
			" AND x.prepared OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp()"
			" OPERATOR(pg_catalog.-) '1 minute'::pg_catalog.interval)"
			" AND EXISTS (SELECT FROM pg_catalog.pg_locks AS l"
			" JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation"
			" JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
			" JOIN pg_catalog.pg_locks AS t"
			" ON t.virtualtransaction OPERATOR(pg_catalog.=) l.virtualtransaction"
			" WHERE n.nspname OPERATOR(pg_catalog.=) 'presence' AND l.pid IS NULL AND t.pid IS NULL"
			" AND t.transactionid OPERATOR(pg_catalog.=) x.transaction) ORDER BY 2",
		.args = "",
		.columns = "tt"};

	find_each(rsinfo, &prepared, FINDING_WARNING, "prepared_transaction",
			  "The prepared transaction \"%s\" has rooms locked since %s.",
			  "COMMIT PREPARED '%s', or ROLLBACK PREPARED.");
}

static void
check_webhooks(ReturnSetInfo *rsinfo)
{
	static Statement waiting = {
		.sql = "SELECT w.id::pg_catalog.text, e.at::pg_catalog.text"
			   " FROM presence.pusher_webhook AS w CROSS JOIN LATERAL (SELECT v.at"
			   " FROM presence.webhook_event AS v WHERE v.webhook OPERATOR(pg_catalog.=) w.id"
			   " ORDER BY v.id LIMIT 1) AS e WHERE w.enabled"
			   " AND e.at OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp()"
			   " OPERATOR(pg_catalog.-) '10 minutes'::pg_catalog.interval) ORDER BY w.id",
		.args = "",
		.columns = "tt"};

	find_each(
		rsinfo, &waiting, FINDING_WARNING, "webhook_waiting",
		"Events for webhook %s have waited since %s.",
		"Is there a gateway, and does the server of webhook %s answer? The gateway's log says.");
}

void
check_rows(ReturnSetInfo *rsinfo)
{
	check_sequence(rsinfo);
	check_statistics(rsinfo);
	check_open_transactions(rsinfo);
	check_prepared_transactions(rsinfo);
	check_webhooks(rsinfo);
}
