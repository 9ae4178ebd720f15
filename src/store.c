/*
 * store.c
 *	  The only place with SQL text and kept plans.
 *
 * Each statement is prepared once a session and kept, as a generic plan. A
 * plan holds names, not OIDs, so that it survives DROP and CREATE EXTENSION.
 * Every name and operator is qualified: the caller's search_path is not used.
 *
 * Who may do what is decided by the privileges on the SQL functions. The
 * statements run as the owner of presence.room_presence, as those of a foreign
 * key do (ri_triggers.c), which costs less than SECURITY DEFINER with SET.
 *
 * Isolation. What a call does to a presence has to be right for everybody, not
 * for the snapshot of a REPEATABLE READ caller, who could miss the tab
 * that joined since. So statements that write, and the reads they depend on,
 * run with the latest snapshot, as those of a foreign key do; a row changed under
 * them is a clean 40001. Reads for the caller run with the caller's snapshot.
 *
 * Locks: first the row of the presence, then the rows of its connections; of several
 * presences in the order of book_id and user_id. Heartbeats lock connections
 * only, and wait for nobody.
 */
#include "postgres.h"

#include "store.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "presence.h"
#include "shared.h"

#define MAX_ARGS 8

typedef struct Statement
{
	bool read_only;      /* runs with the caller's snapshot */
	const char *columns; /* of the result, a letter each: type_of() */
	int nargs;
	Oid args[MAX_ARGS];
	const char *sql;
} Statement;

#define EQ          " OPERATOR(pg_catalog.=) "
#define LT          " OPERATOR(pg_catalog.<) "
#define LE          " OPERATOR(pg_catalog.<=) "
#define GT          " OPERATOR(pg_catalog.>) "
#define PLUS        " OPERATOR(pg_catalog.+) "
/* Presences a transaction; a constant, so that the planner knows that it is few. */
#define SWEEP_LIMIT "1000"

#define MINUS " OPERATOR(pg_catalog.-) "

/*
 * When a connection's lease ends: nobody is thrown out by a restart, so every
 * lease counts at least from the server's start, a parameter.
 */
#define LEASE_END(c, started) "GREATEST(" c ".expires_at, " started PLUS c ".ttl)"

/* Inserts and returns, or locks the open presence that is there and returns nothing. */
#define OR_LOCK                                                                                    \
	" ON CONFLICT (user_id, book_id) WHERE left_at IS NULL"                                        \
	" DO UPDATE SET left_at = excluded.left_at WHERE false"

/* Open presence p, seen at a time: true also while it has no connection to go by. */
/* clang-format off */
#define ALIVE(at, started) \
	"(SELECT pg_catalog.max(" LEASE_END("c", started) ")" GT at \
	" FROM presence.connection AS c" \
	" WHERE c.book_id" EQ "p.book_id AND c.user_id" EQ "p.user_id) IS NOT FALSE"

/* Opens connection c or renews it; a handle stays with its connection, but not with a stand-in. */
#define OR_RENEW \
	" ON CONFLICT (book_id, user_id, connection_id) DO UPDATE SET" \
	" id = CASE WHEN c.stand_in IS NULL AND c.presence_id" EQ "excluded.presence_id" \
	" THEN c.id ELSE excluded.id END," \
	" presence_id = excluded.presence_id, ttl = excluded.ttl," \
	" last_active_at = excluded.last_active_at," \
	" expires_at = excluded.expires_at, stand_in = excluded.stand_in" \
	" RETURNING c.id"

#define CONNECTIONS_OF_MEMBER \
	"SELECT " LEASE_END("c", "$3") ", c.last_active_at, c.stand_in, c.id" \
	" FROM presence.connection AS c WHERE c.book_id" EQ "$1 AND c.user_id" EQ "$2"

#define BARE_MEMBERS \
	"SELECT p.user_id, p.user_info, p.is_author, p.joined_at, p.last_active_at," \
	" NULL::pg_catalog.int4, p.id FROM presence.room_presence AS p" \
	" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL ORDER BY p.joined_at, p.id"

/* Of a handle; so that the planner knows that it is one before the table was analyzed. */
#define ONE_ROW " LIMIT 1"

#define EXPIRED_COLUMNS \
	"SELECT p.book_id, p.user_id, p.id, " LEASE_END("c", "$2") ", c.last_active_at, c.stand_in, c.id"

