-- What presence is compared with, in PL/pgSQL as one would write it without the extension. With
-- notify each event is a pg_notify of the transaction itself. Nothing here checks arguments,
-- pins the search_path or ends leases, which spares it work.
--
-- lean: what a developer writes in ten minutes. One table, the partial unique index, one
--       statement for a join and one for a leave; no tabs, no leases.
-- plain: the full thing. The same table as presence, and a row for each tab beside it, with its lease.

--
-- The full thing
--

CREATE SCHEMA plain;

CREATE TABLE plain.room_presence (
	id bigint GENERATED ALWAYS AS IDENTITY,
	user_id text NOT NULL,
	book_id text NOT NULL,
	joined_at timestamptz NOT NULL DEFAULT now(),
	last_active_at timestamptz NOT NULL DEFAULT now(),
	left_at timestamptz,
	leave_reason text,
	is_author boolean NOT NULL DEFAULT false,
	user_info jsonb,
	PRIMARY KEY (book_id, id)
);
CREATE UNIQUE INDEX ON plain.room_presence (user_id, book_id) WHERE left_at IS NULL;
CREATE INDEX ON plain.room_presence (book_id) WHERE left_at IS NULL;

CREATE UNLOGGED TABLE plain.connection (
	book_id text NOT NULL,
	user_id text NOT NULL,
	connection_id text NOT NULL,
	id bigint GENERATED ALWAYS AS IDENTITY,
	presence_id bigint NOT NULL,
	ttl interval NOT NULL,
	last_active_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL,
	PRIMARY KEY (book_id, user_id, connection_id)
) WITH (fillfactor = 50);
CREATE INDEX ON plain.connection (id);

CREATE FUNCTION plain.tell(event text, p plain.room_presence) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify('plain', json_build_object('event', event,
		'channel', 'presence-room-' || p.book_id, 'book_id', p.book_id,
		'user_id', p.user_id, 'user_info', p.user_info, 'is_author', p.is_author,
		'presence_id', p.id, 'reason', p.leave_reason, 'at', now())::text);
END
$$;

CREATE FUNCTION plain.join_room(
	user_id text, book_id text, connection_id text, user_info jsonb, ttl interval,
	notify boolean, OUT presence plain.room_presence, OUT connection bigint, OUT added boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	LOOP
		INSERT INTO plain.room_presence AS p (user_id, book_id, user_info)
		VALUES (join_room.user_id, join_room.book_id, join_room.user_info)
		ON CONFLICT (user_id, book_id) WHERE left_at IS NULL DO NOTHING
		RETURNING p.* INTO presence;
		added := FOUND;
		EXIT WHEN added;
		SELECT p.* INTO presence FROM plain.room_presence AS p
		WHERE p.user_id = join_room.user_id AND p.book_id = join_room.book_id
			AND p.left_at IS NULL
		FOR NO KEY UPDATE;
		EXIT WHEN FOUND;
	END LOOP;
	INSERT INTO plain.connection AS c
		(book_id, user_id, connection_id, presence_id, ttl, expires_at)
	VALUES (join_room.book_id, join_room.user_id, join_room.connection_id, presence.id,
		join_room.ttl, now() + join_room.ttl)
	ON CONFLICT (book_id, user_id, connection_id) DO UPDATE SET
		presence_id = excluded.presence_id, ttl = excluded.ttl,
		last_active_at = excluded.last_active_at, expires_at = excluded.expires_at
	RETURNING c.id INTO connection;
	IF added AND notify THEN
		PERFORM plain.tell('member_added', presence);
	END IF;
END
$$;

CREATE FUNCTION plain.leave_room(user_id text, book_id text, notify boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	presence plain.room_presence;
BEGIN
	SELECT p.* INTO presence FROM plain.room_presence AS p
	WHERE p.user_id = leave_room.user_id AND p.book_id = leave_room.book_id
		AND p.left_at IS NULL
	FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	DELETE FROM plain.connection AS c
	WHERE c.book_id = leave_room.book_id AND c.user_id = leave_room.user_id;
	UPDATE plain.room_presence AS p
	SET left_at = now(), leave_reason = 'left', last_active_at = now()
	WHERE p.book_id = presence.book_id AND p.id = presence.id
	RETURNING p.* INTO presence;
	IF notify THEN
		PERFORM plain.tell('member_removed', presence);
	END IF;
	RETURN true;
END
$$;

--
-- Lean
--

CREATE SCHEMA lean;

CREATE TABLE lean.room_presence (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	user_id text NOT NULL,
	book_id text NOT NULL,
	joined_at timestamptz NOT NULL DEFAULT now(),
	left_at timestamptz,
	user_info jsonb
);
CREATE UNIQUE INDEX ON lean.room_presence (user_id, book_id) WHERE left_at IS NULL;

CREATE FUNCTION lean.tell(event text, p lean.room_presence) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify('lean', json_build_object('event', event,
		'channel', 'presence-room-' || p.book_id, 'book_id', p.book_id,
		'user_id', p.user_id, 'user_info', p.user_info, 'presence_id', p.id, 'at', now())::text);
END
$$;

CREATE FUNCTION lean.join_room(user_id text, book_id text, user_info jsonb, notify boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	presence lean.room_presence;
BEGIN
	INSERT INTO lean.room_presence AS p (user_id, book_id, user_info)
	VALUES (join_room.user_id, join_room.book_id, join_room.user_info)
	ON CONFLICT DO NOTHING
	RETURNING p.* INTO presence;
	IF FOUND AND notify THEN
		PERFORM lean.tell('member_added', presence);
	END IF;
	RETURN presence.id IS NOT NULL;
END
$$;

CREATE FUNCTION lean.leave_room(user_id text, book_id text, notify boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	presence lean.room_presence;
BEGIN
	UPDATE lean.room_presence AS p SET left_at = now()
	WHERE p.user_id = leave_room.user_id AND p.book_id = leave_room.book_id AND p.left_at IS NULL
	RETURNING p.* INTO presence;
	IF FOUND AND notify THEN
		PERFORM lean.tell('member_removed', presence);
	END IF;
	RETURN presence.id IS NOT NULL;
END
$$;

-- What join_rooms is compared with: a table like ours.
CREATE TABLE lean.copy (LIKE presence.room_presence INCLUDING ALL);
