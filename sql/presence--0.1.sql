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
	ON presence.room_presence (book_id, user_id) WHERE left_at IS NULL;

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
	OUT queued bigint, OUT resyncs bigint, OUT members bigint, OUT connections bigint, OUT worker_pid integer,
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
SELECT s.joins, s.leaves, s.timeouts, s.events, s.queued, s.resyncs, s.members, s.connections,
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
		SELECT pg_catalog.format('ALTER %s', c.object)
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
		EXECUTE pg_catalog.concat(statement, ' OWNER TO @extowner@');
	END LOOP;
END
$$;

-- After the change of owner, so that pg_dump finds the privileges of a new
-- installation to be these.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA presence FROM PUBLIC;

--
-- The manual: \df+ presence.*, \d+ presence.*
--

COMMENT ON SCHEMA presence IS 'who is in which room, kept in the database';

COMMENT ON TABLE presence.room_presence IS
'One row for each stay of a user in a room: the truth, and the history. A stay
is [joined_at, left_at). Written by the functions only.';
COMMENT ON COLUMN presence.room_presence.id IS
'number of the stay, the presence_id of its events; does not grow with time
everywhere: order by joined_at, id';
COMMENT ON COLUMN presence.room_presence.user_id IS 'who: 1 to 128 characters';
COMMENT ON COLUMN presence.room_presence.book_id IS
'the room: 1 to 150 characters of A-Z a-z 0-9 _ - = @ , . ;';
COMMENT ON COLUMN presence.room_presence.joined_at IS
'start of the statement that made the user a member';
COMMENT ON COLUMN presence.room_presence.last_active_at IS
'last sign of life, as of the join or the end; the functions and views know
fresher ones';
COMMENT ON COLUMN presence.room_presence.left_at IS 'NULL: here now';
COMMENT ON COLUMN presence.room_presence.leave_reason IS
'left: by a leave or a closed socket; timeout: the lease ended; removed:
forgotten (in events only, the row is gone)';
COMMENT ON COLUMN presence.room_presence.is_author IS 'whether the user is the author of the book';
COMMENT ON COLUMN presence.room_presence.user_info IS
'what others may see of the user: a JSON object of at most 1024 bytes in
compact form, or NULL';
COMMENT ON INDEX presence.room_presence_open_key IS
'at most one open presence per user and room: what makes a join atomic';
COMMENT ON INDEX presence.room_presence_room_idx IS 'the member list of a room';

COMMENT ON TABLE presence.connection IS
'Tabs and sockets that hold a presence open. Unlogged: after a crash they are
gone, and members get one lease to be joined again.';
COMMENT ON COLUMN presence.connection.connection_id IS
'the caller''s name for it, unique for the user in the room: up to 128
characters';
COMMENT ON COLUMN presence.connection.id IS
'the handle for touch() and drop_connections(), valid on this server';
COMMENT ON COLUMN presence.connection.presence_id IS 'room_presence.id';
COMMENT ON COLUMN presence.connection.ttl IS 'the lease: how long it may be silent';
COMMENT ON COLUMN presence.connection.last_active_at IS 'last join or heartbeat';
COMMENT ON COLUMN presence.connection.expires_at IS
'end of the lease; a restart of the server extends it to a whole one';
COMMENT ON COLUMN presence.connection.stand_in IS
'NULL: a connection. Else nobody is heard on it, but it holds the presence
until expires_at, which then ends with this reason: a closed socket that
lingers, a presence found without connections after a crash, a member only
Pusher has seen';
COMMENT ON SEQUENCE presence.connection_handle IS
'handles of connections; logged, so that none is given twice after a crash';
COMMENT ON SEQUENCE presence.event_seq IS 'seq of events';

COMMENT ON TABLE presence.pusher_app IS
'Pusher apps whose secrets sign. Only the owner reads it; gateways call
pusher_apps().';
COMMENT ON COLUMN presence.pusher_app.app_id IS 'the app''s id in Pusher''s HTTP API';
COMMENT ON COLUMN presence.pusher_app.key IS 'public: in every signature and in the client';
COMMENT ON COLUMN presence.pusher_app.secret IS
'signs; never shown, logged or returned but by pusher_apps()';
COMMENT ON FUNCTION presence.pusher_app_check() IS
'trigger on presence.pusher_app: no column NULL (22004) or empty (22023),
without printing the row';

