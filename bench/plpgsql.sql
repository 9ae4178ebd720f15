-- What presence is compared with: the same tables, and joins and leaves in
-- PL/pgSQL, as one would write them without the extension. With notify each
-- event is a pg_notify of the transaction itself. Nothing checks arguments, pins
-- the search_path or ends leases, which spares it work.

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
