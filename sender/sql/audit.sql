-- What people did, and rows as they were before. {relation} and {key} name a table and its key.

-- name: begin
INSERT INTO outbound_operation (command, parameters, operator, ticket, planned, undoes)
VALUES (%(command)s, %(parameters)s, %(operator)s, %(ticket)s, %(planned)s, %(undoes)s)
RETURNING id

-- name: hold
-- While this session lives, others can tell that the operation is under way.
SELECT pg_advisory_lock(%(class)s, (%(id)s %% 2147483647)::integer)

-- name: let_go
SELECT pg_advisory_unlock(%(class)s, (%(id)s %% 2147483647)::integer)

-- name: note_progress
UPDATE outbound_operation AS o
   SET changed = o.changed + %(changed)s,
       skipped = (SELECT COALESCE(jsonb_object_agg(reason, messages), '{{}}')
                    FROM (SELECT reason, sum(messages::bigint) AS messages
                            FROM (SELECT * FROM jsonb_each_text(o.skipped)
                                   UNION ALL
                                  SELECT * FROM jsonb_each_text(%(skipped)s::jsonb)
                                 ) AS each (reason, messages)
                           GROUP BY reason) AS summed)
 WHERE o.id = %(id)s

-- name: finish
UPDATE outbound_operation SET state = %(state)s, finished_at = clock_timestamp() WHERE id = %(id)s

-- name: forget
-- Rows kept for an undo that is refused by now; some at a time, beside others who do the same.
DELETE FROM outbound_operation_row AS r
 USING (SELECT operation_id, relation, key
          FROM outbound_operation_row
         WHERE operation_id <= (SELECT max(o.id) FROM outbound_operation AS o
                                 WHERE o.started_at < now() - %(days)s * interval '1 day')
         ORDER BY operation_id
         LIMIT %(limit)s
           FOR UPDATE SKIP LOCKED) AS old
 WHERE (r.operation_id, r.relation, r.key) = (old.operation_id, old.relation, old.key)

-- name: write_alike
-- Times and bytes as text have the session's form, which is another one at another desk.
SELECT set_config('TimeZone', 'UTC', true), set_config('bytea_output', 'hex', true)

-- name: keep
-- Rows as they are, before they are changed or taken away.
INSERT INTO outbound_operation_row (operation_id, relation, key, before)
SELECT %(id)s, %(relation)s, t.{key}::text, to_jsonb(t)
  FROM {relation} AS t
 WHERE t.{key} = ANY (%(keys)s)

-- name: compare
-- Afterwards: what differs now is kept, what does not is forgotten. Columns that follow others by
-- trigger, or that claims write in passing, say nothing of who changed the row.
WITH pair AS (
    SELECT r.key, r.before - %(passing)s::text[] AS before, to_jsonb(t) - %(passing)s::text[] AS after
      FROM outbound_operation_row AS r
      LEFT JOIN {relation} AS t ON t.{key}::text = r.key AND t.{key} = ANY (%(keys)s)
     WHERE r.operation_id = %(id)s AND r.relation = %(relation)s
       AND r.key = ANY (%(keys)s::text[])
), changed AS (
    UPDATE outbound_operation_row AS r
       SET before = (SELECT jsonb_object_agg(k, p.before -> k)
                       FROM jsonb_object_keys(p.after) AS k
                      WHERE p.after -> k IS DISTINCT FROM p.before -> k),
           after = (SELECT jsonb_object_agg(k, p.after -> k)
                      FROM jsonb_object_keys(p.after) AS k
                     WHERE p.after -> k IS DISTINCT FROM p.before -> k)
      FROM pair AS p
     WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = p.key
       AND p.after IS NOT NULL AND p.after <> p.before
)
DELETE FROM outbound_operation_row AS r
 USING pair AS p
 WHERE r.operation_id = %(id)s AND r.relation = %(relation)s AND r.key = p.key
   AND p.after = p.before

-- name: note_made
-- Rows that the operation made, with what an undo goes by: it takes away only what is still so.
INSERT INTO outbound_operation_row (operation_id, relation, key, after)
SELECT %(id)s, %(relation)s, t.{key}::text,
       (SELECT COALESCE(jsonb_object_agg(k, to_jsonb(t) -> k), '{{}}')
          FROM unnest(%(columns)s::text[]) AS k)
  FROM {relation} AS t
 WHERE t.{key} = ANY (%(keys)s)
