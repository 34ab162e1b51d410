-- What people ask about the queue. Each statement follows an index and ends by itself on a table of
-- any size: rows are limited, and totals are counted up to a ceiling.

-- name: open_windows
-- 24-hour windows that are open, the one that closes next first.
SELECT id, org_id, phone_number, last_inbound_at, window_expires_at, true AS active,
       floor(EXTRACT(EPOCH FROM window_expires_at - now()))::bigint AS seconds_remaining
  FROM whatsapp_session_window
 WHERE window_expires_at > now()
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
   AND (%(phone)s::text IS NULL OR phone_number = %(phone)s)
 ORDER BY window_expires_at, id
 LIMIT %(limit)s

-- name: closed_windows
-- 24-hour windows that have closed, the latest first.
SELECT id, org_id, phone_number, last_inbound_at, window_expires_at, false AS active,
       0::bigint AS seconds_remaining
  FROM whatsapp_session_window
 WHERE window_expires_at <= now()
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
   AND (%(phone)s::text IS NULL OR phone_number = %(phone)s)
 ORDER BY window_expires_at DESC, id DESC
 LIMIT %(limit)s

-- name: count_windows
-- How many windows are open, and how many have closed, each up to the ceiling.
SELECT (SELECT count(*) FROM (
            SELECT FROM whatsapp_session_window
             WHERE window_expires_at > now()
               AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
               AND (%(phone)s::text IS NULL OR phone_number = %(phone)s)
             LIMIT %(ceiling)s) AS open) AS open,
       (SELECT count(*) FROM (
            SELECT FROM whatsapp_session_window
             WHERE window_expires_at <= now()
               AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
               AND (%(phone)s::text IS NULL OR phone_number = %(phone)s)
             LIMIT %(ceiling)s) AS closed) AS closed

-- name: retry_queue
-- WhatsApp messages that wait for another attempt, the next one first. due_at is when (D18).
SELECT id AS message_id, org_id, to_recipient AS to_phone, template_code, status, attempt_count,
       max_attempts, error_code, error_message, due_at AS next_retry_at, due_at <= now() AS overdue
  FROM outbound_message
 WHERE status = 'QUEUED'
   AND attempt_count > 0
   AND channel = 'WHATSAPP'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 ORDER BY due_at, id
 LIMIT %(limit)s

-- name: count_retry_queue
-- How many of them there are, up to the ceiling.
SELECT count(*)
  FROM (SELECT FROM outbound_message
         WHERE status = 'QUEUED'
           AND attempt_count > 0
           AND channel = 'WHATSAPP'
           AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
         LIMIT %(ceiling)s) AS waiting

-- name: error_patterns
-- WhatsApp messages of the last hours that failed, or wait after an error, by code; with the
-- organisations and templates that have most of each (000: all of them, or a single one?).
WITH faulty AS MATERIALIZED (
    SELECT error_code, org_id, template_code, error_message, created_at,
           status = 'QUEUED' AS waiting, attempt_count >= max_attempts AS dead
      FROM outbound_message
     WHERE status IN ('FAILED', 'QUEUED')
       AND (status = 'FAILED' OR attempt_count > 0)
       AND created_at > now() - %(hours)s * interval '1 hour'
       AND channel = 'WHATSAPP'
       AND error_code IS NOT NULL
       AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
), counted AS (
    SELECT GROUPING(org_id, template_code) AS kind,
           error_code, org_id, template_code,
           count(*) AS count,
           count(*) FILTER (WHERE waiting) AS waiting_for_retry,
           count(*) FILTER (WHERE dead AND NOT waiting) AS dead_letters,
           count(DISTINCT org_id) AS organisations,
           max(error_message) AS error_message,
           min(created_at) AS first_seen_at, max(created_at) AS last_seen_at
      FROM faulty
     GROUP BY GROUPING SETS (
           (error_code), (error_code, org_id), (error_code, template_code))
), ranked AS (
    SELECT counted.*,
           row_number() OVER (
               PARTITION BY kind, CASE WHEN kind < 3 THEN error_code END
               ORDER BY count DESC, error_code, org_id, template_code) AS place,
           (sum(count) FILTER (WHERE kind = 3) OVER ())::bigint AS total
      FROM counted
)
SELECT CASE kind WHEN 3 THEN 'code' WHEN 1 THEN 'organisation' ELSE 'template' END AS kind,
       error_code, org_id, template_code, count, waiting_for_retry, dead_letters, organisations,
       error_message, first_seen_at, last_seen_at, total
  FROM ranked
 WHERE place <= CASE WHEN kind = 3 THEN %(codes)s ELSE %(parts)s END
 ORDER BY kind DESC, count DESC, error_code, org_id, template_code

