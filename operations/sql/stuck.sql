-- Messages that do not move (000, 001, 002; D23). The rules are those of the exporter's pack
-- (exporter/packs/outbound/state.sql: stuck), to which tests/integration/test_ops_stuck.py holds them.

-- name: stuck_counts
-- One row per rule that finds something, counted up to the ceiling.
SELECT channel, status, reason, count(*) AS messages
  FROM (SELECT channel, 'SENDING' AS status, ARRAY['sending_too_long'] AS reasons
          FROM outbound_message
         WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
           AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
         UNION ALL
        (SELECT channel, 'QUEUED',
                array_remove(ARRAY[
                    CASE WHEN due_at < now() - interval '5 minutes' THEN 'overdue' END,
                    CASE WHEN due_since < now() - interval '2 hours' THEN 'queued_too_long' END,
                    CASE WHEN attempt_count >= 3 AND updated_at < now() - interval '2 hours'
                         THEN 'no_progress' END], NULL)
           FROM outbound_message_waiting
          WHERE (due_at < now() - interval '5 minutes'
                 OR due_since < now() - interval '2 hours'
                 OR (attempt_count >= 3 AND updated_at < now() - interval '2 hours'))
            AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
          LIMIT %(ceiling)s)) AS stuck
 CROSS JOIN LATERAL unnest(reasons) AS rule (reason)
 GROUP BY channel, status, reason
 ORDER BY channel, status DESC, reason
