-- Messages that a person lets wait, and lets go again (002, scenario 4, option C).

-- name: lock_for_deferral
-- Messages that can wait until so many hours after the operation began, held until the transaction
-- ends in the order in which settlements lock them.
SELECT m.id
  FROM outbound_message AS m
  JOIN outbound_operation AS o ON o.id = %(operation)s
 WHERE m.id = ANY (%(ids)s)
   AND m.status = 'QUEUED'
   AND COALESCE(m.scheduled_at < o.started_at + %(hours)s * interval '1 hour', true)
   AND COALESCE(m.expires_at > o.started_at + %(hours)s * interval '1 hour', true)
 ORDER BY m.id
   FOR UPDATE OF m

-- name: defer_messages
-- A planned wait, so no latency counts it. Whose turn had come waits in its lane like the others, or
-- nobody else's would; and a larger quota does not end what a person has put off.
UPDATE outbound_message AS m
   SET scheduled_at = o.started_at + %(hours)s * interval '1 hour',
       turn = 'OPEN',
       error_code = CASE WHEN m.error_code <> %(quota)s THEN m.error_code END,
       error_message = CASE WHEN m.error_code <> %(quota)s THEN m.error_message END,
       updated_at = now(),
       updated_by = %(stamp)s
  FROM outbound_operation AS o
 WHERE o.id = %(operation)s AND m.id = ANY (%(ids)s)

-- name: lock_for_release
-- Of these, the messages that still wait as a deferral left them, with the time they had before the
-- first of those; none where they waited for a quota, which is asked for again.
SELECT m.id, kept.earlier
  FROM outbound_message AS m
 CROSS JOIN LATERAL (
       SELECT CASE WHEN r.before ->> 'error_code' = %(quota)s THEN NULL
                   ELSE (r.before ->> 'scheduled_at')::timestamptz END AS earlier
         FROM outbound_operation AS o
         JOIN outbound_operation_row AS r
           ON r.operation_id = o.id AND r.relation = 'outbound_message' AND r.key = m.id::text
        WHERE o.command = %(command)s
          AND (r.after ->> 'scheduled_at')::timestamptz > now()
        ORDER BY o.id
        LIMIT 1) AS kept
 WHERE m.id = ANY (%(ids)s) AND m.status = 'QUEUED' AND m.scheduled_at > now()
 ORDER BY m.id
   FOR UPDATE OF m

-- name: release_messages
UPDATE outbound_message AS m
   SET scheduled_at = w.earlier,
       updated_at = now(),
       updated_by = %(stamp)s
  FROM unnest(%(ids)s::bigint[], %(earlier)s::timestamptz[]) AS w (id, earlier)
 WHERE m.id = w.id
