-- What people do to messages: one place for the HTTP face and for commands. The caller's
-- transaction holds them together, so that the second statement sees what the lock has shown.

-- name: look_at_messages
-- Messages in the order in which settlements lock them; none that is another organisation's. The wait is what is left of the recovery window, which the sweep
-- counts from updated_at.
SELECT m.id, m.status, m.attempt_seq,
       CASE WHEN m.status = 'SENDING'
            THEN EXTRACT(EPOCH FROM m.updated_at - clock_timestamp())::float8 + %(window_s)s
            ELSE 0 END AS wait_s,
       m.attempt_seq = 0 AND COALESCE(m.scheduled_at > now(), false) AS scheduled,
       COALESCE(m.expires_at <= now(), false) AS expired
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
 ORDER BY m.id

-- name: read_last_attempts
-- The latest attempt of each: whether its outcome is known, and what is left of its recovery window.
SELECT a.*
  FROM unnest(%(ids)s::bigint[]) AS wanted (id)
 CROSS JOIN LATERAL (
       SELECT a.outbound_message_id AS message_id, a.id, a.attempt_no,
              a.outcome IN ('IN_FLIGHT', 'UNKNOWN') AS unsettled,
              EXTRACT(EPOCH FROM a.started_at - clock_timestamp())::float8 + %(window_s)s AS wait_s,
              CASE WHEN a.outcome IN ('IN_FLIGHT', 'UNKNOWN') THEN outbound_resend_allowed(
                   a.channel, a.started_at, %(silence_s)s * interval '1 second')
                   ELSE true END AS resend_allowed
         FROM outbound_attempt AS a
        WHERE a.outbound_message_id = wanted.id
        ORDER BY a.attempt_no DESC
        LIMIT 1) AS a

-- name: find_fallbacks
-- Which of these went out another way instead.
SELECT m.id
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
   AND EXISTS (SELECT FROM outbound_message AS f
                WHERE f.idempotency_key = m.idempotency_key || %(suffix)s)

-- name: requeue_messages
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
     WHERE a.id = ANY (%(attempts)s)
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
 WHERE m.id = ANY (%(ids)s)
RETURNING m.id, m.attempt_count, m.max_attempts, m.due_at
