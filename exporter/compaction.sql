-- Keeping the rollup small: deltas become totals, cohorts that have matured become events.

-- name: find_work
-- Whether there is anything to move: on a quiet night, one cheap look. Compaction may fail and be
-- tried again; it may not hold up anybody.
SET LOCAL statement_timeout = '5s';
SET LOCAL lock_timeout = '1s';
SELECT EXISTS (SELECT FROM outbound_event_delta)
       OR EXISTS (SELECT FROM outbound_message_delta)
       OR EXISTS (SELECT FROM outbound_cohort_total
                   WHERE cohort < outbound_matured_before(kind) - interval '30 minutes')

-- name: try_lock
-- One exporter compacts at a time; the others go on without waiting.
SELECT pg_try_advisory_xact_lock(%(lock)s)

-- name: move_events
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

-- name: move_messages
-- The same for changes of messages: states, events and cohorts. Takes a change apart as the views
-- outbound_state_sum and outbound_event do.
WITH gone AS MATERIALIZED (
    DELETE FROM outbound_message_delta AS d
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM outbound_message_delta LIMIT %(limit)s))
    RETURNING d AS change, d.*
), states AS (
    INSERT INTO outbound_state_total AS t (channel, status, detail, messages)
    SELECT channel, side.status, side.detail, sum(side.messages)
      FROM gone
     CROSS JOIN LATERAL (VALUES (new_status, new_detail, messages),
                                (old_status, old_detail, -messages))
           AS side (status, detail, messages)
     WHERE side.status IS NOT NULL
     GROUP BY channel, side.status, side.detail
    HAVING sum(side.messages) <> 0
    ON CONFLICT (channel, status, detail) DO UPDATE SET messages = t.messages + EXCLUDED.messages
), events AS (
    INSERT INTO outbound_event_total AS t
           (kind, channel, outcome, error_code, edge, events, microseconds)
    SELECT event.kind, channel, event.outcome, event.error_code, event.edge,
           sum(messages), sum(event.microseconds)
      FROM gone
     CROSS JOIN LATERAL outbound_events_of(change) AS event
     GROUP BY event.kind, channel, event.outcome, event.error_code, event.edge
    ON CONFLICT (kind, channel, outcome, error_code, edge) DO UPDATE
       SET events = t.events + EXCLUDED.events,
           microseconds = t.microseconds + EXCLUDED.microseconds
), cohorts AS (
    INSERT INTO outbound_cohort_total AS t (kind, channel, cohort, edge, events, microseconds)
    SELECT event.kind, channel, event.cohort, event.edge, sum(messages), sum(event.microseconds)
      FROM gone
     CROSS JOIN LATERAL outbound_cohorts_of(change) AS event
     GROUP BY event.kind, channel, event.cohort, event.edge
    ON CONFLICT (kind, channel, cohort, edge) DO UPDATE
       SET events = t.events + EXCLUDED.events,
           microseconds = t.microseconds + EXCLUDED.microseconds
)
SELECT count(*) FROM gone

-- name: fold_cohorts
-- Cohorts that every reader counts already become events. The half hour is for readers whose
-- transaction began before this one.
WITH matured AS (
    DELETE FROM outbound_cohort_total
     WHERE cohort < outbound_matured_before(kind) - interval '30 minutes'
    RETURNING kind, channel, edge, events, microseconds
)
INSERT INTO outbound_event_total AS t
       (kind, channel, outcome, error_code, edge, events, microseconds)
SELECT kind, channel, '', '', edge, sum(events), sum(microseconds)
  FROM matured
 GROUP BY kind, channel, edge
ON CONFLICT (kind, channel, outcome, error_code, edge) DO UPDATE
   SET events = t.events + EXCLUDED.events,
       microseconds = t.microseconds + EXCLUDED.microseconds

-- name: reclaim
-- Deltas come and go by the thousand, and reading passes over what is left of them. Does nothing but
-- warn where the role does not own the table; autovacuum comes later then.
VACUUM (TRUNCATE false, SKIP_LOCKED) outbound_message_delta, outbound_event_delta