static const Statement statements[NUM_STATEMENTS] = {
	[INSERT_PRESENCE] = {false, "i", 5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, JSONBOID},
		"INSERT INTO presence.room_presence AS p"
		" (user_id, book_id, joined_at, last_active_at, is_author, user_info)"
		" VALUES ($1, $2, $3, $3, $4, $5)" OR_LOCK
		" RETURNING p.id"},
	[LOCK_PRESENCE] = {false, "izzbj", 2, {TEXTOID, TEXTOID},
		"SELECT p.id, p.joined_at, p.last_active_at, p.is_author, p.user_info"
		" FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.book_id" EQ "$2 AND p.left_at IS NULL"
		" FOR NO KEY UPDATE"},
	[UPDATE_MEMBER] = {false, "", 4, {TEXTOID, INT8OID, BOOLOID, JSONBOID},
		"UPDATE presence.room_presence AS p SET is_author = $3, user_info = $4"
		" WHERE p.book_id" EQ "$1 AND p.id" EQ "$2"},
	[LEAVE] = {false, "izzbjz", 3, {TEXTOID, TEXTOID, TIMESTAMPTZOID},
		"UPDATE presence.room_presence AS p"
		" SET left_at = GREATEST($3, p.joined_at), leave_reason = 'left',"
		" last_active_at = GREATEST($3, p.last_active_at)"
		" WHERE p.user_id" EQ "$1 AND p.book_id" EQ "$2 AND p.left_at IS NULL"
		" RETURNING p.id, p.joined_at, p.last_active_at, p.is_author, p.user_info, p.left_at"},
	/* also of one that LEAVE has closed: $5 counts, not what it wrote */
	[CLOSE_PRESENCE] = {false, "z", 5, {TEXTOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID},
		"UPDATE presence.room_presence AS p"
		" SET left_at = GREATEST($3, p.joined_at), leave_reason = $4,"
		" last_active_at = GREATEST($5, CASE WHEN p.left_at IS NULL THEN p.last_active_at ELSE p.joined_at END)"
		" WHERE p.book_id" EQ "$1 AND p.id" EQ "$2"
		" RETURNING p.left_at"},

	[CONNECT] = {false, "i", 8,
		{TEXTOID, TEXTOID, TEXTOID, INT8OID, INTERVALOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID},
		"INSERT INTO presence.connection AS c (book_id, user_id, connection_id,"
		" presence_id, ttl, last_active_at, expires_at, stand_in)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)" OR_RENEW},
	[DISCONNECT] = {false, "zzti", 4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID},
		"DELETE FROM presence.connection AS c"
		" WHERE c.book_id" EQ "$1 AND c.user_id" EQ "$2 AND c.connection_id" EQ "$3"
		" AND c.stand_in IS NULL"
		" RETURNING " LEASE_END("c", "$4") ", c.last_active_at, c.stand_in, c.id"},
	[DISCONNECT_ALL] = {false, "zzti", 3, {TEXTOID, TEXTOID, TIMESTAMPTZOID},
		"DELETE FROM presence.connection AS c"
		" WHERE c.book_id" EQ "$1 AND c.user_id" EQ "$2"
		" RETURNING " LEASE_END("c", "$3") ", c.last_active_at, c.stand_in, c.id"},
	[DROP_STAND_INS] = {false, "i", 2, {TEXTOID, TEXTOID},
		"DELETE FROM presence.connection AS c"
		" WHERE c.book_id" EQ "$1 AND c.user_id" EQ "$2 AND c.stand_in IS NOT NULL RETURNING c.id"},
	[CONNECTION_STATE] = {false, "zzti", 3, {TEXTOID, TEXTOID, TIMESTAMPTZOID},
		CONNECTIONS_OF_MEMBER},
	[TOUCH_ROOM] = {false, "", 5, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"UPDATE presence.connection AS c"
		" SET last_active_at = $4, expires_at = $4" PLUS "c.ttl"
		" WHERE c.book_id" EQ "$1 AND c.user_id" EQ "$2 AND c.connection_id" EQ "$3"
		" AND c.stand_in IS NULL AND " LEASE_END("c", "$5") GT "$4"},
	/* what another transaction holds locked is touched by it, or going: nobody waits for it */
	[TOUCH] = {false, "a", 3, {INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"WITH known AS MATERIALIZED (SELECT c.id FROM presence.connection AS c"
		" WHERE c.id" EQ "ANY ($1) AND c.stand_in IS NULL AND " LEASE_END("c", "$3") GT "$2),"
		" free AS (SELECT c.book_id, c.user_id, c.connection_id FROM presence.connection AS c"
		" WHERE c.id" EQ "ANY ($1) AND c.stand_in IS NULL AND " LEASE_END("c", "$3") GT "$2"
		" FOR NO KEY UPDATE SKIP LOCKED),"
		" touched AS (UPDATE presence.connection AS c"
		" SET last_active_at = $2, expires_at = $2" PLUS "c.ttl FROM free AS f"
		" WHERE c.book_id" EQ "f.book_id AND c.user_id" EQ "f.user_id"
		" AND c.connection_id" EQ "f.connection_id)"
		" SELECT COALESCE(pg_catalog.array_agg(h.id), '{}')"
		" FROM pg_catalog.unnest($1) AS h(id)"
		" WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.id" EQ "h.id)"},

	[INSERT_MANY] = {false, "tti", 4, {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID, JSONBARRAYOID},
		"INSERT INTO presence.room_presence AS p"
		" (user_id, book_id, joined_at, last_active_at, user_info)"
		" SELECT d.user_id, d.book_id, $3, $3, d.user_info"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($4))"
		" WITH ORDINALITY AS d(user_id, book_id, user_info, n) ORDER BY d.n" OR_LOCK
		" RETURNING p.user_id, p.book_id, p.id"},
	[MEMBERS_MANY] = {false, "ttizzbj", 2, {TEXTARRAYOID, TEXTARRAYOID},
		"SELECT p.user_id, p.book_id, p.id, p.joined_at, p.last_active_at, p.is_author,"
		" p.user_info"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(user_id, book_id)"
		" JOIN presence.room_presence AS p ON p.user_id" EQ "d.user_id"
		" AND p.book_id" EQ "d.book_id"
		" WHERE p.left_at IS NULL ORDER BY p.book_id, p.user_id"},
	[LIVENESS_MANY] = {false, "zztii", 3, {TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
		"SELECT " LEASE_END("c", "$3") ", c.last_active_at, c.stand_in, c.id, d.n"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2))"
		" WITH ORDINALITY AS d(user_id, book_id, n)"
		" JOIN presence.connection AS c ON c.book_id" EQ "d.book_id"
		" AND c.user_id" EQ "d.user_id ORDER BY d.n"},
	[DROP_STAND_INS_MANY] = {false, "i", 2, {TEXTARRAYOID, TEXTARRAYOID},
		"DELETE FROM presence.connection AS c"
		" USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS d(user_id, book_id)"
		" WHERE c.book_id" EQ "d.book_id AND c.user_id" EQ "d.user_id"
		" AND c.stand_in IS NOT NULL RETURNING c.id"},
	[CONNECT_MANY] = {false, "i", 7,
		{TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INTERVALOID, TIMESTAMPTZOID,
		 TIMESTAMPTZOID},
		"INSERT INTO presence.connection AS c (user_id, book_id, connection_id,"
		" presence_id, ttl, last_active_at, expires_at)"
		" SELECT d.user_id, d.book_id, d.connection_id, d.presence_id, $5, $6, $7"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
		" pg_catalog.unnest($4)) WITH ORDINALITY"
		" AS d(user_id, book_id, connection_id, presence_id, n) ORDER BY d.n" OR_RENEW},
	[LOCK_BY_HANDLE] = {false, "tti", 1, {INT8ARRAYOID},
		"SELECT p.book_id, p.user_id, p.id FROM presence.room_presence AS p"
		" JOIN (SELECT DISTINCT c.book_id, c.user_id, c.presence_id FROM presence.connection AS c"
		" WHERE c.id" EQ "ANY ($1) AND c.stand_in IS NULL) AS d"
		" ON d.book_id" EQ "p.book_id AND d.user_id" EQ "p.user_id"
		" AND d.presence_id" EQ "p.id"
		" WHERE p.left_at IS NULL ORDER BY p.book_id, p.user_id FOR NO KEY UPDATE OF p"},
	[DROP_HANDLES] = {false, "i", 1, {INT8ARRAYOID},
		"DELETE FROM presence.connection AS c WHERE c.id" EQ "ANY ($1) AND c.stand_in IS NULL"
		" RETURNING c.id"},
	[LINGER_HANDLES] = {false, "i", 3, {INT8ARRAYOID, TIMESTAMPTZOID, INTERVALOID},
		"UPDATE presence.connection AS c"
		" SET expires_at = $2" PLUS "$3, ttl = $3, stand_in = 'left'"
		" WHERE c.id" EQ "ANY ($1) AND c.stand_in IS NULL RETURNING c.id"},
	/* the limit is of what could be locked; a presence may come more than once */
	[LOCK_EXPIRED] = {false, "ttizzti", 2, {TIMESTAMPTZOID, TIMESTAMPTZOID},
		EXPIRED_COLUMNS " FROM presence.connection AS c"
		" JOIN presence.room_presence AS p"
		" ON p.book_id" EQ "c.book_id AND p.user_id" EQ "c.user_id AND p.id" EQ "c.presence_id"
		" WHERE " LEASE_END("c", "$2") LE "$1 AND p.left_at IS NULL LIMIT " SWEEP_LIMIT
		" FOR NO KEY UPDATE OF p SKIP LOCKED FOR UPDATE OF c SKIP LOCKED"},
	[LOCK_EXPIRED_HANDLES] = {false, "ttizzti", 3, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID},
		EXPIRED_COLUMNS " FROM pg_catalog.unnest($3) AS h(id)"
		" CROSS JOIN LATERAL (SELECT x.* FROM presence.connection AS x"
		" WHERE x.id" EQ "h.id AND " LEASE_END("x", "$2") LE "$1"
		ONE_ROW " FOR UPDATE SKIP LOCKED) AS c"
		" JOIN presence.room_presence AS p"
		" ON p.book_id" EQ "c.book_id AND p.user_id" EQ "c.user_id AND p.id" EQ "c.presence_id"
		" WHERE p.left_at IS NULL FOR NO KEY UPDATE OF p SKIP LOCKED"},
	[DROP_LOCKED] = {false, "i", 1, {INT8ARRAYOID},
		"DELETE FROM presence.connection AS c WHERE c.id" EQ "ANY ($1) RETURNING c.id"},
	[DROP_STRAYS] = {false, "i", 2, {TIMESTAMPTZOID, TIMESTAMPTZOID},
		"DELETE FROM presence.connection AS c WHERE " LEASE_END("c", "$2") LE "$1"
		" AND NOT EXISTS (SELECT FROM presence.room_presence AS p WHERE p.book_id" EQ "c.book_id"
		" AND p.id" EQ "c.presence_id AND p.left_at IS NULL) RETURNING c.id"},
	[DROP_STRAYS_HANDLES] = {false, "", 3, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8ARRAYOID},
		"DELETE FROM presence.connection AS c WHERE c.id" EQ "ANY ($3)"
		" AND " LEASE_END("c", "$2") LE "$1 AND NOT EXISTS (SELECT FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "c.book_id AND p.id" EQ "c.presence_id AND p.left_at IS NULL)"},
	[CLOSE_UNCONNECTED] = {false, "ttijbzt", 6,
		{TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID,
		 TIMESTAMPTZARRAYOID},
		"UPDATE presence.room_presence AS p"
		" SET left_at = GREATEST(d.left_at, p.joined_at), leave_reason = d.reason,"
		" last_active_at = GREATEST(d.last_active_at, p.last_active_at)"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
		" pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6))"
		" AS d(book_id, user_id, id, left_at, reason, last_active_at)"
		" WHERE p.book_id" EQ "d.book_id AND p.user_id" EQ "d.user_id AND p.id" EQ "d.id"
		" AND p.left_at IS NULL"
		" AND NOT EXISTS (SELECT FROM presence.connection AS c"
		" WHERE c.book_id" EQ "d.book_id AND c.user_id" EQ "d.user_id)"
		" RETURNING p.book_id, p.user_id, p.id, p.user_info, p.is_author, p.left_at,"
		" p.leave_reason"},
	[DISCONNECT_PRESENCES] = {false, "i", 3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID},
		"DELETE FROM presence.connection AS c"
		" USING ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		" AS d(book_id, user_id, presence_id)"
		" WHERE c.book_id" EQ "d.book_id AND c.user_id" EQ "d.user_id"
		" AND c.presence_id" EQ "d.presence_id RETURNING c.id"},
	[LOCK_ROOM] = {false, "i", 1, {TEXTOID},
		"SELECT p.id FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL ORDER BY p.user_id FOR UPDATE"},
	[LOCK_USER] = {false, "i", 1, {TEXTOID},
		"SELECT p.id FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.left_at IS NULL ORDER BY p.book_id FOR UPDATE"},
	[EMPTY_ROOM] = {false, "ttijbzt", 2, {TEXTOID, TIMESTAMPTZOID},
		"UPDATE presence.room_presence AS p"
		" SET left_at = GREATEST($2, p.joined_at), leave_reason = 'left'"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL"
		" RETURNING p.book_id, p.user_id, p.id, p.user_info, p.is_author, p.left_at,"
		" p.leave_reason"},
	[ADOPT] = {false, "ii", 2, {TIMESTAMPTZOID, INTERVALOID},
		"INSERT INTO presence.connection AS a (book_id, user_id, connection_id,"
		" presence_id, ttl, last_active_at, expires_at, stand_in)"
		" SELECT p.book_id, p.user_id, '', p.id, $2, p.last_active_at, $1" PLUS "$2, 'timeout'"
		" FROM presence.room_presence AS p WHERE p.left_at IS NULL"
		" AND NOT EXISTS (SELECT FROM presence.connection AS c"
		" WHERE c.book_id" EQ "p.book_id AND c.user_id" EQ "p.user_id)"
		" ON CONFLICT DO NOTHING RETURNING a.id, a.presence_id"},
	[NEXT_EXPIRY] = {false, "z", 1, {TIMESTAMPTZOID},
		"SELECT pg_catalog.min(" LEASE_END("c", "$1") ") FROM presence.connection AS c"},

	[LOAD_CONNECTIONS] = {false, "iitttvzzb", 1, {TIMESTAMPTZOID},
		"SELECT c.id, c.presence_id, c.user_id, c.book_id, c.connection_id, c.ttl,"
		" c.last_active_at, " LEASE_END("c", "$1") ", c.stand_in IS NOT NULL"
		" FROM presence.connection AS c"},
	/* what another transaction holds locked is written another time */
	[WRITE_CONNECTIONS] = {false, "i", 3, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID},
		"UPDATE presence.connection AS c"
		" SET last_active_at = GREATEST(c.last_active_at, f.last_active_at),"
		" expires_at = GREATEST(c.expires_at, f.expires_at)"
		" FROM (SELECT x.book_id, x.user_id, x.connection_id, h.last_active_at, h.expires_at"
		" FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3))"
		" AS h(id, last_active_at, expires_at)"
		" CROSS JOIN LATERAL (SELECT c.* FROM presence.connection AS c WHERE c.id" EQ "h.id"
		ONE_ROW " FOR NO KEY UPDATE SKIP LOCKED) AS x) AS f"
		" WHERE c.book_id" EQ "f.book_id AND c.user_id" EQ "f.user_id"
		" AND c.connection_id" EQ "f.connection_id RETURNING c.id"},
	[WRITE_PRESENCES] = {false, "", 1, {INT8ARRAYOID},
		"UPDATE presence.room_presence AS p SET last_active_at = f.last_active_at"
		" FROM (SELECT o.book_id, o.id, h.last_active_at FROM"
		" (SELECT c.book_id, c.user_id, c.presence_id, pg_catalog.max(c.last_active_at) AS last_active_at"
		" FROM pg_catalog.unnest($1) AS i(id)"
		" CROSS JOIN LATERAL (SELECT x.* FROM presence.connection AS x WHERE x.id" EQ "i.id" ONE_ROW
		") AS c GROUP BY c.book_id, c.user_id, c.presence_id) AS h"
		" JOIN presence.room_presence AS o ON o.book_id" EQ "h.book_id AND o.user_id" EQ "h.user_id"
		" AND o.id" EQ "h.presence_id"
		" WHERE o.left_at IS NULL AND o.last_active_at" LT "h.last_active_at"
		" FOR NO KEY UPDATE OF o SKIP LOCKED) AS f"
		" WHERE p.book_id" EQ "f.book_id AND p.id" EQ "f.id"},
	[GONE_HANDLES] = {false, "i", 1, {INT8ARRAYOID},
		"SELECT h.id FROM pg_catalog.unnest($1) AS h(id) WHERE NOT EXISTS"
		" (SELECT FROM presence.connection AS c WHERE c.id" EQ "h.id)"},

	[ROOM_MEMBERS] = {true, "tjbzzni", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT p.user_id, p.user_info, p.is_author, p.joined_at,"
		" GREATEST(p.last_active_at, c.last_active_at), COALESCE(c.connections, 0), p.id"
		" FROM presence.room_presence AS p LEFT JOIN (SELECT c.user_id,"
		" pg_catalog.count(*) FILTER (WHERE c.stand_in IS NULL AND "
		LEASE_END("c", "$3") GT "$2)::pg_catalog.int4 AS connections,"
		" pg_catalog.max(c.last_active_at) AS last_active_at,"
		" pg_catalog.max(" LEASE_END("c", "$3") ") AS expires_at"
		" FROM presence.connection AS c WHERE c.book_id" EQ "$1 GROUP BY c.user_id) AS c"
		" ON c.user_id" EQ "p.user_id"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL"
		" AND (c.expires_at" GT "$2) IS NOT FALSE"
		" ORDER BY p.joined_at, p.id"},
	[ROOM_MEMBERS_BARE] = {true, "tjbzzni", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		BARE_MEMBERS},
	/* with the latest snapshot */
	[POLL_MEMBERS] = {false, "tjbzzni", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		BARE_MEMBERS},
	[MEMBER_COUNT] = {true, "n", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT pg_catalog.count(*)::pg_catalog.int4 FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL AND " ALIVE("$2", "$3")},
	[MEMBER_COUNT_BARE] = {true, "n", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT pg_catalog.count(*)::pg_catalog.int4 FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NULL"},
	[USER_ROOMS] = {true, "tzzbi", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT p.book_id, p.joined_at, GREATEST(p.last_active_at,"
		" (SELECT pg_catalog.max(c.last_active_at) FROM presence.connection AS c"
		" WHERE c.book_id" EQ "p.book_id AND c.user_id" EQ "p.user_id)), p.is_author, p.id"
		" FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.left_at IS NULL AND " ALIVE("$2", "$3")
		" ORDER BY p.joined_at, p.book_id"},
	[USER_ROOMS_BARE] = {true, "tzzbi", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT p.book_id, p.joined_at, p.last_active_at, p.is_author, p.id"
		" FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.left_at IS NULL"
		" ORDER BY p.joined_at, p.book_id"},
	[MEMBER_INFO] = {true, "j", 4, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID},
		"SELECT p.user_info FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.user_id" EQ "$4 AND p.left_at IS NULL"
		" AND " ALIVE("$2", "$3")},
	[MEMBER_INFO_BARE] = {true, "j", 4, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID},
		"SELECT p.user_info FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.user_id" EQ "$4 AND p.left_at IS NULL"},
	[LIVENESS] = {true, "zzti", 3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}, CONNECTIONS_OF_MEMBER},
	[COUNT_OPEN] = {true, "i", 0, {0},
		"SELECT pg_catalog.count(*) FROM presence.room_presence AS p WHERE p.left_at IS NULL"},
	[COUNT_CONNECTIONS] = {true, "i", 2, {TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT pg_catalog.count(*) FROM presence.connection AS c"
		" WHERE c.stand_in IS NULL AND " LEASE_END("c", "$2") GT "$1"},
	[MEMBERS_AT] = {true, "tjbzz", 2, {TEXTOID, TIMESTAMPTZOID},
		"SELECT p.user_id, p.user_info, p.is_author, p.joined_at, p.left_at"
		" FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.joined_at" LE "$2 AND (p.left_at" GT "$2) IS NOT FALSE"
		" ORDER BY p.joined_at, p.id"},
	/* leaves and joins of one instant are summed, so that who hands over counts once */
	[PEAK_MEMBERS] = {true, "nz", 3, {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"WITH stay AS (SELECT GREATEST(p.joined_at, $2) AS joined_at, p.left_at"
		" FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.joined_at" LT "$3"
		" AND (p.left_at" GT "GREATEST(p.joined_at, $2)) IS NOT FALSE),"
		" change AS (SELECT s.joined_at AS at, 1 AS delta FROM stay AS s"
		" UNION ALL SELECT s.left_at, -1 FROM stay AS s WHERE s.left_at" LT "$3),"
		" total AS (SELECT c.at, pg_catalog.sum(pg_catalog.sum(c.delta))"
		" OVER (ORDER BY c.at) AS members FROM change AS c GROUP BY c.at)"
		" SELECT t.members::pg_catalog.int4, t.at FROM total AS t"
		" ORDER BY t.members DESC, t.at LIMIT 1"},
	/* $5 is the present: an open stay has lasted until then, not longer */
	[TIME_IN_ROOM] = {true, "v", 5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		"SELECT COALESCE(pg_catalog.justify_hours(pg_catalog.sum(s.until" MINUS "s.since)), '0')"
		" FROM (SELECT GREATEST(p.joined_at, $3) AS since,"
		" LEAST(COALESCE(p.left_at, $5), $4) AS until FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.book_id" EQ "$2) AS s"
		" WHERE s.until" GT "s.since"},

	[PURGE] = {false, "", 1, {TIMESTAMPTZOID},
		"DELETE FROM presence.room_presence AS p WHERE p.left_at" LT "$1"},
	[PURGE_BLOCKS] = {false, "", 3, {TIMESTAMPTZOID, TIDOID, TIDOID},
		"DELETE FROM presence.room_presence AS p WHERE p.ctid" EQ "ANY (ARRAY("
		"SELECT o.ctid FROM presence.room_presence AS o WHERE o.left_at" LT "$1"
		" AND o.ctid OPERATOR(pg_catalog.>=) $2 AND o.ctid" LT "$3 FOR UPDATE SKIP LOCKED))"},
	[FORGET_USER_PAST] = {false, "", 1, {TEXTOID},
		"DELETE FROM presence.room_presence AS p"
		" WHERE p.user_id" EQ "$1 AND p.left_at IS NOT NULL"},
	[FORGET_USER] = {false, "ttijbzt", 1, {TEXTOID},
		"DELETE FROM presence.room_presence AS p WHERE p.user_id" EQ "$1"
		" RETURNING p.book_id, p.user_id, p.id, p.user_info, p.is_author, p.left_at,"
		" p.leave_reason"},
	[FORGET_BOOK_PAST] = {false, "", 1, {TEXTOID},
		"DELETE FROM presence.room_presence AS p"
		" WHERE p.book_id" EQ "$1 AND p.left_at IS NOT NULL"},
	[FORGET_BOOK] = {false, "ttijbzt", 1, {TEXTOID},
		"DELETE FROM presence.room_presence AS p WHERE p.book_id" EQ "$1"
		" RETURNING p.book_id, p.user_id, p.id, p.user_info, p.is_author, p.left_at,"
		" p.leave_reason"},

	[APP_BY_KEY] = {true, "ttt", 1, {TEXTOID},
		"SELECT a.app_id, a.key, a.secret FROM presence.pusher_app AS a WHERE a.key" EQ "$1"},
	[APPS] = {true, "ttt", 0, {0},
		"SELECT a.app_id, a.key, a.secret FROM presence.pusher_app AS a ORDER BY a.app_id"},
};
/* clang-format on */

/* Prepared with first use, kept for the session. */
static SPIPlanPtr plans[NUM_STATEMENTS];

Oid
store_relation(const char *name)
{
	Oid namespace = get_namespace_oid("presence", false);
	Oid relid = get_relname_relid(name, namespace);

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation \"presence.%s\" does not exist", name)));
	return relid;
}