COMMENT ON FUNCTION presence.join_room(text, text, text, jsonb, boolean, interval) IS
'Makes a user a member of a room, or adds a connection to the one he is, or
renews that connection. user_info and is_author NULL: as they are. ttl: lease
of this connection, 1 second to 1 day, NULL: presence.timeout. Returns the
presence, the connection''s handle, and whether this call made him a member.
Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.leave_room(text, text, text) IS
'Ends a user''s connection in a room, all of them with connection_id NULL.
True: the user is no longer a member, by this call. Errors: 22004, 22023,
25006.';
COMMENT ON FUNCTION presence.room_members(text) IS
'The members of a room, oldest first, with the number of their connections
(NULL on a standby). Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.member_count(text) IS
'The number of members of a room. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.user_rooms(text) IS
'The rooms a user is in, oldest first. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.touch_room(text, text, text) IS
'Heartbeat: renews the lease of a connection. False: it is unknown or its lease
has ended, join again. Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.touch(bigint[]) IS
'Heartbeat of many connections by their handles. Returns those that are unknown
or whose lease has ended: join them again. Errors: 22004, 25006.';
COMMENT ON FUNCTION presence.poll_room(text, text, text, bigint) IS
'For clients that poll: heartbeat and member list in one call. version: of the
list; members: the list as JSON, NULL if its version is the known one; joined
false: the lease is gone, join again. Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.join_rooms(text[], text[], text[], jsonb[], interval) IS
'join_room for many, in one transaction; results in the order of the arguments.
connection_ids and user_infos NULL: '''' and NULL for all. All or nothing.
Errors: 22004, 22023 (also for arrays of different lengths), 25006.';
COMMENT ON FUNCTION presence.drop_connections(bigint[]) IS
'Sockets were closed: ends their connections by handle. With presence.linger, a
member stays that long to come back. Unknown handles do nothing. Returns the
number of members removed now. Errors: 22004, 25006.';

COMMENT ON FUNCTION presence.pusher_auth_signature(text, text, text, text) IS
'Signature for a subscription, as "key:hex": HMAC-SHA256 of
socket_id:channel_name[:channel_data]. Signs any channel; to decide who may
subscribe, use pusher_authorize_channel. app_key NULL: the only app. Errors:
22004, 22023, 42704 (no such app).';
COMMENT ON FUNCTION presence.pusher_authorize_channel(text, text, text, jsonb, text) IS
'The answer to pusher-js''s channel authorization: {"auth"} for
private-user-{user_id}, {"auth", "channel_data"} for a room. user_info NULL:
that of the open presence. Errors: 42501 for any other channel and for a room
that is full (presence.pusher_max_members), 22004, 22023, 42704.';
COMMENT ON FUNCTION presence.pusher_authenticate_user(text, text, jsonb, text) IS
'The answer to pusher-js''s user authentication (signin): {"auth",
"user_data"}. Errors: 22004, 22023, 42704.';
COMMENT ON FUNCTION presence.pusher_sign_request(text, text, text, jsonb, timestamptz, text) IS
'The signed query string of a call of Pusher''s HTTP API, percent-encoded.
params: a JSON object of further parameters. Errors: 22004, 22023, 42704.';
COMMENT ON FUNCTION presence.pusher_verify_webhook(text, text, text) IS
'Whether a webhook''s body was signed by the app: app_key is its X-Pusher-Key,
signature its X-Pusher-Signature. False for an unknown key. Errors: 22004.';
COMMENT ON FUNCTION presence.pusher_apply_webhook(text, text, text) IS
'Verifies a webhook and applies it: member_added makes a member, member_removed
ends the user''s presence, channel_vacated empties the room; others are
ignored. Returns the number of members added and removed. Errors: 42501
(signature), 22P02 (no JSON), 22023 (no events), 22004, 25006.';
COMMENT ON FUNCTION presence.pusher_apps() IS
'Apps with their secrets, for gateways, which verify signatures themselves.';

COMMENT ON FUNCTION presence.members_at(text, timestamptz) IS
'Who was in a room at a moment: joined at it or before, and not left at it.
Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.peak_members(text, timestamptz, timestamptz) IS
'The greatest number of members at one moment in [since, until), and the first
such moment; 0 and since if there was nobody, 0 and NULL if the range is
empty. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.time_in_room(text, text, timestamptz, timestamptz) IS
'How long a user was in a room within [since, until); an open presence counts
until now. Errors: 22004, 22023.';

COMMENT ON FUNCTION presence.sweep(timestamptz) IS
'Ends what has expired at that moment, but what another transaction holds
locked; gives presences without any connection one lease. The worker does it
by itself; without shared_preload_libraries call it every few seconds. Returns
the number of members removed. Errors: 22004, 25006.';
COMMENT ON FUNCTION presence.purge_history(interval) IS
'Deletes presences that ended longer ago than that; returns their number.
Errors: 22004, 22023 (negative), 25006.';
COMMENT ON FUNCTION presence.forget_user(text) IS
'Deletes all presences of a user, open (with member_removed, reason removed)
and past; returns their number. Reads the whole history. Errors: 22004, 22023,
25006.';
COMMENT ON FUNCTION presence.forget_book(text) IS
'Deletes all presences in a room, open (with member_removed, reason removed)
and past; returns their number. Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.on_delete_forget() IS
'Trigger AFTER DELETE FOR EACH ROW on the app''s own table: forgets the user or
book. Arguments: ''user'' or ''book'', and the column with the id. Errors:
22023, 42703, 39P01.';
COMMENT ON FUNCTION presence.grant_app(regrole) IS
'Gives a role what an application server needs: rooms, history, Pusher,
forgetting. No table, no secret. Must be called by the extension''s owner.';
COMMENT ON FUNCTION presence.grant_gateway(regrole) IS
'Gives a role what a gateway needs: grant_app, the batch functions, sweep,
presence.online with its presence ids, and the apps with their secrets. Must
be called by the extension''s owner.';
COMMENT ON FUNCTION presence.grant_monitor(regrole) IS
'Gives a role the views and the functions that read. Must be called by the
extension''s owner.';

COMMENT ON FUNCTION presence.liveness(text, text) IS
'What presence.online shows of the connections of an open presence: their
number and last sign of life (NULL on a standby), and whether a lease still
holds it.';
COMMENT ON FUNCTION presence.statistics() IS 'What presence.stats shows.';
COMMENT ON VIEW presence.online IS 'open presences, with connections and the last sign of life';
COMMENT ON VIEW presence.rooms IS
'rooms with members: how many, with how many connections, since when';
COMMENT ON VIEW presence.stats IS
'counters of this database since the server''s start (NULL without
shared_preload_libraries): members joined, left, timed out, events, of which
queued are not sent yet, resyncs sent; members and connections now; the
worker''s pid and state, its last sweep';
