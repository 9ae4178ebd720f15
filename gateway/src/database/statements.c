/*
 * statements.c
 *	  The SQL of the gateway: what is prepared on which connection.
 */
#include "database/statements.h"

const char *const line_names[LINES] = {"listen", "heartbeats", "joins",
									   "drops",  "queries",    "channels"};

/* A long answer comes in rows of so many parts each: no turn of the loop takes one whole. */
#define A_PART "500"

/* Channels of rooms, their book_ids, whether to count connections. */
#define INFO_OF_ROOMS                                                                              \
	"SELECT room.channel, presence.member_count(room.book_id), CASE WHEN $3::boolean"              \
	" THEN (SELECT COALESCE(pg_catalog.sum(connections), 0)::integer"                              \
	" FROM presence.room_members(room.book_id)) END"                                               \
	" FROM ROWS FROM (pg_catalog.unnest($1::text[]),"                                              \
	" pg_catalog.unnest($2::text[])) AS room (channel, book_id)"

static const StatementText texts[STATEMENTS] = {
	[STATEMENT_JOIN] = {"join", LINE_JOIN, 6,
						"SELECT id, connection, is_author, user_info, ordinality"
						" FROM presence.join_rooms("
						"$1::text[], $2::text[], $3::text[], $4::jsonb[], $5::interval,"
						" is_authors => $6::boolean[], skip_locked => true, keep_info => true)"},
	[STATEMENT_DROP] = {"drop", LINE_DROP, 2,
						"SELECT pg_catalog.set_config('presence.linger', $1 || 'ms', false),"
						" presence.drop_connections($2::bigint[])"},
	[STATEMENT_TOUCH] = {"touch", LINE_BEAT, 1, "SELECT presence.touch($1::bigint[])"},
	[STATEMENT_READ] = {"read", LINE_JOIN, 1,
						"SELECT id, book_id, user_id, user_info, is_author FROM presence.online"
						" WHERE book_id = ANY ($1::text[]) ORDER BY joined_at, id"},
	/*
	 * Presences that somebody has ended: not open, and their lease can't have ended; or if it can,
	 * gone from the history, or left before; of a channel's room (@app;name) there is no history.
	 * Known to be open so many milliseconds ago, with a lease of so many.
	 */
	[STATEMENT_ENDED] =
		{"ended", LINE_JOIN, 5,
		 "SELECT was.id FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[],"
		 " $5::bigint[]) AS was(id, book_id, user_id, alive_ms, lease_ms)"
		 " LEFT JOIN (SELECT id FROM presence.online WHERE book_id = ANY ($2::text[])) AS open"
		 " ON open.id = was.id"
		 " WHERE open.id IS NULL AND (alive_ms < lease_ms OR (was.book_id !~ '^@[^;]*;'"
		 " AND NOT EXISTS ("
		 "SELECT FROM presence.members_at(was.book_id,"
		 " now() - alive_ms * interval '1 millisecond') AS member"
		 " WHERE member.user_id = was.user_id AND (left_at IS NULL OR"
		 " left_at >= now() + (lease_ms - alive_ms) * interval '1 millisecond'))))"},
	/* channel prefix, room prefix, begin of rooms of other channels, begin of the channel, whether
	   to count users, connections */
	[STATEMENT_CHANNELS] =
		{"channels", LINE_QUERY, 6,
		 "SELECT pg_catalog.string_agg(pg_catalog.to_json(channel)::text || ':{' ||"
		 " pg_catalog.concat_ws(',', CASE WHEN $5::boolean THEN '\"user_count\":' || n END,"
		 " CASE WHEN $6::boolean THEN '\"subscription_count\":' || m END) || '}', ',')"
		 " FROM (SELECT CASE WHEN pg_catalog.starts_with(book_id, $3::text)"
		 " THEN 'presence-' || pg_catalog.substr(book_id, pg_catalog.length($3::text) + 1)"
		 " WHEN book_id !~ '^@[^;]*;' AND pg_catalog.starts_with(book_id, $2::text)"
		 " THEN $1::text || pg_catalog.substr(book_id, pg_catalog.length($2::text) + 1) END AS channel,"
		 " pg_catalog.count(*) AS n, pg_catalog.sum(connections) AS m,"
		 " pg_catalog.row_number() OVER () AS i"
		 " FROM presence.online GROUP BY book_id) AS rooms"
		 " WHERE pg_catalog.starts_with(channel, $4::text) GROUP BY i / " A_PART},
	[STATEMENT_USERS] =
		{"users", LINE_QUERY, 1,
		 "SELECT pg_catalog.string_agg('{\"id\":' ||"
		 " pg_catalog.to_json(user_id)::text || '}', ',')"
		 " FROM (SELECT user_id, pg_catalog.row_number() OVER () AS i"
		 " FROM presence.online WHERE book_id = $1) AS members GROUP BY i / " A_PART},
	[STATEMENT_REPORT] = {"report", LINE_STATE, 5,
						  "SELECT app_id, channel, subscriptions, version"
						  " FROM presence.report_channels($1, $2::text[], $3::text[],"
						  " $4::integer[], $5::boolean)"},
	/* and: app, other channels, and whose subscriptions are to be left out: our own, known better
	 */
	[STATEMENT_INFO] = {"info", LINE_QUERY, 6,
						INFO_OF_ROOMS " UNION ALL SELECT channel, NULL, subscriptions"
									  " FROM presence.channel_counts($4, $5::text[], $6)"},
	/* The same of an older server. */
	[STATEMENT_INFO_ROOMS] = {"info_rooms", LINE_QUERY, 3, INFO_OF_ROOMS},
	/* The same of one node of several: of the rooms that it has. */
	[STATEMENT_INFO_ONLINE] =
		{"info_online", LINE_QUERY, 2,
		 "SELECT room.channel, pg_catalog.count(id), COALESCE(pg_catalog.sum(connections), 0)"
		 " FROM ROWS FROM (pg_catalog.unnest($1::text[]),"
		 " pg_catalog.unnest($2::text[])) AS room (channel, book_id)"
		 " LEFT JOIN (SELECT id, book_id, connections FROM presence.online"
		 " WHERE book_id = ANY ($2::text[])) AS member USING (book_id) GROUP BY channel"},
	[STATEMENT_OCCUPIED] = {"occupied", LINE_QUERY, 3,
							"SELECT channel, subscriptions"
							" FROM presence.occupied_channels($1, $2, $3)"},
	[STATEMENT_WEBHOOK_EMIT] = {"webhook_emit", LINE_STATE, 4,
								"SELECT presence.webhook_emit($1::text[], $2::text[],"
								" $3::text[], $4::text[])"},
	[STATEMENT_WEBHOOK_TAKE] = {"webhook_take", LINE_STATE, 1,
								"SELECT webhook, url, key, secret, ids, body"
								" FROM presence.webhook_take($1::bigint[])"},
	[STATEMENT_WEBHOOK_DONE] = {"webhook_done", LINE_STATE, 2,
								"SELECT presence.webhook_done($1::bigint, $2::bigint[])"},
	[STATEMENT_WEBHOOK_TIDY] = {"webhook_tidy", LINE_STATE, 0,
								"SELECT waiting, dropped FROM presence.webhook_tidy()"},
	[STATEMENT_NOTIFY] = {"notify", LINE_BEAT, 1,
						  "SELECT pg_catalog.pg_notify('" BUS_CHANNEL "', payload)"
						  " FROM pg_catalog.unnest($1::pg_catalog.text[]) AS payload"},
	[STATEMENT_CACHE] = {"cache", LINE_QUERY, 3,
						 "SELECT presence.cache_events($1::text[], $2::text[], $3::text[])"},
	[STATEMENT_CACHED] = {"cached", LINE_QUERY, 2,
						  "SELECT app_id, channel, message, ttl"
						  " FROM presence.cached_events($1::text[], $2::text[])"},
	[STATEMENT_PURGE_CACHE] = {"purge cache", LINE_QUERY, 0, "SELECT presence.purge_cache()"},
	/* user_ids, room prefix */
	[STATEMENT_ONLINE] = {"online", LINE_QUERY, 2,
						  "SELECT user_id FROM presence.online_users($1::text[]) WHERE EXISTS ("
						  "SELECT FROM pg_catalog.unnest(book_ids) AS book_id"
						  " WHERE pg_catalog.starts_with(book_id, $2::text))"},
	[STATEMENT_NODES] = {"nodes", LINE_BEAT, 1,
						 "SELECT book_id, nodename || ':' || nodeport"
						 " FROM unnest($1::text[]) AS book_id, presence.room_node(book_id)"},
	[STATEMENT_ECHO] = {"echo", LINE_BEAT, 1, "SELECT pg_catalog.pg_notify('" BUS_CHANNEL "', $1)"},
};