static Oid
store_owner(void)
{
	Oid relid = store_relation("room_presence");
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The security context of the owner. What he made to run later (a deferred trigger, a
 * cursor held over the commit) would run as the caller: if that is a superuser, as the
 * worker is, and he is none, such things are refused.
 */
static int
owner_context(Oid owner, Oid caller)
{
	int context = SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS;

	if (superuser_arg(caller) && !superuser_arg(owner))
		context |= SECURITY_RESTRICTED_OPERATION;
	return context;
}

void
store_require_write(const char *function)
{
	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

void
store_open(Store *store, StoreAccess access, const char *function)
{
	Oid owner;

	if (access == STORE_WRITE)
		store_require_write(function);
	store->caller = CurrentMemoryContext;
	GetUserIdAndSecContext(&store->userid, &store->sec_context);
	owner = store_owner();
	SetUserIdAndSecContext(owner, store->sec_context | owner_context(owner, store->userid));
	shared_use(); /* whoever uses presence wants a worker */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
store_close(Store *store)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(store->userid, store->sec_context);
}

/*
 * Plans a statement as if no table were small. A generic plan is kept until the tables are
 * analyzed, and one made while they are empty would read them from end to end.
 */
static void
plan_with_indexes(SPIPlanPtr plan)
{
	int nest_level = NewGUCNestLevel();
	CachedPlan *cached;

	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	cached = SPI_plan_get_cached_plan(plan);
	if (cached != NULL)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
	AtEOXact_GUC(false, nest_level);
}

static SPIPlanPtr
prepare(StatementId id)
{
	const Statement *statement = &statements[id];
	SPIPlanPtr plan =
		SPI_prepare_cursor(statement->sql, statement->nargs, unconstify(Oid *, &statement->args[0]),
						   CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	return plan;
}

static Oid
type_of(char letter)
{
	switch (letter)
	{
		case 'a':
			return INT8ARRAYOID;
		case 'b':
			return BOOLOID;
		case 'i':
			return INT8OID;
		case 'j':
			return JSONBOID;
		case 'n':
			return INT4OID;
		case 't':
			return TEXTOID;
		case 'v':
			return INTERVALOID;
		case 'z':
			return TIMESTAMPTZOID;
	}
	return InvalidOid;
}

/*
 * The tables belong to who created the extension, need not be a superuser's, and
 * can be altered. A column of another type, taken for what it should be, would be
 * read as an address.
 */
static void
check_columns(const Statement *statement)
{
	TupleDesc tupdesc = SPI_tuptable ? SPI_tuptable->tupdesc : NULL;
	int ncolumns = (int) strlen(statement->columns);

	if (ncolumns == 0)
		return;
	for (int i = 0; i < ncolumns; i++)
		if (tupdesc == NULL || tupdesc->natts != ncolumns ||
			TupleDescAttr(tupdesc, i)->atttypid != type_of(statement->columns[i]))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the tables of extension \"presence\" are not as it made them"),
					 errdetail("Column %d of \"%s\" has another type.", i + 1, statement->sql)));
}

