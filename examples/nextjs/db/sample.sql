-- Sample books, for the demo and the tests. Two are by a reader of this app.

\set ON_ERROR_STOP on
BEGIN;

INSERT INTO "user" ("id", "name", "email", "emailVerified")
VALUES ('mara-ellison', 'Mara Ellison', 'mara@example.com', true)
ON CONFLICT DO NOTHING;

-- The first is what /dev/presence-test opens with: its channel is presence-room-test.
INSERT INTO book (id, title, author_name, author_id)
VALUES
  ('test', 'A Road of Salt', 'Mara Ellison', 'mara-ellison'),
  ('the-glass-orchard', 'The Glass Orchard', 'Mara Ellison', 'mara-ellison'),
  ('moby-dick', 'Moby-Dick', 'Herman Melville', NULL),
  ('emma', 'Emma', 'Jane Austen', NULL),
  ('middlemarch', 'Middlemarch', 'George Eliot', NULL)
ON CONFLICT DO NOTHING;

COMMIT;
