-- Statements of `outbound-slo exporter rollup`.

-- name: hurry
-- Whoever waits for a lock holds up all who come later; so the wait is short and tried again.
SELECT set_config('lock_timeout', %(lock_timeout)s, true)

-- name: tables
-- The tables that are counted: their kind ('r' is a plain one), and whether others inherit from them.
SELECT wanted.name, c.relkind::text AS kind,
       EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid) AS has_heirs
  FROM unnest(ARRAY['outbound_message', 'outbound_attempt']) AS wanted (name)
  LEFT JOIN pg_class AS c ON c.oid = to_regclass(wanted.name)

-- name: missing_columns
-- Columns that the triggers read and the tables lack.
SELECT wanted.name, wanted.column_name
  FROM (VALUES ('outbound_message', 'id'), ('outbound_message', 'channel'),
               ('outbound_message', 'status'), ('outbound_message', 'attempt_count'),
               ('outbound_message', 'max_attempts'), ('outbound_message', 'error_code'),
               ('outbound_message', 'due_since'), ('outbound_message', 'sent_at'),
               ('outbound_message', 'delivered_at'), ('outbound_message', 'org_id'),
               ('outbound_attempt', 'id'),
               ('outbound_attempt', 'outbound_message_id'), ('outbound_attempt', 'attempt_no'),
               ('outbound_attempt', 'channel'), ('outbound_attempt', 'outcome'),
               ('outbound_attempt', 'error_code'), ('outbound_attempt', 'started_at'),
               ('outbound_attempt', 'finished_at')) AS wanted (name, column_name)
 WHERE NOT EXISTS (
       SELECT FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(wanted.name) AND a.attname = wanted.column_name
          AND a.attnum > 0 AND NOT a.attisdropped)

-- name: triggers
-- The rollup's triggers: whether each is there and switched on.
SELECT wanted.name,
       EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = to_regclass(wanted.relation) AND t.tgname = wanted.name
                  AND t.tgenabled IN ('O', 'A')) AS works
  FROM (VALUES ('outbound_message', 'outbound_message_events'),
               ('outbound_message', 'outbound_message_arrivals'),
               ('outbound_message', 'outbound_message_departures'),
               ('outbound_message', 'outbound_message_truncation'),
               ('outbound_attempt', 'outbound_attempt_events')) AS wanted (relation, name)
 ORDER BY wanted.name

-- name: outbound_message_events
-- Put this trigger back.
CREATE OR REPLACE TRIGGER outbound_message_events
    AFTER UPDATE ON outbound_message
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_events();
ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_events

-- name: outbound_message_arrivals
-- Put this trigger back.
CREATE OR REPLACE TRIGGER outbound_message_arrivals
    AFTER INSERT ON outbound_message
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_arrivals();
ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_arrivals

-- name: outbound_message_departures
-- Put this trigger back.
CREATE OR REPLACE TRIGGER outbound_message_departures
    AFTER DELETE ON outbound_message
    REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_departures();
ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_departures

-- name: outbound_message_truncation
-- Put this trigger back.
CREATE OR REPLACE TRIGGER outbound_message_truncation
    AFTER TRUNCATE ON outbound_message
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_truncation();
ALTER TABLE outbound_message ENABLE TRIGGER outbound_message_truncation

-- name: outbound_attempt_events
-- Put this trigger back.
CREATE OR REPLACE TRIGGER outbound_attempt_events
    AFTER UPDATE ON outbound_attempt
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_attempt_count_events();
ALTER TABLE outbound_attempt ENABLE TRIGGER outbound_attempt_events

-- name: status
-- When the rollup first counted; no row where it is not installed.
SELECT counted_at FROM outbound_rollup

-- name: is_there
-- Whether the rollup's own table is there.
SELECT to_regclass('outbound_rollup') IS NOT NULL

-- name: lock_verification
-- Two at once would put the same drift right twice. Taken before the snapshot, kept until the end.
SELECT pg_advisory_lock(%(lock)s)

-- name: recount
-- States in which rows and rollup differ, both read in one snapshot: what a statement changed and
-- the delta that it wrote become visible together, so writers are no trouble.
WITH recount AS (
    SELECT channel, status,
           outbound_state_detail(status, attempt_count, max_attempts, error_code) AS detail,
           count(*) AS messages
      FROM outbound_message
     GROUP BY 1, 2, 3
)
SELECT channel, status, detail,
       COALESCE(r.messages, 0) AS counted, COALESCE(s.messages, 0) AS rolled_up
  FROM recount AS r
  FULL JOIN outbound_state_sum AS s USING (channel, status, detail)
 WHERE COALESCE(r.messages, 0) <> COALESCE(s.messages, 0)
 ORDER BY channel, status, detail

-- name: correct
-- Put a state right. A delta like any other: nobody waits for it, and it holds whatever is written
-- meanwhile.
INSERT INTO outbound_message_delta (channel, new_status, new_detail, messages)
VALUES (%(channel)s, %(status)s, %(detail)s, %(messages)s)

-- name: note_verified
-- Remember what the recount found.
UPDATE outbound_rollup
   SET verified_at = now(), drift = %(drift)s, repaired = repaired + %(repaired)s,
       counted_at = CASE WHEN %(counted)s THEN COALESCE(counted_at, now()) ELSE counted_at END

-- name: remove_triggers
-- Ends the counting. What was counted is gone with the tables.
DROP TRIGGER IF EXISTS outbound_attempt_events ON outbound_attempt;
DROP TRIGGER IF EXISTS outbound_message_events ON outbound_message;
DROP TRIGGER IF EXISTS outbound_message_arrivals ON outbound_message;
DROP TRIGGER IF EXISTS outbound_message_departures ON outbound_message;
DROP TRIGGER IF EXISTS outbound_message_truncation ON outbound_message

-- name: remove_rest
-- Nothing of the rollup remains, and `install` starts anew.
DROP VIEW IF EXISTS outbound_organisation_finished, outbound_event, outbound_state,
     outbound_state_sum;
DROP FUNCTION IF EXISTS
     outbound_attempt_count_events, outbound_message_count_events, outbound_message_count_arrivals,
     outbound_message_count_departures, outbound_message_count_truncation, outbound_events_of,
     outbound_cohorts_of, outbound_state_detail, outbound_error_label, outbound_send_edge,
     outbound_delivery_edge, outbound_attempt_edge, outbound_is_recent, outbound_matured_before;
DROP TABLE IF EXISTS outbound_rollup, outbound_message_delta, outbound_event_delta,
     outbound_state_total, outbound_event_total, outbound_cohort_total, outbound_latency_edge,
     outbound_watched_organisation;
DO $$
BEGIN
    -- The outbox's own view of this name is no part of the rollup.
    IF obj_description(to_regclass('outbound_message_waiting'), 'pg_class')
       = 'Made by outbound-slo exporter rollup install' THEN
        DROP VIEW outbound_message_waiting;
    END IF;
END
$$;
DELETE FROM outbound_slo_migration WHERE component = 'exporter'
