-- presence 0.1: tables, functions, views, comments.
--
-- Every name and operator in this script and in the statements of src/store.c
-- is qualified, so that a caller's search_path changes nothing. Every key of a
-- table with rooms in it begins with book_id, so that rooms can be spread over
-- machines by it.

\echo Use "CREATE EXTENSION presence" to load this file. \quit

--
-- Tables
--

CREATE TABLE presence.room_presence (
	id bigint GENERATED ALWAYS AS IDENTITY,
	user_id text COLLATE "C" NOT NULL,
	book_id text COLLATE "C" NOT NULL,
	joined_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	last_active_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	left_at timestamptz,
	leave_reason text COLLATE "C",
	is_author boolean NOT NULL DEFAULT false,
	user_info jsonb,
	CONSTRAINT room_presence_pkey PRIMARY KEY (book_id, id),
	CONSTRAINT room_presence_left_at_check
		CHECK (left_at OPERATOR(pg_catalog.>=) joined_at),
	CONSTRAINT room_presence_leave_reason_check
		CHECK (leave_reason OPERATOR(pg_catalog.=) ANY (ARRAY['left', 'timeout', 'removed']))
);

CREATE UNIQUE INDEX room_presence_open_key
	ON presence.room_presence (user_id, book_id) WHERE left_at IS NULL;
CREATE INDEX room_presence_room_idx
	ON presence.room_presence (book_id) WHERE left_at IS NULL;

-- Logged, unlike the connections: a handle from before a crash must never name
-- somebody else's connection after it.
CREATE SEQUENCE presence.connection_handle AS bigint;
CREATE SEQUENCE presence.event_seq AS bigint;

-- Heartbeats update these rows in place: no index covers a column they change,
-- and the fillfactor leaves them room on the page (heap-only tuples).
CREATE UNLOGGED TABLE presence.connection (
	book_id text COLLATE "C" NOT NULL,
	user_id text COLLATE "C" NOT NULL,
	connection_id text COLLATE "C" NOT NULL,
	id bigint NOT NULL DEFAULT pg_catalog.nextval('presence.connection_handle'::pg_catalog.regclass),
	presence_id bigint NOT NULL,
	ttl interval NOT NULL,
	last_active_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	stand_in text COLLATE "C",
	CONSTRAINT connection_pkey PRIMARY KEY (book_id, user_id, connection_id)
) WITH (fillfactor = 50);

CREATE INDEX connection_handle_idx ON presence.connection (id);

CREATE TABLE presence.pusher_app (
	app_id text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	secret text COLLATE "C" NOT NULL,
	CONSTRAINT pusher_app_pkey PRIMARY KEY (app_id),
	CONSTRAINT pusher_app_key_key UNIQUE (key)
);

-- No policy: only the owner, whom row security passes by, reads a secret;
-- pg_read_all_data does not.
ALTER TABLE presence.pusher_app ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION presence.pusher_app_check() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'presence_pusher_app_check';

CREATE TRIGGER pusher_app_check BEFORE INSERT OR UPDATE ON presence.pusher_app
	FOR EACH ROW EXECUTE FUNCTION presence.pusher_app_check();

