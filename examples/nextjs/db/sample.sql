-- Sample books, for the demo and the tests. One is by a reader of this app.

\set ON_ERROR_STOP on
BEGIN;

INSERT INTO "user" ("id", "name", "email", "emailVerified")
VALUES ('mara-ellison', 'Mara Ellison', 'mara@example.com', true)
ON CONFLICT DO NOTHING;

INSERT INTO book (id, title, author_name, author_id)
VALUES
  ('a-road-of-salt', 'A Road of Salt', 'Mara Ellison', 'mara-ellison'),
  ('moby-dick', 'Moby-Dick', 'Herman Melville', NULL),
  ('emma', 'Emma', 'Jane Austen', NULL),
  ('middlemarch', 'Middlemarch', 'George Eliot', NULL)
ON CONFLICT DO NOTHING;

COMMIT;
