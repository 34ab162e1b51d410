-- Statements that change the state of messages. Every time is the database's: hosts' clocks differ.

-- name: enqueue
-- Put one message on the queue; an idempotency key that was used gives the message it made.
INSERT INTO outbound_message (
    org_id, dossier_id, channel, to_recipient, template_code, subject, payload_json,
    idempotency_key, max_attempts, scheduled_at, expires_at, priority, quiet_hours_override,
    session_id, run_id, hypothesis_id, traceparent, created_by)
VALUES (
    %(org_id)s, %(dossier_id)s, %(channel)s, %(to_recipient)s, %(template_code)s, %(subject)s,
    %(payload)s, %(idempotency_key)s, %(max_attempts)s, %(scheduled_at)s, %(expires_at)s,
    %(priority)s, %(quiet_hours_override)s, %(session_id)s, %(run_id)s, %(hypothesis_id)s,
    %(traceparent)s, %(created_by)s)
ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = EXCLUDED.idempotency_key
RETURNING id

-- name: claim
-- Take due messages: one attempt row each, and all that the checks before a send need to know.
-- updated_by stays: the runbooks follow a batch of theirs by it.
WITH due AS (
    SELECT id
      FROM outbound_message
     WHERE status = 'QUEUED'
       AND due_at <= now()
       AND channel = ANY (%(channels)s)
     ORDER BY due_at, id
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE outbound_message AS m
       SET status = 'SENDING',
           attempt_count = m.attempt_count + 1,
           attempt_seq = GREATEST(m.attempt_seq, (
               SELECT max(a.attempt_no) FROM outbound_attempt AS a
                WHERE a.outbound_message_id = m.id)) + 1,
           next_retry_at = NULL,
           updated_at = now()
      FROM due
     WHERE m.id = due.id
    RETURNING m.*
), attempt AS (
    INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, worker)
    SELECT id, attempt_seq, channel, %(worker)s FROM claimed
)
SELECT c.id, c.org_id, c.channel, c.to_recipient, c.template_code, c.subject, c.payload_json,
       c.attempt_seq AS attempt_no, c.attempt_count, c.max_attempts,
       c.session_id, c.run_id, c.hypothesis_id, c.traceparent,
       c.priority, COALESCE(c.expires_at <= now(), false) AS expired, c.quiet_hours_override,
       NULL::boolean AS contact_opted_out, NULL::time AS quiet_from, NULL::time AS quiet_until,
       NULL::text AS quiet_zone,
       k.status AS consent,
       w.window_expires_at > now() AS window_open,
       CASE WHEN q.reset_at > now() AND q.messages_sent_count >= q.quota_limit
            THEN EXTRACT(EPOCH FROM q.reset_at - now())::float8 END AS quota_wait_s,
       CASE WHEN q.throttle_until > now()
            THEN EXTRACT(EPOCH FROM q.throttle_until - now())::float8 END AS throttle_wait_s,
       p.enabled AS provider_enabled, p.phone_number_id,
       last.traceparent AS previous_traceparent
  FROM claimed AS c
  LEFT JOIN consentement AS k
    ON k.org_id = c.org_id AND k.recipient = c.to_recipient AND k.channel = c.channel
  LEFT JOIN whatsapp_session_window AS w
    ON c.channel = 'WHATSAPP' AND w.org_id = c.org_id AND w.phone_number = c.to_recipient
  LEFT JOIN whatsapp_rate_limit AS q
    ON c.channel = 'WHATSAPP' AND q.org_id = c.org_id
  LEFT JOIN whatsapp_provider_config AS p
    ON c.channel = 'WHATSAPP' AND p.org_id = c.org_id
  LEFT JOIN LATERAL (
       SELECT a.traceparent FROM outbound_attempt AS a
        WHERE a.outbound_message_id = c.id AND a.attempt_no < c.attempt_seq
        ORDER BY a.attempt_no DESC LIMIT 1) AS last ON true

