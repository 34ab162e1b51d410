-- SMS in place of WhatsApp messages that do not get through (001, outage procedure 2). The caller's
-- transaction holds them together: who locks the WhatsApp message decides about its SMS.

-- name: choose
-- Less those that have their SMS or have expired, which would fill the limit at every repeat.
SELECT m.id
  FROM outbound_message AS m
 WHERE m.channel = 'WHATSAPP'
   AND m.status = ANY (%(statuses)s)
   AND (m.status = 'FAILED' OR m.attempt_seq > 0)
   AND m.error_code = ANY (%(codes)s)
   AND m.created_at > now() - %(age_s)s * interval '1 second'
   AND m.template_code = ANY (%(templates)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
   AND COALESCE(m.expires_at > now(), true)
   AND NOT EXISTS (SELECT FROM outbound_message AS f
                    WHERE f.idempotency_key = m.idempotency_key || %(suffix)s)
 ORDER BY m.priority, m.created_at DESC, m.id
 LIMIT %(limit)s

-- name: look
-- Messages in the order in which settlements lock them. The text is the subject, as in 001, or what
-- the message would have said in an open window.
SELECT m.id, m.org_id, m.status, m.error_code, m.template_code,
       COALESCE(%(text)s, %(prefix)s || COALESCE(
           CASE WHEN btrim(m.subject) <> '' THEN m.subject END,
           CASE WHEN jsonb_typeof(m.payload_json -> 'text') = 'string'
                     AND btrim(m.payload_json ->> 'text') <> ''
                THEN m.payload_json ->> 'text' END)) AS text,
       EXISTS (SELECT FROM outbound_message AS f
                WHERE f.idempotency_key = m.idempotency_key || %(suffix)s) AS fell_back,
       COALESCE((SELECT a.outcome IN ('IN_FLIGHT', 'UNKNOWN')
                   FROM outbound_attempt AS a
                  WHERE a.outbound_message_id = m.id
                  ORDER BY a.attempt_no DESC
                  LIMIT 1), false) AS unsettled,
       COALESCE(m.expires_at <= now(), false) AS expired
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
 ORDER BY m.id

-- name: queue_sms
-- The key says whose fallback it is, so that there is one however often and by whom it is asked for,
-- also by a statement of one's own that runs at the same time. Each SMS, and what it stands for.
WITH wanted AS (
    SELECT m.*, w.text, m.idempotency_key || %(suffix)s AS key
      FROM unnest(%(ids)s::bigint[], %(texts)s::text[]) AS w (id, text)
      JOIN outbound_message AS m ON m.id = w.id
), made AS (
    INSERT INTO outbound_message (
        org_id, dossier_id, channel, to_recipient, subject, idempotency_key, expires_at, priority,
        quiet_hours_override, session_id, run_id, hypothesis_id, traceparent, created_by,
        updated_by)
    SELECT org_id, dossier_id, 'SMS', to_recipient, text, key, expires_at, priority,
           quiet_hours_override, session_id, run_id, hypothesis_id, traceparent, %(stamp)s,
           %(stamp)s
      FROM wanted
     ORDER BY id
        ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING id, idempotency_key
)
SELECT made.id, wanted.id AS stands_for
  FROM made
  JOIN wanted ON wanted.key = made.idempotency_key

-- name: end_waiting
-- They will not be tried again; their budget stays open, for they are no dead letters.
UPDATE outbound_message AS m
   SET status = 'FAILED',
       error_code = %(code)s,
       error_message = 'It went out as SMS instead',
       attempt_count = LEAST(m.attempt_count, m.max_attempts - 1),
       next_retry_at = NULL,
       updated_at = now(),
       updated_by = %(stamp)s
 WHERE m.id = ANY (%(ids)s)