-- pg_dump keeps history, apps and sequences; connections are volatile.
SELECT pg_catalog.pg_extension_config_dump('presence.room_presence', '');
SELECT pg_catalog.pg_extension_config_dump('presence.room_presence_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('presence.connection_handle', '');
SELECT pg_catalog.pg_extension_config_dump('presence.event_seq', '');
SELECT pg_catalog.pg_extension_config_dump('presence.pusher_app', '');

--
-- Rooms
--

CREATE FUNCTION presence.join_room(
	user_id text, book_id text, connection_id text DEFAULT '',
	user_info jsonb DEFAULT NULL, is_author boolean DEFAULT NULL,
	ttl interval DEFAULT NULL,
	OUT id bigint, OUT user_id text, OUT book_id text,
	OUT joined_at timestamptz, OUT last_active_at timestamptz,
	OUT is_author boolean, OUT user_info jsonb,
	OUT connection bigint, OUT added boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_join_room';

CREATE FUNCTION presence.leave_room(
	user_id text, book_id text, connection_id text DEFAULT NULL)
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_leave_room';

CREATE FUNCTION presence.room_members(book_id text)
RETURNS TABLE (user_id text, user_info jsonb, is_author boolean,
	joined_at timestamptz, last_active_at timestamptz, connections integer)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20
AS 'MODULE_PATHNAME', 'presence_room_members';

CREATE FUNCTION presence.member_count(book_id text) RETURNS integer
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_member_count';

CREATE FUNCTION presence.user_rooms(user_id text)
RETURNS TABLE (book_id text, joined_at timestamptz, last_active_at timestamptz,
	is_author boolean)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 5
AS 'MODULE_PATHNAME', 'presence_user_rooms';

CREATE FUNCTION presence.touch_room(
	user_id text, book_id text, connection_id text DEFAULT '')
RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_touch_room';

CREATE FUNCTION presence.touch(connections bigint[]) RETURNS bigint[]
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_touch';

CREATE FUNCTION presence.poll_room(
	user_id text, book_id text, connection_id text DEFAULT '',
	known bigint DEFAULT NULL,
	OUT version bigint, OUT joined boolean, OUT members jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_poll_room';

CREATE FUNCTION presence.join_rooms(
	user_ids text[], book_ids text[], connection_ids text[],
	user_infos jsonb[], ttl interval DEFAULT NULL)
RETURNS TABLE (ordinality bigint, id bigint, user_id text, book_id text,
	joined_at timestamptz, last_active_at timestamptz, is_author boolean,
	user_info jsonb, connection bigint, added boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_join_rooms';

CREATE FUNCTION presence.drop_connections(connections bigint[]) RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_drop_connections';

--
-- Pusher
--

CREATE FUNCTION presence.pusher_auth_signature(
	socket_id text, channel_name text, channel_data text DEFAULT NULL,
	app_key text DEFAULT NULL)
RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_auth_signature';

CREATE FUNCTION presence.pusher_authorize_channel(
	user_id text, socket_id text, channel_name text,
	user_info jsonb DEFAULT NULL, app_key text DEFAULT NULL)
RETURNS json
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_authorize_channel';

CREATE FUNCTION presence.pusher_authenticate_user(
	user_id text, socket_id text, user_info jsonb DEFAULT NULL,
	app_key text DEFAULT NULL)
RETURNS json
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_authenticate_user';

CREATE FUNCTION presence.pusher_sign_request(
	method text, path text, body text DEFAULT NULL, params jsonb DEFAULT NULL,
	at timestamptz DEFAULT pg_catalog.now(), app_key text DEFAULT NULL)
RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_sign_request';

CREATE FUNCTION presence.pusher_verify_webhook(
	app_key text, signature text, body text)
RETURNS boolean
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_verify_webhook';

CREATE FUNCTION presence.pusher_apply_webhook(
	app_key text, signature text, body text)
RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_pusher_apply_webhook';

CREATE FUNCTION presence.pusher_apps(OUT app_id text, OUT key text, OUT secret text)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'presence_pusher_apps';

--
-- History
--

CREATE FUNCTION presence.members_at(book_id text, at timestamptz)
RETURNS TABLE (user_id text, user_info jsonb, is_author boolean,
	joined_at timestamptz, left_at timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'presence_members_at';

CREATE FUNCTION presence.peak_members(
	book_id text, since timestamptz, until timestamptz DEFAULT pg_catalog.now())
RETURNS TABLE (members integer, at timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'presence_peak_members';

CREATE FUNCTION presence.time_in_room(
	user_id text, book_id text, since timestamptz DEFAULT '-infinity',
	until timestamptz DEFAULT pg_catalog.now())
RETURNS interval
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_time_in_room';

--
-- Upkeep
--

CREATE FUNCTION presence.sweep(at timestamptz DEFAULT pg_catalog.now()) RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_sweep';

CREATE FUNCTION presence.purge_history(older_than interval) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_purge_history';

CREATE FUNCTION presence.forget_user(user_id text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_forget_user';

CREATE FUNCTION presence.forget_book(book_id text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_forget_book';

CREATE FUNCTION presence.on_delete_forget() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_on_delete_forget';

CREATE FUNCTION presence.grant_app(role regrole) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_grant_app';

CREATE FUNCTION presence.grant_gateway(role regrole) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_grant_gateway';

CREATE FUNCTION presence.grant_monitor(role regrole) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_grant_monitor';

--
-- Views for psql, and the two functions they stand on
--

CREATE FUNCTION presence.liveness(
	user_id text, book_id text,
	OUT connections integer, OUT last_active_at timestamptz, OUT alive boolean)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_liveness';

CREATE FUNCTION presence.statistics(
	OUT joins bigint, OUT leaves bigint, OUT timeouts bigint, OUT events bigint,
	OUT members bigint, OUT connections bigint, OUT worker_pid integer,
	OUT worker_state text, OUT last_sweep timestamptz, OUT since timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_statistics';

CREATE VIEW presence.online AS
SELECT p.id, p.user_id, p.book_id, p.joined_at,
	GREATEST(p.last_active_at, l.last_active_at) AS last_active_at,
	p.is_author, p.user_info, l.connections
FROM presence.room_presence AS p
	CROSS JOIN LATERAL presence.liveness(p.user_id, p.book_id) AS l
WHERE p.left_at IS NULL AND l.alive;

CREATE VIEW presence.rooms AS
SELECT o.book_id AS room, pg_catalog.count(*) AS members,
	pg_catalog.sum(o.connections) AS connections,
	pg_catalog.min(o.joined_at) AS oldest, pg_catalog.max(o.joined_at) AS newest
FROM presence.online AS o
GROUP BY o.book_id;

CREATE VIEW presence.stats AS
SELECT s.joins, s.leaves, s.timeouts, s.events, s.members, s.connections,
	s.worker_pid, s.worker_state, s.last_sweep, s.since
FROM presence.statistics() AS s;

--
-- Access: nothing to PUBLIC, everything to who created the extension, who
-- need not be a superuser and must be able to dump it.
--

DO $$
DECLARE
	statement text;
BEGIN
	FOR statement IN
		SELECT pg_catalog.format('ALTER %s OWNER TO @extowner@', c.object)
		FROM (
			SELECT CASE
					WHEN d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
					THEN pg_catalog.format('FUNCTION %s', d.objid::pg_catalog.regprocedure)
					WHEN r.relkind OPERATOR(pg_catalog.=) 'v'
					THEN pg_catalog.format('VIEW %s', d.objid::pg_catalog.regclass)
					WHEN r.relkind OPERATOR(pg_catalog.=) 'r'
					THEN pg_catalog.format('TABLE %s', d.objid::pg_catalog.regclass)
					WHEN r.relname OPERATOR(pg_catalog.=) ANY (ARRAY['connection_handle', 'event_seq']::pg_catalog.name[])
					THEN pg_catalog.format('SEQUENCE %s', d.objid::pg_catalog.regclass)
				END AS object
			FROM pg_catalog.pg_depend AS d
				JOIN pg_catalog.pg_extension AS e
					ON e.oid OPERATOR(pg_catalog.=) d.refobjid
					AND e.extname OPERATOR(pg_catalog.=) 'presence'
				LEFT JOIN pg_catalog.pg_class AS r
					ON r.oid OPERATOR(pg_catalog.=) d.objid
					AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
			WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
				AND d.deptype OPERATOR(pg_catalog.=) 'e'
		) AS c
		WHERE c.object IS NOT NULL
	LOOP
		EXECUTE statement;
	END LOOP;
END
$$;

-- After the change of owner, so that pg_dump finds the privileges of a new
-- installation to be these.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA presence FROM PUBLIC;
