-- What people do to messages: one place for the HTTP face and for commands. The caller's
-- transaction holds them together, so that the second statement sees what the lock has shown.

-- name: lock_message
-- One message, held until the transaction ends; none where it is another organisation's. The wait is
-- what is left of the recovery window, which the sweep counts from updated_at.
SELECT m.id, m.status,
       CASE WHEN m.status = 'SENDING'
            THEN EXTRACT(EPOCH FROM m.updated_at - clock_timestamp())::float8 + %(window_s)s
            ELSE 0 END AS wait_s,
       m.attempt_seq = 0 AND m.scheduled_at > now() AS scheduled,
       COALESCE(m.expires_at <= now(), false) AS expired
  FROM outbound_message AS m
 WHERE m.id = %(id)s
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
   FOR UPDATE

-- name: read_last_attempt
-- The latest attempt: whether its outcome is known, and what is left of its recovery window.
SELECT a.attempt_no,
       a.outcome IN ('IN_FLIGHT', 'UNKNOWN') AS unsettled,
       EXTRACT(EPOCH FROM a.started_at - clock_timestamp())::float8 + %(window_s)s AS wait_s,
       outbound_resend_allowed(
           a.channel, a.started_at, %(silence_s)s * interval '1 second') AS resend_allowed
  FROM outbound_attempt AS a
 WHERE a.outbound_message_id = %(id)s
 ORDER BY a.attempt_no DESC
 LIMIT 1

-- name: requeue_message
-- Back to the queue and due at once. A budget that is used up or was closed (D7) is whole again, as
-- 001's and 002's resets make it; what went wrong before stays with the attempts.
WITH attempt AS (
    UPDATE outbound_attempt AS a
       SET outcome = CASE WHEN a.outcome = 'IN_FLIGHT' THEN 'UNKNOWN' ELSE a.outcome END,
           possible_duplicate = a.possible_duplicate OR a.outcome IN ('IN_FLIGHT', 'UNKNOWN'),
           error_code = CASE WHEN a.outcome = 'IN_FLIGHT'
                             THEN COALESCE(a.error_code, %(unknown)s) ELSE a.error_code END,
           finished_at = COALESCE(a.finished_at, now()),
           next_retry_at = NULL,
           updated_at = now()
     WHERE a.outbound_message_id = %(id)s
       AND a.attempt_no = %(attempt_no)s
)
UPDATE outbound_message AS m
   SET status = 'QUEUED',
       attempt_count = CASE WHEN m.attempt_count >= m.max_attempts THEN 0
                            ELSE m.attempt_count END,
       error_code = CASE WHEN m.status = 'FAILED' THEN NULL ELSE m.error_code END,
       error_message = CASE WHEN m.status = 'FAILED' THEN NULL ELSE m.error_message END,
       next_retry_at = NULL,
       scheduled_at = NULL,
       expires_at = CASE WHEN m.expires_at <= now() THEN NULL ELSE m.expires_at END,
       updated_at = now(),
       updated_by = COALESCE(%(updated_by)s, m.updated_by)
 WHERE m.id = %(id)s
RETURNING m.attempt_count, m.max_attempts, m.due_at
