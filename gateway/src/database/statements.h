/*
 * statements.h
 *	  The SQL of the gateway: what is prepared on which connection.
 */
#ifndef GATEWAY_STATEMENTS_H
#define GATEWAY_STATEMENTS_H

#include "base/util.h"

typedef enum Statement
{
	STATEMENT_JOIN,
	STATEMENT_DROP,
	STATEMENT_TOUCH,
	STATEMENT_READ,
	STATEMENT_ENDED,
	STATEMENT_CHANNELS,
	STATEMENT_USERS,
	STATEMENT_NOTIFY,
	STATEMENT_ECHO,
	STATEMENT_INFO_ROOMS,
	STATEMENT_INFO_ONLINE,
	STATEMENT_INFO, /* from here on: of version 0.3 of the extension, not before */
	STATEMENT_REPORT,
	STATEMENT_OCCUPIED,
	STATEMENT_WEBHOOK_EMIT,
	STATEMENT_WEBHOOK_TAKE,
	STATEMENT_WEBHOOK_DONE,
	STATEMENT_WEBHOOK_TIDY,
	STATEMENT_CACHE,
	STATEMENT_CACHED,
	STATEMENT_PURGE_CACHE,
	STATEMENT_ONLINE,
	STATEMENT_NODES,
	STATEMENTS
} Statement;

/* The channel on which gateways tell each other. */
#define BUS_CHANNEL "presence_gateway"

typedef enum LineName
{
	LINE_LISTEN, /* notifications; apps and settings */
	LINE_BEAT,   /* heartbeats, and what gateways tell each other: nothing that waits for a lock */
	LINE_JOIN,   /* joins, and reads of rooms, in order */
	LINE_DROP,
	LINE_QUERY, /* the HTTP API's; the last events of cache channels */
	LINE_STATE, /* what gateways have of channels: reports wait for each other; webhooks */
	LINES
} LineName;

typedef struct StatementText
{
	const char *name;
	LineName line;
	int nvalues;
	const char *sql;
} StatementText;

/* new_joins: the server's join_rooms() has skip_locked. */
extern const StatementText *statement_text(Statement statement, bool new_joins);

/* Whether the server has the functions of it. */
extern bool statement_is_known(Statement statement, bool new_joins);

/* What a connection is set to first; ms: the time limit of a statement. The caller frees it. */
extern char *session_text(LineName line, int ms, bool new_joins);

extern const char *const line_names[LINES];

#define SQL_FEATURES                                                                               \
	"SELECT pg_catalog.to_regprocedure('presence.join_rooms(text[],text[],text[],jsonb[],"         \
	"interval,boolean[],boolean,boolean)') IS NOT NULL,"                                           \
	" pg_catalog.to_regprocedure('presence.event_key()') IS NOT NULL,"                             \
	" pg_catalog.to_regprocedure('presence.shards()') IS NOT NULL,"                                \
	" (SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter),"                                      \
	" (SELECT pg_catalog.concat_ws('/', system_identifier,"                                        \
	" 'presence.room_presence'::pg_catalog.regclass::pg_catalog.oid)"                              \
	" FROM pg_catalog.pg_control_system())"

#define SQL_APPS "SELECT pg_catalog.to_jsonb(app) FROM presence.pusher_apps() AS app"

#define SQL_KEY "SELECT pg_catalog.encode(presence.event_key(), 'hex')"

/* What this node is called, if it has rooms; something that changes when rooms move. */
#define SQL_SHARDS                                                                                 \
	"SELECT COALESCE(pg_catalog.max(pg_catalog.concat(nodename, ':', nodeport))"                   \
	" FILTER (WHERE is_local), ''),"                                                               \
	" COALESCE(pg_catalog.md5(pg_catalog.string_agg("                                              \
	"pg_catalog.concat_ws(':', first_hash, last_hash, nodename, nodeport), ' ')), '')"             \
	" FROM presence.shards()"

/* presence.channel is shown to those only who may read all settings. */
#define SQL_SETTINGS                                                                               \
	"SELECT pg_catalog.current_setting('presence.channel_prefix'),"                                \
	" (SELECT setting FROM pg_catalog.pg_settings"                                                 \
	" WHERE name OPERATOR(pg_catalog.=) 'presence.channel'), setting,"                             \
	" pg_catalog.current_setting('transaction_read_only')"                                         \
	" FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'presence.timeout'"

#endif /* GATEWAY_STATEMENTS_H */
