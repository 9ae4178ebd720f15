-- presence 0.2 to 0.3: one truth of who is connected, events that prove where they come from,
-- several keys an app, history by index.

\echo Use "ALTER EXTENSION presence UPDATE TO '0.3'" to load this file. \quit

--
-- Tables
--

-- History by user (last_seen, forget_user), and by age (purge). The second one costs a write
-- next to nothing: rows that end together are written together.
CREATE INDEX room_presence_user_idx
	ON presence.room_presence (user_id, left_at) WHERE left_at IS NOT NULL;
CREATE INDEX room_presence_left_idx
	ON presence.room_presence USING brin (left_at) WITH (pages_per_range = 32, autosummarize = on)
	WHERE left_at IS NOT NULL;

-- An open presence is updated once, when it ends. Vacuum looks after a number of rows, not
-- after a fifth of a history that may have millions.
ALTER TABLE presence.room_presence SET (
	autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
	autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

-- The key that the mac of events is made with; the functions make one where there is none. Unlogged:
-- neither a dump nor a replica has it.
CREATE UNLOGGED TABLE presence.event_secret (
	id boolean NOT NULL DEFAULT true CHECK (id),
	key bytea NOT NULL,
	CONSTRAINT event_secret_pkey PRIMARY KEY (id)
);
ALTER TABLE presence.event_secret ENABLE ROW LEVEL SECURITY;

-- The last event of each cache channel. Unlogged, and nobody's to read, as above.
CREATE UNLOGGED TABLE presence.channel_cache (
	app_id text COLLATE "C" NOT NULL,
	channel text COLLATE "C" NOT NULL,
	message text COLLATE "C" NOT NULL,
	expires_at timestamptz NOT NULL,
	CONSTRAINT channel_cache_pkey PRIMARY KEY (app_id, channel)
);
CREATE INDEX channel_cache_age_idx ON presence.channel_cache (app_id, expires_at);
ALTER TABLE presence.channel_cache ENABLE ROW LEVEL SECURITY;

-- Several keys an app: a new one is inserted beside the old one, which is disabled and
-- deleted when no client uses it any more.
ALTER TABLE presence.pusher_app
	ADD COLUMN room_prefix text COLLATE "C" NOT NULL DEFAULT '',
	ADD COLUMN enabled boolean NOT NULL DEFAULT true,
	ADD COLUMN client_events boolean NOT NULL DEFAULT true,
	ADD COLUMN max_connections integer,
	ADD COLUMN allowed_origins text[] COLLATE "C",
	ADD COLUMN encryption_master_key text COLLATE "C",
	ADD COLUMN presence_channels text COLLATE "C" NOT NULL DEFAULT 'refuse',
	ADD COLUMN require_tls boolean NOT NULL DEFAULT false,
	ADD COLUMN subscription_count boolean NOT NULL DEFAULT false,
	ADD COLUMN max_listed_members integer;
ALTER TABLE presence.pusher_app
	DROP CONSTRAINT pusher_app_key_key,
	DROP CONSTRAINT pusher_app_pkey;
ALTER TABLE presence.pusher_app
	ADD CONSTRAINT pusher_app_pkey PRIMARY KEY (key);

CREATE FUNCTION presence.pusher_app_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'presence_pusher_app_changed';

CREATE TRIGGER pusher_app_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON presence.pusher_app
	FOR EACH STATEMENT EXECUTE FUNCTION presence.pusher_app_changed();

-- How many subscriptions each gateway has to channels that are no rooms. Who does not
-- report for a while is gone. A count is updated in place.
CREATE UNLOGGED TABLE presence.gateway (
	id text COLLATE "C" NOT NULL,
	since timestamptz NOT NULL,
	seen timestamptz NOT NULL,
	CONSTRAINT gateway_pkey PRIMARY KEY (id)
) WITH (fillfactor = 50);
CREATE UNLOGGED TABLE presence.gateway_channel (
	app_id text COLLATE "C" NOT NULL,
	channel text COLLATE "C" NOT NULL,
	gateway text COLLATE "C" NOT NULL,
	subscriptions integer NOT NULL,
	CONSTRAINT gateway_channel_pkey PRIMARY KEY (app_id, channel, gateway)
) WITH (fillfactor = 70);
CREATE INDEX gateway_channel_gateway_idx ON presence.gateway_channel (gateway);

-- What is told to the servers of apps. A transaction that changes a room adds a row for each
-- webhook that wants to know: it is told if that commits, and not if it does not. A gateway takes
-- them in order, and deletes what was received.
CREATE TABLE presence.pusher_webhook (
	id bigint GENERATED ALWAYS AS IDENTITY,
	app_id text COLLATE "C" NOT NULL,
	url text COLLATE "C" NOT NULL,
	events text[] COLLATE "C" NOT NULL
		DEFAULT '{channel_occupied,channel_vacated,member_added,member_removed}',
	enabled boolean NOT NULL DEFAULT true,
	key text COLLATE "C",
	CONSTRAINT pusher_webhook_pkey PRIMARY KEY (id)
);
CREATE TABLE presence.webhook_event (
	webhook bigint NOT NULL,
	id bigint GENERATED ALWAYS AS IDENTITY,
	name text COLLATE "C" NOT NULL,
	channel text COLLATE "C" NOT NULL,
	event text COLLATE "C" NOT NULL,
	hint boolean NOT NULL DEFAULT false,
	at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	due timestamptz NOT NULL DEFAULT pg_catalog.now(),
	CONSTRAINT webhook_event_pkey PRIMARY KEY (webhook, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX webhook_event_hint_idx ON presence.webhook_event (webhook, id) WHERE hint;
CREATE INDEX webhook_event_room_idx ON presence.webhook_event (webhook, channel) WHERE hint;
CREATE UNIQUE INDEX webhook_event_count_key ON presence.webhook_event (webhook, channel)
	WHERE name OPERATOR(pg_catalog.=) 'subscription_count';
CREATE TABLE presence.webhook_channel (
	webhook bigint NOT NULL,
	channel text COLLATE "C" NOT NULL,
	room boolean NOT NULL,
	CONSTRAINT webhook_channel_pkey PRIMARY KEY (webhook, channel)
);

CREATE FUNCTION presence.pusher_webhook_check() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'presence_pusher_webhook_check';
CREATE FUNCTION presence.pusher_webhook_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'presence_pusher_webhook_changed';

CREATE TRIGGER pusher_webhook_check BEFORE INSERT OR UPDATE ON presence.pusher_webhook
	FOR EACH ROW EXECUTE FUNCTION presence.pusher_webhook_check();
CREATE TRIGGER pusher_webhook_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON presence.pusher_webhook
	FOR EACH STATEMENT EXECUTE FUNCTION presence.pusher_webhook_changed();

-- What waits is for this server to tell, not for a copy of it.
SELECT pg_catalog.pg_extension_config_dump('presence.pusher_webhook', '');
SELECT pg_catalog.pg_extension_config_dump('presence.pusher_webhook_id_seq', '');

--
-- Functions with another signature
--

-- Who may execute what, until now; to be granted again at the end.
CREATE TABLE presence.old_grants AS
SELECT p.proname AS name, pg_catalog.pg_get_userbyid(a.grantee) AS role
FROM pg_catalog.pg_proc AS p
	JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
	CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS a
WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'
	AND a.privilege_type OPERATOR(pg_catalog.=) 'EXECUTE'
	AND a.grantee OPERATOR(pg_catalog.<>) p.proowner
	AND a.grantee OPERATOR(pg_catalog.<>) 0::pg_catalog.oid;

DROP FUNCTION presence.join_room(text, text, text, jsonb, boolean, interval);
CREATE FUNCTION presence.join_room(
	user_id text, book_id text, connection_id text DEFAULT '',
	user_info jsonb DEFAULT NULL, is_author boolean DEFAULT NULL,
	ttl interval DEFAULT NULL, capacity integer DEFAULT NULL,
	OUT id bigint, OUT user_id text, OUT book_id text,
	OUT joined_at timestamptz, OUT last_active_at timestamptz,
	OUT is_author boolean, OUT user_info jsonb,
	OUT connection bigint, OUT added boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_join_room';

DROP FUNCTION presence.join_rooms(text[], text[], text[], jsonb[], interval);
CREATE FUNCTION presence.join_rooms(
	user_ids text[], book_ids text[], connection_ids text[],
	user_infos jsonb[], ttl interval DEFAULT NULL, is_authors boolean[] DEFAULT NULL,
	skip_locked boolean DEFAULT false, keep_info boolean DEFAULT false)
RETURNS TABLE (ordinality bigint, id bigint, user_id text, book_id text,
	joined_at timestamptz, last_active_at timestamptz, is_author boolean,
	user_info jsonb, connection bigint, added boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_join_rooms';

DROP FUNCTION presence.pusher_authorize_channel(text, text, text, jsonb, text);
CREATE FUNCTION presence.pusher_authorize_channel(
	user_id text, socket_id text, channel_name text,
	user_info jsonb DEFAULT NULL, app_key text DEFAULT NULL, watch boolean DEFAULT false)
RETURNS json
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_authorize_channel';

DROP FUNCTION presence.pusher_authenticate_user(text, text, jsonb, text);
CREATE FUNCTION presence.pusher_authenticate_user(
	user_id text, socket_id text, user_info jsonb DEFAULT NULL,
	app_key text DEFAULT NULL, watchlist text[] DEFAULT NULL)
RETURNS json
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_authenticate_user';

DROP FUNCTION presence.pusher_apps();
CREATE FUNCTION presence.pusher_apps(
	OUT app_id text, OUT key text, OUT secret text, OUT room_prefix text, OUT enabled boolean,
	OUT client_events boolean, OUT max_connections integer, OUT allowed_origins text[],
	OUT presence_channels text, OUT require_tls boolean, OUT subscription_count boolean,
	OUT max_listed_members integer, OUT webhook_events text[])
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'presence_pusher_apps';

--
-- New functions
--

CREATE FUNCTION presence.event_key() RETURNS bytea
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_event_key';

CREATE FUNCTION presence.poll_room_changes(
	user_id text, book_id text, connection_id text DEFAULT '', known bigint DEFAULT NULL,
	OUT version bigint, OUT joined boolean, OUT members jsonb, OUT added jsonb, OUT removed jsonb)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_poll_room_changes';

CREATE FUNCTION presence.pusher_shared_secret(channel_name text, app_key text DEFAULT NULL)
RETURNS text
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_pusher_shared_secret';

CREATE FUNCTION presence.cache_events(app_ids text[], channels text[], messages text[])
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_cache_events';

CREATE FUNCTION presence.cached_events(app_ids text[], channels text[])
RETURNS TABLE (app_id text, channel text, message text, ttl integer)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'presence_cached_events';

CREATE FUNCTION presence.purge_cache() RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_purge_cache';

CREATE FUNCTION presence.report_channels(
	gateway text, app_ids text[], channels text[], subscriptions integer[],
	whole boolean DEFAULT false)
RETURNS TABLE (app_id text, channel text, subscriptions integer, version bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_report_channels';

CREATE FUNCTION presence.channel_counts(
	app_id text, channels text[], except_gateway text DEFAULT NULL)
RETURNS TABLE (channel text, subscriptions integer)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'presence_channel_counts';

CREATE FUNCTION presence.occupied_channels(
	app_id text, prefix text DEFAULT '', except_gateway text DEFAULT NULL)
RETURNS TABLE (channel text, subscriptions integer)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_occupied_channels';

CREATE FUNCTION presence.webhook_emit(
	app_ids text[], names text[], channels text[], events text[]) RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_webhook_emit';

CREATE FUNCTION presence.webhook_take(busy bigint[] DEFAULT '{}', max_events integer DEFAULT 500,
	OUT webhook bigint, OUT url text, OUT key text, OUT secret text, OUT ids bigint[], OUT body text)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'presence_webhook_take';

CREATE FUNCTION presence.webhook_done(webhook bigint, ids bigint[]) RETURNS integer
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_webhook_done';

CREATE FUNCTION presence.webhook_tidy(max_age interval DEFAULT '24 h', max_events integer DEFAULT 100000,
	OUT waiting bigint, OUT dropped bigint)
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'presence_webhook_tidy';

CREATE FUNCTION presence.online_users(user_ids text[])
RETURNS TABLE (user_id text, book_ids text[], since timestamptz, last_active_at timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'presence_online_users';

CREATE FUNCTION presence.last_seen(user_ids text[])
RETURNS TABLE (user_id text, last_seen_at timestamptz, book_id text, online boolean)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'presence_last_seen';

-- ROWS of these: those that are asked for as a rule.
CREATE FUNCTION presence.largest_rooms(max integer DEFAULT 10)
RETURNS TABLE (book_id text, members integer)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'presence_largest_rooms';

CREATE FUNCTION presence.busiest_hours(
	book_id text, since timestamptz, until timestamptz DEFAULT pg_catalog.now(), time_zone text DEFAULT NULL)
RETURNS TABLE (hour integer, average_members double precision, joins bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 24 AS 'MODULE_PATHNAME', 'presence_busiest_hours';

CREATE FUNCTION presence.peak_members_by_day(
	book_id text, since timestamptz, until timestamptz DEFAULT pg_catalog.now(), time_zone text DEFAULT NULL)
RETURNS TABLE (day date, members integer, at timestamptz)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 30 AS 'MODULE_PATHNAME', 'presence_peak_members_by_day';

CREATE FUNCTION presence.average_stay(
	book_id text, since timestamptz DEFAULT '-infinity', until timestamptz DEFAULT pg_catalog.now())
RETURNS TABLE (stays bigint, users bigint, average interval, median interval)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1 AS 'MODULE_PATHNAME', 'presence_average_stay';

CREATE FUNCTION presence.connection_list()
RETURNS TABLE (book_id text, user_id text, connection_id text, id bigint, presence_id bigint,
	ttl interval, last_active_at timestamptz, expires_at timestamptz, stand_in text)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_connection_list';

-- ROWS: so few that a join takes this side for the one to be hashed.
CREATE FUNCTION presence.liveness_list()
RETURNS TABLE (presence_id bigint, connections integer, last_active_at timestamptz, alive boolean)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100 AS 'MODULE_PATHNAME', 'presence_liveness_list';

CREATE FUNCTION presence.memory(OUT memory_used bigint, OUT memory_limit bigint)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_memory';

CREATE FUNCTION presence.check()
RETURNS TABLE (severity text, name text, detail text, hint text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'presence_check';

--
-- Many machines, with Citus: tables are local on each node, and a call goes to the node of its
-- room. What is below is read when it is called: Citus need not be there before.
--

-- Always empty. How Citus distributes it says on which node each room is. The collation is that of
-- an application's tables, which can be colocated with it.
CREATE TABLE presence.room_shard (
	book_id text NOT NULL
);

CREATE FUNCTION presence.room_node(book_id text, OUT nodename text, OUT nodeport integer)
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_room_node';

CREATE FUNCTION presence.is_sharded() RETURNS boolean
LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'presence_is_sharded';

CREATE FUNCTION presence.shards(OUT first_hash integer, OUT last_hash integer,
	OUT nodename text, OUT nodeport integer, OUT is_local boolean)
RETURNS SETOF record
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 32 AS 'MODULE_PATHNAME', 'presence_shards';

-- For on_all_nodes: what a node answers.
CREATE FUNCTION presence.query_as_json(query text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET presence.moved_rooms TO on AS $$
DECLARE
	answer pg_catalog.jsonb;
BEGIN
	EXECUTE pg_catalog.format(
		'SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(q)), ''[]'') FROM (%s) AS q', query)
	INTO answer;
	RETURN answer;
END
$$;

CREATE FUNCTION presence.on_all_nodes(query text)
RETURNS TABLE (nodename text, nodeport integer, result jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100 AS $$
DECLARE
	node record;
BEGIN
	IF query IS NULL THEN
		RAISE 'query must not be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF NOT presence.is_sharded() THEN
		RETURN QUERY SELECT NULL::pg_catalog.text, NULL::integer, e.value
			FROM pg_catalog.jsonb_array_elements(presence.query_as_json(query)) AS e;
		RETURN;
	END IF;
	FOR node IN
		SELECT n.nodename, n.nodeport, a.success, a.result
		FROM pg_catalog.run_command_on_all_nodes(
				pg_catalog.format('SELECT presence.query_as_json(%L)', query)) AS a
			LEFT JOIN pg_catalog.pg_dist_node AS n ON n.nodeid OPERATOR(pg_catalog.=) a.nodeid
	LOOP
		IF NOT node.success THEN
			RAISE '%', node.result USING ERRCODE = 'external_routine_exception',
				DETAIL = pg_catalog.format('The node is %s:%s.', node.nodename, node.nodeport);
		END IF;
		RETURN QUERY SELECT node.nodename, node.nodeport, e.value
			FROM pg_catalog.jsonb_array_elements(node.result::pg_catalog.jsonb) AS e;
	END LOOP;
END
$$;

-- Raises what is in the way of a command about the whole cluster.
CREATE FUNCTION presence.check_citus() RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
DECLARE
	version pg_catalog.text;
BEGIN
	SELECT e.extversion INTO version FROM pg_catalog.pg_extension AS e
	WHERE e.extname OPERATOR(pg_catalog.=) 'citus';
	IF version IS NULL THEN
		RAISE 'extension "citus" is not installed' USING ERRCODE = 'undefined_object',
			HINT = 'Preload it on each node, CREATE EXTENSION citus, and add the nodes: docs/scaling.md.';
	END IF;
	IF pg_catalog.split_part(version, '.', 1)::integer OPERATOR(pg_catalog.<) 12 THEN
		RAISE 'Citus % is too old', version USING ERRCODE = 'feature_not_supported',
			HINT = 'Citus 12 and newer send function calls on as presence needs it.';
	END IF;
	IF (SELECT l.groupid FROM pg_catalog.pg_dist_local_group AS l) OPERATOR(pg_catalog.<>) 0 THEN
		RAISE 'this is a worker of the cluster' USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call it on the coordinator.';
	END IF;
	IF NOT EXISTS (
		SELECT FROM pg_catalog.pg_dist_node AS n WHERE n.groupid OPERATOR(pg_catalog.=) 0)
	THEN
		RAISE 'the workers do not know the coordinator'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'SELECT citus_set_coordinator_host(...) tells them its name; then call this again.';
	END IF;
END
$$;

-- What each worker is told, as statements of PL/pgSQL: that there is presence, who may do what,
-- which numbers it gives. That of a stay begins with the number of the node's group, so that no two
-- nodes give the same.
CREATE FUNCTION presence.worker_commands() RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED AS $$
BEGIN
	RETURN NEXT 'SET LOCAL search_path = pg_catalog';
	RETURN NEXT 'SET LOCAL citus.enable_ddl_propagation = off';
	RETURN QUERY SELECT pg_catalog.format(
			'CREATE EXTENSION IF NOT EXISTS presence VERSION %L', e.extversion)
		FROM pg_catalog.pg_extension AS e
		WHERE e.extname OPERATOR(pg_catalog.=) 'presence';
	RETURN QUERY SELECT pg_catalog.format('GRANT %s ON %s TO %I', a.privilege_type, o.object, r.rolname)
		FROM (
			SELECT 'SCHEMA presence' AS object, n.nspacl AS acl, n.nspowner AS owner
			FROM pg_catalog.pg_namespace AS n
			WHERE n.nspname OPERATOR(pg_catalog.=) 'presence'
			UNION ALL
			SELECT pg_catalog.format('FUNCTION presence.%I(%s)', p.proname,
				pg_catalog.pg_get_function_identity_arguments(p.oid)), p.proacl, p.proowner
			FROM pg_catalog.pg_proc AS p
			WHERE p.pronamespace OPERATOR(pg_catalog.=) 'presence'::pg_catalog.regnamespace
			UNION ALL
			SELECT pg_catalog.format('TABLE presence.%I', c.relname), c.relacl, c.relowner
			FROM pg_catalog.pg_class AS c
			WHERE c.relnamespace OPERATOR(pg_catalog.=) 'presence'::pg_catalog.regnamespace
				AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'v']::pg_catalog."char"[])
		) AS o
			CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a
			JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
		WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner;
	RETURN NEXT
		'PERFORM pg_catalog.setval(s.oid::pg_catalog.regclass, (g.groupid::bigint << 48) + 1, false)'
		' FROM pg_catalog.pg_class AS s, pg_catalog.pg_dist_local_group AS g'
		' WHERE s.relnamespace = ''presence''::pg_catalog.regnamespace AND s.relkind = ''S'''
		' AND COALESCE(pg_catalog.pg_sequence_last_value(s.oid), 0) >> 48 <> g.groupid';
END
$$;

-- The functions that are about one room. liveness() is not: it tells of a row of this node.
CREATE FUNCTION presence.room_functions() RETURNS SETOF regprocedure
LANGUAGE sql STABLE PARALLEL RESTRICTED AS $$
	SELECT p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace OPERATOR(pg_catalog.=) 'presence'::pg_catalog.regnamespace
		AND 'book_id' OPERATOR(pg_catalog.=) ANY (p.proargnames[1:p.pronargs])
		AND p.proname OPERATOR(pg_catalog.<>) ALL (ARRAY['liveness', 'room_node']::pg_catalog.name[])
$$;

CREATE FUNCTION presence.shard_with_citus(shard_count integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE AS $$
DECLARE
	commands pg_catalog.text;
	node record;
BEGIN
	PERFORM presence.check_citus();
	-- of several statements Citus waits for the first one only
	SELECT pg_catalog.format('DO %L', pg_catalog.concat('BEGIN ', pg_catalog.string_agg(c, '; '), '; END'))
	INTO commands FROM presence.worker_commands() AS c;
	FOR node IN SELECT w.* FROM pg_catalog.run_command_on_workers(commands) AS w LOOP
		IF NOT node.success THEN
			RAISE '%', node.result USING ERRCODE = 'external_routine_exception',
				DETAIL = pg_catalog.format('The node is %s:%s.', node.nodename, node.nodeport),
				HINT = 'Each node needs the library of presence, and the roles that may call it.';
		END IF;
	END LOOP;
	IF NOT presence.is_sharded() THEN
		PERFORM pg_catalog.create_distributed_table('presence.room_shard', 'book_id',
			colocate_with => 'none', shard_count => shard_count);
	END IF;
	PERFORM pg_catalog.create_distributed_function(f, 'book_id',
			colocate_with => 'presence.room_shard', force_delegation => true)
		FROM presence.room_functions() AS f;
END
$$;

-- What Citus does with a distributed table that is dropped, but the drop: undistribute_table() makes
-- another table in its place, which can't be where an extension owns it. Without a table beside which
-- they are, Citus leaves the functions where they are called.
CREATE FUNCTION presence.unshard_from_citus() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE AS $$
DECLARE
	room_shard CONSTANT pg_catalog.regclass := 'presence.room_shard';
BEGIN
	PERFORM presence.check_citus();
	IF NOT presence.is_sharded() THEN
		RETURN;
	END IF;
	IF EXISTS (
		SELECT FROM pg_catalog.pg_dist_partition AS o
			JOIN pg_catalog.pg_dist_partition AS r ON r.colocationid OPERATOR(pg_catalog.=) o.colocationid
		WHERE r.logicalrelid OPERATOR(pg_catalog.=) room_shard
			AND o.logicalrelid OPERATOR(pg_catalog.<>) room_shard)
	THEN
		RAISE 'other tables are colocated with presence.room_shard'
			USING ERRCODE = 'dependent_objects_still_exist',
				HINT = 'undistribute_table() them first.';
	END IF;
	PERFORM pg_catalog.master_remove_distributed_table_metadata_from_workers(
		room_shard, 'presence', 'room_shard');
	PERFORM pg_catalog.citus_drop_all_shards(room_shard, 'presence', 'room_shard');
	PERFORM pg_catalog.master_remove_partition_metadata(room_shard, 'presence', 'room_shard');
END
$$;

--
-- Views: one pass
--

CREATE OR REPLACE VIEW presence.online AS
SELECT p.id, p.user_id, p.book_id, p.joined_at,
	GREATEST(p.last_active_at, l.last_active_at) AS last_active_at,
	p.is_author, p.user_info,
	CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN COALESCE(l.connections, 0) END AS connections
FROM presence.room_presence AS p
	LEFT JOIN presence.liveness_list() AS l ON l.presence_id OPERATOR(pg_catalog.=) p.id
WHERE p.left_at IS NULL AND l.alive IS NOT FALSE;

CREATE OR REPLACE VIEW presence.connections AS
SELECT c.book_id, c.user_id, c.connection_id, c.id, c.presence_id, c.ttl, c.last_active_at,
	c.expires_at, c.stand_in
FROM presence.connection_list() AS c;

-- Columns are added at the end.
CREATE OR REPLACE VIEW presence.stats AS
SELECT s.joins, s.leaves, s.timeouts, s.events, s.queued, s.resyncs, s.members, s.connections,
	s.worker_pid, s.worker_state, s.last_sweep, s.since, m.memory_used, m.memory_limit
FROM presence.statistics() AS s, presence.memory() AS m;

--
-- Access. What is new belongs to the owner of the tables, as all that is old: who owns the
-- extension may be another one, after pg_upgrade.
--

DO $$
DECLARE
	owner text;
	object text;
BEGIN
	SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)) INTO owner
	FROM pg_catalog.pg_class AS c
	WHERE c.oid OPERATOR(pg_catalog.=) 'presence.room_presence'::pg_catalog.regclass;
	-- a schema that another extension of this name left behind is another owner's
	EXECUTE pg_catalog.concat('ALTER SCHEMA presence OWNER TO ', owner);
	FOREACH object IN ARRAY ARRAY[
		'TABLE presence.event_secret', 'TABLE presence.channel_cache',
		'FUNCTION presence.pusher_authorize_channel(text, text, text, jsonb, text, boolean)',
		'FUNCTION presence.pusher_authenticate_user(text, text, jsonb, text, text[])',
		'FUNCTION presence.pusher_shared_secret(text, text)',
		'FUNCTION presence.cache_events(text[], text[], text[])',
		'FUNCTION presence.cached_events(text[], text[])', 'FUNCTION presence.purge_cache()',
		'TABLE presence.gateway', 'TABLE presence.gateway_channel',
		'TABLE presence.pusher_webhook', 'TABLE presence.webhook_event', 'TABLE presence.webhook_channel',
		'VIEW presence.connections',
		'FUNCTION presence.webhook_emit(text[], text[], text[], text[])',
		'FUNCTION presence.webhook_take(bigint[], integer)',
		'FUNCTION presence.webhook_done(bigint, bigint[])',
		'FUNCTION presence.webhook_tidy(interval, integer)',
		'FUNCTION presence.pusher_webhook_check()',
		'FUNCTION presence.pusher_webhook_changed()',
		'FUNCTION presence.report_channels(text, text[], text[], integer[], boolean)',
		'FUNCTION presence.channel_counts(text, text[], text)',
		'FUNCTION presence.occupied_channels(text, text, text)',
		'FUNCTION presence.join_room(text, text, text, jsonb, boolean, interval, integer)',
		'FUNCTION presence.join_rooms(text[], text[], text[], jsonb[], interval, boolean[], boolean, boolean)',
		'FUNCTION presence.pusher_apps()', 'FUNCTION presence.event_key()',
		'FUNCTION presence.online_users(text[])', 'FUNCTION presence.last_seen(text[])',
		'FUNCTION presence.poll_room_changes(text, text, text, bigint)',
		'FUNCTION presence.largest_rooms(integer)',
		'FUNCTION presence.busiest_hours(text, timestamptz, timestamptz, text)',
		'FUNCTION presence.peak_members_by_day(text, timestamptz, timestamptz, text)',
		'FUNCTION presence.average_stay(text, timestamptz, timestamptz)',
		'FUNCTION presence.connection_list()', 'FUNCTION presence.liveness_list()',
		'FUNCTION presence.memory()', 'FUNCTION presence.check()',
		'FUNCTION presence.pusher_app_changed()',
		'TABLE presence.room_shard', 'FUNCTION presence.room_node(text)',
		'FUNCTION presence.on_all_nodes(text)', 'FUNCTION presence.query_as_json(text)',
		'FUNCTION presence.is_sharded()', 'FUNCTION presence.shards()',
		'FUNCTION presence.check_citus()', 'FUNCTION presence.worker_commands()',
		'FUNCTION presence.shard_with_citus(integer)', 'FUNCTION presence.unshard_from_citus()',
		'FUNCTION presence.room_functions()']
	LOOP
		EXECUTE pg_catalog.format('ALTER %s OWNER TO %s', object, owner);
	END LOOP;
END
$$;

-- After the change of owner, so that pg_dump finds the privileges of a new installation to be these.
REVOKE ALL ON FUNCTION presence.join_room(text, text, text, jsonb, boolean, interval, integer),
	presence.join_rooms(text[], text[], text[], jsonb[], interval, boolean[], boolean, boolean),
	presence.pusher_authorize_channel(text, text, text, jsonb, text, boolean),
	presence.pusher_authenticate_user(text, text, jsonb, text, text[]),
	presence.pusher_shared_secret(text, text),
	presence.cache_events(text[], text[], text[]), presence.cached_events(text[], text[]),
	presence.purge_cache(),
	presence.pusher_apps(), presence.event_key(), presence.online_users(text[]),
	presence.last_seen(text[]), presence.largest_rooms(integer),
	presence.poll_room_changes(text, text, text, bigint),
	presence.busiest_hours(text, timestamptz, timestamptz, text),
	presence.peak_members_by_day(text, timestamptz, timestamptz, text),
	presence.average_stay(text, timestamptz, timestamptz),
	presence.connection_list(), presence.liveness_list(),
	presence.memory(), presence.check(), presence.pusher_app_changed(),
	presence.report_channels(text, text[], text[], integer[], boolean),
	presence.channel_counts(text, text[], text),
	presence.occupied_channels(text, text, text),
	presence.webhook_emit(text[], text[], text[], text[]),
	presence.webhook_take(bigint[], integer),
	presence.webhook_done(bigint, bigint[]),
	presence.webhook_tidy(interval, integer),
	presence.pusher_webhook_check(),
	presence.pusher_webhook_changed(),
	presence.room_node(text), presence.on_all_nodes(text), presence.is_sharded(),
	presence.shards(), presence.query_as_json(text),
	presence.check_citus(), presence.worker_commands(), presence.room_functions(),
	presence.shard_with_citus(integer), presence.unshard_from_citus() FROM PUBLIC;

-- A GRANT in this script would count as the extension's own, and pg_dump would leave it out.
CREATE FUNCTION presence.grant_for_good(statement text) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'presence_grant_for_good';

DO $$
DECLARE
	one record;
BEGIN
	FOR one IN
		SELECT DISTINCT n.object, g.role
		FROM presence.old_grants AS g
			JOIN (VALUES
				('join_room', 'FUNCTION presence.join_room'),
				('join_rooms', 'FUNCTION presence.join_rooms'),
				('pusher_authorize_channel', 'FUNCTION presence.pusher_authorize_channel'),
				('pusher_authenticate_user', 'FUNCTION presence.pusher_authenticate_user'),
				('pusher_auth_signature', 'FUNCTION presence.pusher_shared_secret'),
				('pusher_apps', 'FUNCTION presence.pusher_apps'),
				('pusher_apps', 'FUNCTION presence.event_key'),
				('poll_room', 'FUNCTION presence.poll_room_changes'),
				('pusher_apps', 'FUNCTION presence.cache_events'),
				('pusher_apps', 'FUNCTION presence.cached_events'),
				('pusher_apps', 'FUNCTION presence.purge_cache'),
				('pusher_apps', 'FUNCTION presence.report_channels'),
				('pusher_apps', 'FUNCTION presence.channel_counts'),
				('pusher_apps', 'FUNCTION presence.occupied_channels'),
				('pusher_apps', 'FUNCTION presence.webhook_emit'),
				('pusher_apps', 'FUNCTION presence.webhook_take'),
				('pusher_apps', 'FUNCTION presence.webhook_done'),
				('pusher_apps', 'FUNCTION presence.webhook_tidy'),
				('user_rooms', 'FUNCTION presence.online_users'),
				('user_rooms', 'FUNCTION presence.last_seen'),
				('user_rooms', 'FUNCTION presence.largest_rooms'),
				('user_rooms', 'FUNCTION presence.busiest_hours'),
				('user_rooms', 'FUNCTION presence.peak_members_by_day'),
				('user_rooms', 'FUNCTION presence.average_stay'),
				('user_rooms', 'FUNCTION presence.room_node'),
				('user_rooms', 'FUNCTION presence.on_all_nodes'),
				('user_rooms', 'FUNCTION presence.is_sharded'),
				('user_rooms', 'FUNCTION presence.shards'),
				('user_rooms', 'FUNCTION presence.query_as_json'),
				('liveness', 'FUNCTION presence.liveness_list'),
				('statistics', 'FUNCTION presence.memory'),
				('statistics', 'FUNCTION presence.check'),
				('statistics', 'FUNCTION presence.connection_list'),
				('statistics', 'TABLE presence.connections')) AS n(name, object)
			ON g.name OPERATOR(pg_catalog.=) n.name::pg_catalog.name
	LOOP
		PERFORM presence.grant_for_good(pg_catalog.format('GRANT %s ON %s TO %I',
			CASE WHEN pg_catalog.starts_with(one.object, 'TABLE') THEN 'SELECT' ELSE 'EXECUTE' END,
			one.object, one.role));
	END LOOP;
END
$$;

DROP FUNCTION presence.grant_for_good(text);
DROP TABLE presence.old_grants;

--
-- The manual
--

COMMENT ON COLUMN presence.room_presence.last_active_at IS
'last sign of life, as of the join or the end; the functions and views know
fresher ones';
COMMENT ON INDEX presence.room_presence_user_idx IS
'the past of a user: last_seen, forget_user';
COMMENT ON INDEX presence.room_presence_left_idx IS 'what has ended before a moment: purge_history';
COMMENT ON TABLE presence.connection IS
'Tabs and sockets that hold a presence open, of a server without
shared_preload_libraries; empty on one that preloads, which has them in memory:
look at presence.connections. Unlogged: after a crash they are gone, and
members get one lease to be joined again.';
COMMENT ON COLUMN presence.connection.last_active_at IS 'last join or heartbeat';
COMMENT ON TABLE presence.event_secret IS
'What the key of the mac in events is made of. Only the owner reads it; gateways
call event_key().';
COMMENT ON TABLE presence.channel_cache IS
'The last event of each cache channel, for 30 minutes. Only the owner reads it,
and gateways by cached_events(). Unlogged: after a crash there is none.';
COMMENT ON COLUMN presence.channel_cache.app_id IS 'whose channel: that of presence.pusher_app';
COMMENT ON COLUMN presence.channel_cache.channel IS 'cache-..., private-cache-..., and so on';
COMMENT ON COLUMN presence.channel_cache.message IS
'event and data, as a JSON object of ASCII characters; encrypted data is so here';
COMMENT ON COLUMN presence.channel_cache.expires_at IS '30 minutes after it was written';
COMMENT ON TABLE presence.pusher_app IS
'Keys of Pusher apps, whose secrets sign; several keys an app, so that one can
follow another. Only the owner reads it; gateways call pusher_apps(), and are
told of a change by an event "apps".';
COMMENT ON COLUMN presence.pusher_app.room_prefix IS
'the app''s rooms are this and the name in the channel, up to 64 characters;
two apps share rooms only if both have none';
COMMENT ON COLUMN presence.pusher_app.enabled IS 'false: the key signs and verifies nothing';
COMMENT ON COLUMN presence.pusher_app.client_events IS
'whether gateways pass on client events of this app';
COMMENT ON COLUMN presence.pusher_app.max_connections IS
'sockets of this app that a gateway accepts; NULL: no limit of its own';
COMMENT ON COLUMN presence.pusher_app.allowed_origins IS
'origins of pages that may connect, as https://host; NULL: any';
COMMENT ON COLUMN presence.pusher_app.encryption_master_key IS
'of encrypted channels: 32 bytes in base64, the encryptionMasterKeyBase64 of Pusher''s
libraries; NULL: it has none';
COMMENT ON COLUMN presence.pusher_app.presence_channels IS
'whether there are presence- channels that are no books'': refuse, or allow; the one called
presence-chat-1 is the room @app_id;chat-1, which has no history';
COMMENT ON COLUMN presence.pusher_app.require_tls IS
'true: clients that do not come by TLS are sent to it (4000)';
COMMENT ON COLUMN presence.pusher_app.subscription_count IS
'whether gateways tell clients how many subscribers a channel has';
COMMENT ON COLUMN presence.pusher_app.max_listed_members IS
'of a room with more members gateways tell clients so many, the newest, and the number of all;
NULL: all';
COMMENT ON TABLE presence.gateway IS
'Gateways that report what their channels'' subscriptions are. Unlogged: after a
crash they report anew.';
COMMENT ON COLUMN presence.gateway.id IS 'drawn by the gateway at its start';
COMMENT ON COLUMN presence.gateway.since IS 'its first report';
COMMENT ON COLUMN presence.gateway.seen IS
'its last report; 30 seconds after it what it had counts no more';
COMMENT ON TABLE presence.gateway_channel IS
'What each gateway has of the subscriptions to each channel that is no room.';
COMMENT ON COLUMN presence.gateway_channel.app_id IS 'of the app that the channel is of';
COMMENT ON COLUMN presence.gateway_channel.channel IS 'its name';
COMMENT ON COLUMN presence.gateway_channel.gateway IS 'who has them';
COMMENT ON COLUMN presence.gateway_channel.subscriptions IS 'how many, 1 or more';
COMMENT ON INDEX presence.gateway_channel_gateway_idx IS 'what a gateway has: when it is gone';
COMMENT ON TABLE presence.pusher_webhook IS
'Who is told of what happens in the channels of an app: servers of its own.';
COMMENT ON COLUMN presence.pusher_webhook.id IS 'the webhook';
COMMENT ON COLUMN presence.pusher_webhook.app_id IS 'the app';
COMMENT ON COLUMN presence.pusher_webhook.url IS
'where to POST to: http:// or https://, up to 2048 characters, without user and password';
COMMENT ON COLUMN presence.pusher_webhook.events IS
'of what: channel_occupied, channel_vacated, member_added, member_removed, client_event,
cache_miss, subscription_count';
COMMENT ON COLUMN presence.pusher_webhook.enabled IS
'false: nothing more is written down, and what waits is not sent';
COMMENT ON COLUMN presence.pusher_webhook.key IS
'the key whose secret signs; NULL: the first one of the app that is enabled';
COMMENT ON TABLE presence.webhook_event IS
'What waits to be told. In no dump.';
COMMENT ON COLUMN presence.webhook_event.webhook IS 'whom';
COMMENT ON COLUMN presence.webhook_event.id IS 'the order';
COMMENT ON COLUMN presence.webhook_event.name IS 'of the event';
COMMENT ON COLUMN presence.webhook_event.channel IS 'where it happened';
COMMENT ON COLUMN presence.webhook_event.event IS
'as it is sent: JSON; of a hint the room; of subscription_count nothing, it is counted when it is sent';
COMMENT ON COLUMN presence.webhook_event.hint IS
'true: the room may have become occupied or vacated here; webhook_take() finds out';
COMMENT ON COLUMN presence.webhook_event.at IS 'when it happened';
COMMENT ON COLUMN presence.webhook_event.due IS 'not before';
COMMENT ON INDEX presence.webhook_event_hint_idx IS 'the first hints, to find out about';
COMMENT ON INDEX presence.webhook_event_room_idx IS 'all hints of a room';
COMMENT ON INDEX presence.webhook_event_count_key IS 'one subscription_count of a channel waits';
COMMENT ON TABLE presence.webhook_channel IS
'Channels that have been told to be occupied. In no dump.';
COMMENT ON COLUMN presence.webhook_channel.webhook IS 'to whom';
COMMENT ON COLUMN presence.webhook_channel.channel IS 'which';
COMMENT ON COLUMN presence.webhook_channel.room IS 'whether it is a room';
COMMENT ON FUNCTION presence.pusher_webhook_check() IS
'trigger on presence.pusher_webhook: the url, and the names of events';
COMMENT ON FUNCTION presence.pusher_webhook_changed() IS
'trigger on presence.pusher_webhook: tells sessions and gateways to read it again';
COMMENT ON FUNCTION presence.pusher_app_changed() IS
'trigger on presence.pusher_app: tells gateways to read it again';

COMMENT ON FUNCTION presence.join_room(text, text, text, jsonb, boolean, interval, integer) IS
'Makes a user a member of a room, or adds a connection to the one he is, or
renews that connection. user_info and is_author NULL: as they are. ttl: lease
of this connection, from the commit, 1 second to 1 day, NULL: presence.timeout.
capacity: members at most, NULL: no limit; a member is never refused. Returns
the presence, the connection''s handle, and whether this call made him a
member. Errors: 22004, 22023, 25006, 53200 (presence.memory_limit), 53400 (the
room is full).';
COMMENT ON FUNCTION presence.join_rooms(text[], text[], text[], jsonb[], interval, boolean[], boolean, boolean) IS
'join_room for many, in one transaction; results in the order of the arguments.
connection_ids, user_infos, is_authors NULL: '''', NULL and NULL for all. All
or nothing, but with skip_locked: whom another open transaction is changing
comes back at once, with id NULL. keep_info: user_infos and is_authors count
only for who becomes a member. Errors: 22004, 22023 (also for arrays of
different lengths), 25006, 53200.';
COMMENT ON FUNCTION presence.member_count(text) IS
'The number of members of a room, without counting them where presence is
preloaded. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.pusher_authorize_channel(text, text, text, jsonb, text, boolean) IS
'The answer to pusher-js''s channel authorization: {"auth"} for
private-user-{user_id}, also with cache- or encrypted- behind private-,
{"auth", "channel_data"} for a room. user_info NULL: that of the open presence.
An encrypted channel has its "shared_secret" besides. watch: also {"auth"} for
private-watch-room-{book_id}, to read the room without being in it. Errors:
42501 for any other channel and for a room that is full
(presence.pusher_max_members), 55000 (no encryption_master_key), 22004, 22023,
42704.';
COMMENT ON FUNCTION presence.pusher_authenticate_user(text, text, jsonb, text, text[]) IS
'The answer to pusher-js''s user authentication (signin): {"auth",
"user_data"}. watchlist: up to 100 users of whose coming and going the client is
told. Errors: 22004, 22023, 42704.';
COMMENT ON FUNCTION presence.pusher_shared_secret(text, text) IS
'What clients decrypt a channel private-encrypted-... with: the "shared_secret" of
its authorization, in base64. Errors: 22023 for another channel, 55000 (no
encryption_master_key), 22004, 42704.';
COMMENT ON FUNCTION presence.pusher_apps() IS
'Keys of apps with their secrets and settings, for gateways, which verify
signatures themselves.';
COMMENT ON FUNCTION presence.report_channels(text, text[], text[], integer[], boolean) IS
'For gateways: how many subscriptions this one has now to these channels, 0: none
any more. whole: it has no others. Ends what gateways had that have not reported
for 30 seconds. Reports wait for each other. Returns the sums over all gateways of
what changed, of apps with subscription_count; a larger version is a newer one.
Errors: 22004, 22023 (also for arrays of different lengths), 25006, 42704 (an
unknown gateway, unless whole).';
COMMENT ON FUNCTION presence.channel_counts(text, text[], text) IS
'Subscriptions of all gateways, or of all but one, to those of these channels that
have any; no rooms. Errors: 22004.';
COMMENT ON FUNCTION presence.occupied_channels(text, text, text) IS
'Channels of an app that have subscriptions, by the begin of their names, no rooms;
of all gateways, or of all but one. Errors: 22004.';
COMMENT ON FUNCTION presence.webhook_emit(text[], text[], text[], text[]) IS
'For gateways: events that they know of (client_event, cache_miss), as JSON, for the
webhooks that want them; returns how many rows now wait. Errors: 22004, 22023,
25006.';
COMMENT ON FUNCTION presence.webhook_take(bigint[], integer) IS
'For gateways: what is to be sent now, a row for each webhook that is not busy. The
session that calls it leads until it ends: to all others it returns nothing. The
same events come again until webhook_done. Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.webhook_done(bigint, bigint[]) IS
'For gateways: these have been received, or are given up; returns how many waited.
Errors: 22004, 25006.';
COMMENT ON FUNCTION presence.webhook_tidy(interval, integer) IS
'For gateways, once a minute: drops what has waited for longer than max_age, and of
each webhook the oldest beyond max_events, up to 50,000 a call; tells of channels that were lost with
a crash of the server. Returns how many events wait, and how many were dropped.
Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.event_key() IS
'32 bytes: the key of the mac in events, for gateways. Another one after each
start of the server.';
COMMENT ON FUNCTION presence.cache_events(text[], text[], text[]) IS
'For gateways: keeps each message as the last one of its channel, for 30
minutes. Of a channel that comes twice the last one counts. 10,000 channels an
app: those written to longest ago go. Errors: 22004, 22023 (also for arrays of
different lengths, and a message of more than 131,072 bytes), 25006.';
COMMENT ON FUNCTION presence.cached_events(text[], text[]) IS
'For gateways: of these channels those that have a last event, and for how many
seconds more. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.purge_cache() IS
'For gateways, once a minute: deletes last events that have expired; returns
their number. Errors: 25006.';
COMMENT ON FUNCTION presence.online_users(text[]) IS
'Of these users, those who are in a room: which rooms, since when in any of
them, and when last heard. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.last_seen(text[]) IS
'When and where each user was last heard, and whether he is in a room; no row
for who never was. By an index, whatever the history. Errors: 22004, 22023.';
COMMENT ON FUNCTION presence.poll_room_changes(text, text, text, bigint) IS
'poll_room that tells a client who knows a recent version what has changed:
added are the members who came or are otherwise than before, oldest first,
removed the user_ids of who is not there. members is the whole list, where
the version is too old or unknown, and then added and removed are NULL. All
three are NULL if nothing has changed. Errors: 22004, 22023, 25006.';
COMMENT ON FUNCTION presence.largest_rooms(integer) IS
'The rooms with most members now, at most so many, the largest first. Errors:
22004, 22023 for less than 1.';
COMMENT ON FUNCTION presence.busiest_hours(text, timestamptz, timestamptz, text) IS
'For each hour of the day in [since, until) the average number of members of a
room, and how many joined, the busiest first; until now at most. time_zone:
that of the hours, NULL: the session''s. Errors: 22004, 22023, also for more
than 3660 days and for an unknown time zone.';
COMMENT ON FUNCTION presence.peak_members_by_day(text, timestamptz, timestamptz, text) IS
'For each day in [since, until) the greatest number of members of a room at one
moment, and the first such moment; until now at most. time_zone: that of the
days, NULL: the session''s. Errors: as busiest_hours.';
COMMENT ON FUNCTION presence.average_stay(text, timestamptz, timestamptz) IS
'Of the stays in a room that ended in [since, until): their number, that of
their users, how long they were on average and in the middle (NULL if there
are none). Errors: 22004, 22023.';
COMMENT ON TABLE presence.room_shard IS
'Empty. On a cluster of Citus its distribution says on which node each room is; tables
of the application may be colocated with it.';
COMMENT ON COLUMN presence.room_shard.book_id IS 'what rooms are spread by';
COMMENT ON FUNCTION presence.shard_with_citus(integer) IS
'On the coordinator of a cluster of Citus: spreads rooms over its nodes. Calls of
functions with a book_id go to the node of the room. Call it again when a node was
added or a privilege granted. shard_count NULL: citus.shard_count. Errors: 42704 (no
Citus), 0A000 (older than 12), 55000 (a worker, or the workers do not know the
coordinator), 38000 (what a node said).';
COMMENT ON FUNCTION presence.unshard_from_citus() IS
'Undoes shard_with_citus(): all calls run where they are made. Rows stay where they
are. Errors: as shard_with_citus, and 2BP01 (tables are colocated with
presence.room_shard).';
COMMENT ON FUNCTION presence.room_node(text) IS
'The node of a room, by the name that Citus has for it; NULL where rooms are not
spread over nodes.';
COMMENT ON FUNCTION presence.on_all_nodes(text) IS
'Runs a query on each node of the cluster, with the caller''s privileges, each in a
transaction of its own. Returns all rows, as JSON, with the node; without a cluster
those from here, NULL for the node. Errors: 22004, 38000 (what a node said).';
COMMENT ON FUNCTION presence.query_as_json(text) IS 'For on_all_nodes: the rows of a query.';
COMMENT ON FUNCTION presence.is_sharded() IS 'Whether rooms are spread over nodes.';
COMMENT ON FUNCTION presence.shards() IS
'Which rooms are on which node, by hashtext(book_id), and whether that is this one. No
row where rooms are not spread over nodes.';
COMMENT ON FUNCTION presence.check_citus() IS 'For shard_with_citus: raises what is in its way.';
COMMENT ON FUNCTION presence.worker_commands() IS 'For shard_with_citus: what each worker is told.';
COMMENT ON FUNCTION presence.room_functions() IS
'For shard_with_citus: the functions that are about one room.';
COMMENT ON FUNCTION presence.connection_list() IS 'What presence.connections shows.';
COMMENT ON FUNCTION presence.liveness_list() IS
'What presence.online shows of the connections of presences: their number, the
last sign of life, and whether a lease still holds it.';
COMMENT ON FUNCTION presence.memory() IS
'Bytes of shared memory in use by all databases, and the limit; NULL without
shared_preload_libraries.';
COMMENT ON FUNCTION presence.check() IS
'What is wrong with this installation, a row for each finding; none: all is well.
severity: error (wrong now), warning (will be, or is slow), notice (may be meant so);
name: what alerts go by.';
COMMENT ON FUNCTION presence.forget_user(text) IS
'Deletes all presences of a user, open (with member_removed, reason removed)
and past; returns their number. Errors: 22004, 22023, 25006.';
COMMENT ON VIEW presence.connections IS
'each tab and socket: when it was heard, and when its lease ends; stand_in: not
NULL for what only holds a presence open, with the reason it ends with';
COMMENT ON VIEW presence.stats IS
'counters of this database since its first use after the server''s start (NULL
without shared_preload_libraries): members joined, left, timed out, events, of
which queued are not sent yet, resyncs sent; members and connections now; the
worker''s pid and state, its last sweep; bytes of memory in use, and the limit';
