-- Keeping the event counters small.

-- name: hurry
-- Compaction may fail and be tried again; it may not hold up anybody.
SET LOCAL statement_timeout = '5s';
SET LOCAL lock_timeout = '1s'

-- name: try_lock
-- One exporter compacts at a time; the others go on without waiting.
SELECT pg_try_advisory_xact_lock(%(lock)s)

-- name: move_deltas
-- Add a bounded number of deltas to the totals and delete them; gives how many were moved. Nobody
-- else changes a delta row, so its ctid names it until this transaction ends.
WITH gone AS (
    DELETE FROM outbound_event_delta
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbound_event_delta LIMIT %(limit)s))
    RETURNING kind, channel, outcome, error_code, edge, events, microseconds
), added AS (
    INSERT INTO outbound_event_total AS t
           (kind, channel, outcome, error_code, edge, events, microseconds)
    SELECT kind, channel, outcome, error_code, edge, sum(events), sum(microseconds)
      FROM gone
     GROUP BY kind, channel, outcome, error_code, edge
    ON CONFLICT (kind, channel, outcome, error_code, edge) DO UPDATE
       SET events = t.events + EXCLUDED.events,
           microseconds = t.microseconds + EXCLUDED.microseconds
)
SELECT count(*) FROM gone