static BlockNumber
pages_of(const char *name)
{
	Relation rel = table_open(store_relation(name), AccessShareLock);
	BlockNumber pages = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return pages;
}

/*
 * A plan knows how large its tables were when it was made, and the wrong order of a join
 * is a matter of size. Once a second: when a table is four times as large, or as small, all
 * is planned anew.
 */
static void
look_at_growth(void)
{
	static TimestampTz looked_at = 0;
	static BlockNumber planned[2] = {0, 0};
	BlockNumber now[2];
	bool differs = false;

	if (presence_now() >= looked_at && presence_now() < looked_at + USECS_PER_SEC)
		return;
	looked_at = presence_now();
	now[0] = pages_of("room_presence");
	now[1] = RecoveryInProgress() ? 0 : pages_of("connection");
	for (int i = 0; i < 2; i++)
		differs |= now[i] / 4 > Max(planned[i], 4) || planned[i] / 4 > Max(now[i], 4);
	if (!differs)
		return;
	memcpy(planned, now, sizeof(planned));
	ResetPlanCache();
}

uint64
store_execute(StatementId id, Datum *values, const char *nulls)
{
	bool read_only = statements[id].read_only;
	Snapshot snapshot = InvalidSnapshot;
	int result;

	look_at_growth();
	if (plans[id] == NULL || !SPI_plan_is_valid(plans[id]))
	{
		if (plans[id] == NULL)
			plans[id] = prepare(id);
		plan_with_indexes(plans[id]);
	}
	if (!read_only && IsolationUsesXactSnapshot())
		snapshot = GetLatestSnapshot();

	result = SPI_execute_snapshot(plans[id], values, nulls, snapshot, InvalidSnapshot, read_only,
								  true, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statements[id].sql,
			 SPI_result_code_string(result));
	check_columns(&statements[id]);
	return SPI_processed;
}

