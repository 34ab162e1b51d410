-- name: watch
-- Keep every change of a status and of an outcome. A row is written in the transaction that makes the
-- change, under the message's row lock: what was rolled back leaves none, and per message the order
-- of the ids is the order of the changes.
CREATE SCHEMA fault_watch;

CREATE TABLE fault_watch.status_change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  bigint NOT NULL,
    old_status  text NOT NULL,
    new_status  text NOT NULL,
    attempt_seq integer NOT NULL,
    application text NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE fault_watch.outcome_change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  bigint NOT NULL,
    attempt_no  integer NOT NULL,
    old_outcome text NOT NULL,
    new_outcome text NOT NULL,
    marked      boolean NOT NULL
);

CREATE FUNCTION fault_watch.note_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_watch.status_change
           (message_id, old_status, new_status, attempt_seq, application)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.attempt_seq,
            current_setting('application_name'));
    RETURN NULL;
END
$$;

CREATE FUNCTION fault_watch.note_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fault_watch.outcome_change
           (message_id, attempt_no, old_outcome, new_outcome, marked)
    VALUES (NEW.outbound_message_id, NEW.attempt_no, OLD.outcome, NEW.outcome,
            NEW.possible_duplicate);
    RETURN NULL;
END
$$;

CREATE TRIGGER fault_watch_status
    AFTER UPDATE ON outbound_message
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION fault_watch.note_status();

CREATE TRIGGER fault_watch_outcome
    AFTER UPDATE ON outbound_attempt
    FOR EACH ROW WHEN (OLD.outcome IS DISTINCT FROM NEW.outcome)
    EXECUTE FUNCTION fault_watch.note_outcome();

-- name: allow
-- Consent of every recipient of the load, and an account with more quota than it can use.
INSERT INTO consentement (org_id, recipient, channel, status)
SELECT %(org_id)s, recipient, 'WHATSAPP', 'GRANTED' FROM unnest(%(recipients)s::text[]) AS recipient;

-- name: open_account
-- More quota than the load can use; a row here also lets rate-limit answers throttle.
INSERT INTO whatsapp_rate_limit (org_id, quota_limit) VALUES (%(org_id)s, 1000000)

-- name: unfinished
-- Messages that are still to be sent or in flight, and webhooks that are stored and not applied.
SELECT (SELECT count(*) FROM outbound_message WHERE status IN ('QUEUED', 'SENDING')),
       (SELECT count(*) FROM provider_webhook WHERE processed_at IS NULL)

-- name: in_flight
-- Messages in flight now.
SELECT id, attempt_seq FROM outbound_message WHERE status = 'SENDING' ORDER BY id LIMIT %(limit)s

-- name: workers
-- Who has made attempts; a worker's name ends with its process id.
SELECT DISTINCT worker FROM outbound_attempt WHERE worker IS NOT NULL

-- name: cut_backends
-- End every connection of the senders to this database.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'outbound-slo sender%%'

-- name: reset_sending
-- Runbook 000, recovery of messages stuck in SENDING, by somebody who does not wait ten minutes.
UPDATE outbound_message
   SET status = 'QUEUED', updated_at = NOW(), updated_by = 'ops-by-hand'
 WHERE status = 'SENDING'

-- name: reset_failed
-- Runbook 001, retry of failed messages.
UPDATE outbound_message
   SET status = 'QUEUED', attempt_count = 0, error_code = NULL, error_message = NULL,
       updated_at = NOW(), updated_by = 'ops-by-hand'
 WHERE status = 'FAILED'

-- name: messages
-- Every message as it stands at the end.
SELECT id, idempotency_key, status, error_code FROM outbound_message ORDER BY id

-- name: attempts
-- Every attempt as it stands at the end.
SELECT outbound_message_id, attempt_no, outcome, http_status, possible_duplicate, worker
  FROM outbound_attempt ORDER BY outbound_message_id, attempt_no

-- name: status_changes
-- Every change of a status, in order.
SELECT message_id, old_status, new_status, attempt_seq, application
  FROM fault_watch.status_change ORDER BY id

-- name: outcome_changes
-- Every change of an attempt's outcome, in order.
SELECT message_id, attempt_no, old_outcome, new_outcome, marked
  FROM fault_watch.outcome_change ORDER BY id
