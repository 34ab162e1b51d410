-- Dead letters out of the outbox: into the archive (002), and out of that (001). The caller's
-- transaction holds the statements together.

-- name: choose_dead
-- D33: dead letters only, by when they were last touched.
SELECT m.id
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND m.updated_at < now() - %(age_s)s * interval '1 second'
   AND (%(codes)s::text[] IS NULL OR m.error_code = ANY (%(codes)s))
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.updated_at, m.id
 LIMIT %(limit)s

-- name: hold_dead
-- Those that are still dead and old, held until the transaction ends.
SELECT m.id
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
   AND m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND m.updated_at < now() - %(age_s)s * interval '1 second'
 ORDER BY m.id
   FOR UPDATE

-- name: find_archived
SELECT a.id FROM outbound_message_archive AS a WHERE a.id = ANY (%(ids)s)

-- name: find_attempts
SELECT a.id FROM outbound_attempt AS a WHERE a.outbound_message_id = ANY (%(ids)s)

-- name: archive
-- 002: same columns, same order. Attempts go with their messages.
WITH gone AS (
    DELETE FROM outbound_message AS m WHERE m.id = ANY (%(ids)s) RETURNING m.*
)
INSERT INTO outbound_message_archive SELECT * FROM gone

-- name: choose_archived
SELECT a.id
  FROM outbound_message_archive AS a
 WHERE a.updated_at < now() - %(age_s)s * interval '1 second'
   AND (%(codes)s::text[] IS NULL OR a.error_code = ANY (%(codes)s))
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR a.org_id = %(org)s)
 ORDER BY a.updated_at, a.id
 LIMIT %(limit)s

-- name: hold_archived
SELECT a.id FROM outbound_message_archive AS a WHERE a.id = ANY (%(ids)s) ORDER BY a.id FOR UPDATE

-- name: purge
DELETE FROM outbound_message_archive AS a WHERE a.id = ANY (%(ids)s)