-- name: settle
-- Write what became of attempts. A message is touched only while it is at that very attempt, and
-- one that was reset meanwhile only if the provider has accepted it (D17, D18).
WITH settled AS (
    SELECT *
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
           message_id bigint, attempt_no integer, outcome text, status text, http_status integer,
           error_code text, error_message text, provider_message_id text, retry_in_s float8,
           defer_s float8, close_budget boolean, give_back boolean, throttle_s float8,
           traceparent text)
     ORDER BY message_id
), attempt AS (
    UPDATE outbound_attempt AS a
       -- A webhook may have been quicker and have told the outcome already.
       SET outcome = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.outcome ELSE a.outcome END,
           http_status = s.http_status,
           error_code = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.error_code
                             ELSE a.error_code END,
           error_message = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.error_message
                                ELSE a.error_message END,
           provider_message_id = COALESCE(a.provider_message_id, s.provider_message_id),
           next_retry_at = CASE WHEN a.outcome = 'IN_FLIGHT'
                                THEN now() + s.retry_in_s * interval '1 second' END,
           traceparent = s.traceparent,
           finished_at = COALESCE(a.finished_at, now()),
           updated_at = now()
      FROM settled AS s
     WHERE a.outbound_message_id = s.message_id
       AND a.attempt_no = s.attempt_no
       AND a.traceparent IS NULL
), moved AS (
    UPDATE outbound_message AS m
       SET status = s.status,
           provider_message_id = COALESCE(s.provider_message_id, m.provider_message_id),
           sent_at = CASE WHEN s.status = 'SENT' THEN now() ELSE m.sent_at END,
           -- A breaker's refusal says nothing of the message; a wait for quota has to be findable.
           error_code = CASE WHEN s.outcome = 'DEFERRED' AND s.defer_s IS NULL THEN m.error_code
                             ELSE s.error_code END,
           error_message = CASE WHEN s.outcome = 'DEFERRED' AND s.defer_s IS NULL
                                THEN m.error_message ELSE s.error_message END,
           attempt_count = CASE
               WHEN s.close_budget THEN GREATEST(m.attempt_count, m.max_attempts)
               WHEN s.give_back THEN GREATEST(m.attempt_count - 1, 0)
               ELSE m.attempt_count END,
           next_retry_at = now() + s.retry_in_s * interval '1 second',
           scheduled_at = CASE WHEN s.defer_s IS NULL THEN m.scheduled_at
                               ELSE now() + s.defer_s * interval '1 second' END,
           updated_at = now()
      FROM settled AS s
     WHERE m.id = s.message_id
       AND m.attempt_seq = s.attempt_no
       AND s.status IS NOT NULL
       AND (m.status = 'SENDING' OR (m.status = 'QUEUED' AND s.status = 'SENT'))
    RETURNING m.id, m.org_id, m.channel, m.status, s.throttle_s
), spent AS (
    UPDATE whatsapp_rate_limit AS q
       SET messages_sent_count = q.messages_sent_count + o.sent,
           throttle_until = GREATEST(q.throttle_until, now() + o.throttle_s * interval '1 second'),
           last_request_at = now()
      FROM (SELECT org_id,
                   count(*) FILTER (WHERE status = 'SENT') AS sent,
                   max(throttle_s) AS throttle_s
              FROM moved WHERE channel = 'WHATSAPP' GROUP BY org_id) AS o
     WHERE q.org_id = o.org_id
)
SELECT id FROM moved

-- name: recover
-- Messages in SENDING beyond the recovery window (000: 10 minutes). Whether the provider has them
-- is not known, so the attempt says so and may become a duplicate; without budget they end here.
WITH stale AS (
    SELECT id
      FROM outbound_message
     WHERE status = 'SENDING'
       AND updated_at < now() - %(window_s)s * interval '1 second'
     ORDER BY updated_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE outbound_message AS m
       SET status = CASE WHEN m.attempt_count < m.max_attempts THEN 'QUEUED' ELSE 'FAILED' END,
           error_code = %(error_code)s,
           error_message = 'No answer and no webhook within the recovery window',
           updated_at = now()
      FROM stale
     WHERE m.id = stale.id
    RETURNING m.id, m.attempt_seq, m.status
), attempt AS (
    UPDATE outbound_attempt AS a
       SET outcome = 'UNKNOWN',
           error_code = COALESCE(a.error_code, %(error_code)s),
           possible_duplicate = moved.status = 'QUEUED',
           finished_at = COALESCE(a.finished_at, now()),
           updated_at = now()
      FROM moved
     WHERE a.outbound_message_id = moved.id
       AND a.attempt_no = moved.attempt_seq
       AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN')
)
SELECT id, status FROM moved

-- name: renew_quotas
-- Start a new window where the old one has ended.
UPDATE whatsapp_rate_limit
   SET messages_sent_count = 0,
       reset_at = now() + interval '24 hours'
 WHERE reset_at <= now()
