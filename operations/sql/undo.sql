-- Taking an operation back: what is still as the operation left it becomes what it was.

-- name: read_operation
SELECT o.id, o.command, o.operator, o.ticket, o.state, o.changed, o.undoes, o.started_at,
       o.finished_at,
       EXISTS (SELECT FROM pg_locks AS l
                WHERE l.locktype = 'advisory' AND l.classid = %(class)s AND l.objsubid = 2
                  AND l.objid = o.id %% 2147483647
                  AND l.database = (SELECT d.oid FROM pg_database AS d
                                     WHERE d.datname = current_database())) AS running,
       o.started_at > now() - %(days)s * interval '1 day'
       AND EXISTS (SELECT FROM outbound_operation_row AS r WHERE r.operation_id = o.id) AS kept
  FROM outbound_operation AS o
 WHERE (%(id)s::bigint IS NULL OR o.id = %(id)s)
 ORDER BY o.id DESC
 LIMIT %(limit)s

-- name: read_rows
-- Rows kept, in the order to bring them back: what was made goes first, so that nothing is twice;
-- messages before their attempts, which go with them. The archive's rows come first and go
-- last: whoever is cut short has a message twice rather than not at all.
SELECT r.relation, r.key, r.before IS NULL AS made, r.after IS NULL AS taken
  FROM outbound_operation_row AS r
 WHERE r.operation_id = %(id)s
 ORDER BY CASE WHEN r.relation <> 'outbound_message_archive' THEN 1
               WHEN r.before IS NULL THEN 2 ELSE 0 END,
          r.before IS NOT NULL,
          CASE WHEN r.relation = 'outbound_message' THEN 1
               WHEN r.relation = 'outbound_attempt' THEN 2 ELSE 3 END,
          CASE WHEN r.key ~ '^[0-9]+$' THEN r.key::numeric END, r.key

-- name: count_rows
SELECT r.relation,
       CASE WHEN r.before IS NULL THEN 'made' WHEN r.after IS NULL THEN 'taken away'
            ELSE 'changed' END AS kind,
       count(*)
  FROM outbound_operation_row AS r
 WHERE r.operation_id = %(id)s
 GROUP BY 1, 2
 ORDER BY 1, 2

-- name: find_untouched
-- Rows that are still as the operation left them, held until the transaction ends.
SELECT t.{key}::text
  FROM {relation} AS t
  JOIN outbound_operation_row AS r
    ON r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = t.{key}::text
 WHERE t.{key}::text = ANY (%(keys)s) AND t.{key} = ANY (%(typed)s)
   AND to_jsonb(t) @> r.after
 ORDER BY t.{key}
   FOR UPDATE OF t

-- name: read_attempts_of
SELECT a.id FROM outbound_attempt AS a WHERE a.outbound_message_id = ANY (%(typed)s)

-- name: find_gone
-- Attempts that went with their messages.
SELECT w.key
  FROM unnest(%(keys)s::text[]) AS w (key)
 WHERE NOT EXISTS (SELECT FROM outbound_attempt AS a WHERE a.id = w.key::bigint)

-- name: find_replaced
-- Archived messages that stand in the outbox again, so that nothing is lost when the archive's row
-- goes.
SELECT w.key
  FROM unnest(%(keys)s::text[]) AS w (key)
 WHERE EXISTS (SELECT FROM outbound_message AS m WHERE m.id = w.key::bigint)

-- name: find_latest
-- Attempts after which the message had no other: what a claim has made of it since is not undone.
SELECT a.id::text
  FROM outbound_attempt AS a
 WHERE a.id = ANY (%(typed)s)
   AND NOT EXISTS (SELECT FROM outbound_attempt AS later
                    WHERE later.outbound_message_id = a.outbound_message_id
                      AND later.attempt_no > a.attempt_no)

-- name: find_live
-- Messages that would be sent again if they became what they were.
SELECT r.key
  FROM outbound_operation_row AS r
 WHERE r.operation_id = %(id)s AND r.relation = 'outbound_message' AND r.key = ANY (%(keys)s)
   AND r.before ->> 'status' IN ('QUEUED', 'SENDING')

-- name: find_unwelcome
-- Rows that were taken away and have no place to come back to: attempts without their message, a
-- row of the archive whose message has moved on in the outbox, and an SMS that stood for a message which is on its way itself now. That one is held until the
-- transaction ends.
WITH taken AS (
    SELECT r.key, r.before
      FROM outbound_operation_row AS r
     WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = ANY (%(keys)s)
), stood_for AS (
    SELECT t.key, m.status
      FROM taken AS t
      JOIN outbound_message AS m
        ON m.idempotency_key = left(t.before ->> 'idempotency_key', -length(%(suffix)s))
     WHERE %(relation)s = 'outbound_message'
       AND right(t.before ->> 'idempotency_key', length(%(suffix)s)) = %(suffix)s
     ORDER BY m.id
       FOR UPDATE OF m
)
SELECT key FROM stood_for WHERE status <> 'FAILED'
UNION ALL
SELECT t.key
  FROM taken AS t
  JOIN outbound_message AS m ON m.id = (t.before ->> 'id')::bigint
 WHERE %(relation)s = 'outbound_message_archive'
   AND NOT EXISTS (SELECT FROM outbound_operation_row AS o
                    WHERE o.operation_id = %(id)s AND o.relation = 'outbound_message'
                      AND o.key = t.key AND o.before IS NULL AND to_jsonb(m) @> o.after)
UNION ALL
SELECT t.key
  FROM taken AS t
 WHERE %(relation)s = 'outbound_attempt'
   AND NOT EXISTS (SELECT FROM outbound_message AS m
                    WHERE m.id = (t.before ->> 'outbound_message_id')::bigint)

-- name: name_columns
-- The columns that the operation changed in these rows.
SELECT DISTINCT k
  FROM outbound_operation_row AS r
 CROSS JOIN LATERAL jsonb_object_keys(r.before) AS k
 WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = ANY (%(keys)s)

-- name: restore
UPDATE {relation} AS t
   SET {assignments}
  FROM outbound_operation_row AS r
  JOIN {relation} AS o ON o.{key} = ANY (%(typed)s) AND o.{key}::text = r.key
 CROSS JOIN LATERAL jsonb_populate_record(o, r.before) AS p
 WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = ANY (%(keys)s)
   AND t.{key} = o.{key}

-- name: take_away
DELETE FROM {relation} AS t WHERE t.{key} = ANY (%(typed)s)

-- name: bring_back
INSERT INTO {relation}
SELECT p.*
  FROM outbound_operation_row AS r
 CROSS JOIN LATERAL jsonb_populate_record(NULL::{relation}, r.before) AS p
 WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = ANY (%(keys)s)
ON CONFLICT DO NOTHING
RETURNING {key}::text
