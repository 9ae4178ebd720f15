-- presence 0.1 to 0.2. Each step may run twice.

\echo Use "ALTER EXTENSION presence UPDATE TO '0.2'" to load this file. \quit

-- What the functions write is right by their code. A check constraint is parsed and planned
-- anew by every statement that writes a row: these two cost a tenth of a join and a leave.
ALTER TABLE presence.room_presence
	DROP CONSTRAINT IF EXISTS room_presence_left_at_check,
	DROP CONSTRAINT IF EXISTS room_presence_leave_reason_check;

COMMENT ON COLUMN presence.room_presence.left_at IS
'NULL: here now; not before joined_at';
COMMENT ON COLUMN presence.room_presence.last_active_at IS
'last sign of life, as of the join or the end, or some minutes ago; the
functions and views know fresher ones';
COMMENT ON TABLE presence.connection IS
'Tabs and sockets that hold a presence open. Unlogged: after a crash they are
gone, and members get one lease to be joined again. With
shared_preload_libraries, heartbeats are kept in shared memory and written
here now and then.';
COMMENT ON COLUMN presence.connection.last_active_at IS
'last join or heartbeat, unless memory knows a later one';
COMMENT ON VIEW presence.stats IS
'counters of this database since its first use after the server''s start (NULL
without shared_preload_libraries): members joined, left, timed out, events, of
which queued are not sent yet, resyncs sent; members and connections now; the
worker''s pid and state, its last sweep';