/* Version 0.2 of the extension: a join waits for whoever changes the same row. */
static const StatementText old_join = {
	"join", LINE_JOIN, 5,
	"SELECT id, connection, is_author, user_info, ordinality FROM presence.join_rooms("
	"$1::text[], $2::text[], $3::text[], $4::jsonb[], $5::interval)"};

const StatementText *
statement_text(Statement statement, bool new_joins)
{
	return statement == STATEMENT_JOIN && !new_joins ? &old_join : &texts[statement];
}

bool
statement_is_known(Statement statement, bool new_joins)
{
	return new_joins || statement < STATEMENT_INFO;
}

/* How long a lock may be waited for; joins of an old server stop all others meanwhile. */
static int
lock_ms(LineName line, bool new_joins)
{
	return line == LINE_JOIN && !new_joins ? 250 : 1000;
}

static void
set(Buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s pg_catalog.set_config('%s', '%s', false)", out->len ? "," : "SELECT", name,
			 value);
}

char *
session_text(LineName line, int ms, bool new_joins)
{
	Buf out = {0};

	set(&out, "search_path", "pg_catalog");
	set(&out, "idle_session_timeout", "0");
	set(&out, "jit", "off");
	buf_addf(&out, ", pg_catalog.set_config('statement_timeout', '%d', false)", ms);
	buf_addf(&out, ", pg_catalog.set_config('lock_timeout', '%d', false)",
			 lock_ms(line, new_joins));
	if (line == LINE_LISTEN || line == LINE_BEAT || line == LINE_QUERY)
		set(&out, "synchronous_commit", "off");
	if (line == LINE_STATE)
	{
		/* whoever leads webhooks leads no longer than its connection is there */
		set(&out, "tcp_keepalives_idle", "10");
		set(&out, "tcp_keepalives_interval", "5");
		set(&out, "tcp_keepalives_count", "3");
	}
	return out.data;
}