-- name: count_messages
-- All WhatsApp messages of the last hours.
SELECT count(*)
  FROM outbound_message
 WHERE status IN ('QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'FAILED')
   AND created_at > now() - %(hours)s * interval '1 hour'
   AND channel = 'WHATSAPP'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: channel_health
-- Messages of the last hours by channel and what became of them; the latency is the sender's (D30).
SELECT channel,
       count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED')) AS successful,
       count(*) FILTER (WHERE status = 'FAILED') AS failed,
       count(*) FILTER (WHERE status IN ('QUEUED', 'SENDING')) AS pending,
       avg(EXTRACT(EPOCH FROM sent_at - due_since) * 1000)
           FILTER (WHERE status IN ('SENT', 'DELIVERED'))::float8 AS latency_ms
  FROM outbound_message
 WHERE status IN ('QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'FAILED')
   AND created_at > now() - %(hours)s * interval '1 hour'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 GROUP BY channel

-- name: read_message
-- One message; none where it is another organisation's.
SELECT id AS message_id, org_id, channel, to_recipient, template_code, subject, dossier_id, status,
       turn, priority, attempt_count, max_attempts, error_code, error_message,
       provider_message_id, idempotency_key, scheduled_at, expires_at, next_retry_at,
       due_at, created_at, updated_at, sent_at, delivered_at, read_at, traceparent,
       payload_json, quiet_hours_override
  FROM outbound_message
 WHERE id = %(id)s
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: read_attempts
-- The attempts of a message, the latest first.
SELECT attempt_no, outcome, http_status, error_code, error_message, provider_message_id,
       started_at, finished_at, next_retry_at, possible_duplicate, traceparent
  FROM outbound_attempt
 WHERE outbound_message_id = %(id)s
 ORDER BY attempt_no DESC
 LIMIT %(limit)s

-- name: find_organisation
-- Whom a dry run speaks for where nobody says: the dossier's organisation, else the one that has to
-- do with the number already, else the only one.
SELECT COALESCE(
    (SELECT org_id FROM dossier WHERE id = %(dossier_id)s),
    (SELECT org_id FROM whatsapp_session_window WHERE phone_number = %(phone)s
      ORDER BY window_expires_at DESC LIMIT 1),
    (SELECT org_id FROM consentement WHERE recipient = %(phone)s AND channel = 'WHATSAPP'
      ORDER BY updated_at DESC, org_id LIMIT 1),
    (SELECT min(org_id) FROM whatsapp_provider_config HAVING count(*) = 1)) AS org_id

-- name: rehearse
-- All that the claim would bring for a WhatsApp message to this number now.
SELECT s.status AS consent,
       w.window_expires_at > now() AS window_open, w.window_expires_at,
       CASE WHEN q.reset_at > now() AND q.messages_sent_count >= q.quota_limit
            THEN EXTRACT(EPOCH FROM q.reset_at - now())::float8 END AS quota_wait_s,
       CASE WHEN q.throttle_until > now()
            THEN EXTRACT(EPOCH FROM q.throttle_until - now())::float8 END AS throttle_wait_s,
       v.enabled AS provider_enabled, v.phone_number_id,
       o.opted_out AS contact_opted_out, o.quiet_hours_start AS quiet_from,
       o.quiet_hours_end AS quiet_until, o.timezone AS quiet_zone,
       EXISTS (SELECT FROM dossier AS d
                WHERE d.id = %(dossier_id)s AND d.org_id = c.org_id) AS dossier_found
  FROM (SELECT %(org_id)s::text AS org_id, %(phone)s::text AS phone) AS c
  LEFT JOIN consentement AS s
    ON s.org_id = c.org_id AND s.recipient = c.phone AND s.channel = 'WHATSAPP'
  LEFT JOIN whatsapp_session_window AS w
    ON w.org_id = c.org_id AND w.phone_number = c.phone
  LEFT JOIN whatsapp_rate_limit AS q ON q.org_id = c.org_id
  LEFT JOIN whatsapp_provider_config AS v ON v.org_id = c.org_id
  LEFT JOIN contact_preferences AS o ON o.wa_id = c.phone

-- name: find_duplicate
-- Whether a message like it waits, is on its way, or went within the hour; of what went, the
-- organisation's latest ones are looked through, up to the ceiling.
SELECT EXISTS (
           SELECT FROM outbound_message
            WHERE status IN ('QUEUED', 'SENDING')
              AND channel = 'WHATSAPP' AND to_recipient = %(phone)s AND org_id = %(org_id)s
              AND template_code IS NOT DISTINCT FROM %(template)s
              AND (%(template)s::text IS NOT NULL OR payload_json ->> 'text' = %(text)s))
    OR EXISTS (
           SELECT FROM (
               SELECT status, channel, to_recipient, template_code, payload_json
                 FROM outbound_message
                WHERE org_id = %(org_id)s AND created_at > now() - interval '1 hour'
                ORDER BY created_at DESC
                LIMIT %(ceiling)s) AS recent
            WHERE status IN ('SENT', 'DELIVERED')
              AND channel = 'WHATSAPP' AND to_recipient = %(phone)s
              AND template_code IS NOT DISTINCT FROM %(template)s
              AND (%(template)s::text IS NOT NULL OR payload_json ->> 'text' = %(text)s))
       AS duplicate