/* A row is missing where a trigger of the tables' owner kept it from being written. */
Datum
store_value(SPITupleTable *rows, uint64 row, int column, bool *isnull)
{
	if (rows == NULL || row >= rows->numvals)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the tables of extension \"presence\" are not as it made them"),
						errdetail("A row is missing.")));
	return SPI_getbinval(rows->vals[row], rows->tupdesc, column + 1, isnull);
}

void
store_not_null(bool isnull)
{
	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the tables of extension \"presence\" are not as it made them"),
						errdetail("A value is null.")));
}

Datum
store_datum(SPITupleTable *rows, uint64 row, int column)
{
	bool isnull;
	Datum value = store_value(rows, row, column, &isnull);

	store_not_null(isnull);
	return value;
}

void
store_row(SPITupleTable *rows, uint64 row, Datum *values, bool *nulls)
{
	heap_deform_tuple(rows->vals[row], rows->tupdesc, values, nulls);
}

Datum
store_text_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
store_jsonb_array(Datum *values, int n)
{
	bool *nulls = palloc(sizeof(bool) * Max(n, 1));
	int lower_bound = 1;

	for (int i = 0; i < n; i++)
		nulls[i] = values[i] == (Datum) 0;
	return PointerGetDatum(
		construct_md_array(values, nulls, 1, &n, &lower_bound, JSONBOID, -1, false, TYPALIGN_INT));
}

Datum
store_bigint_array(Datum *values, int n)
{
	return PointerGetDatum(
		construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

Datum
store_timestamptz_array(Datum *values, int n)
{
	return PointerGetDatum(construct_array(values, n, TIMESTAMPTZOID, sizeof(TimestampTz),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void
store_return_rows(ReturnSetInfo *rsinfo, uint64 nrows)
{
	int ncolumns = rsinfo->setDesc->natts;
	Datum *values = palloc(sizeof(Datum) * ncolumns);
	bool *nulls = palloc(sizeof(bool) * ncolumns);

	for (uint64 i = 0; i < nrows; i++)
	{
		for (int column = 0; column < ncolumns; column++)
			values[column] = store_value(SPI_tuptable, i, column, &nulls[column]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}
