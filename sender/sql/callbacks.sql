-- Statements that store webhooks and apply what they say.

-- name: store_webhook
-- Keep a webhook's body before it is answered: the provider never sends it again.
INSERT INTO provider_webhook (provider, body) VALUES (%(provider)s, %(body)s) RETURNING id

-- name: plan_by_index
-- The planner takes any list of receipts for a hundred rows, and reads whole tables for one.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off

-- name: take_webhooks
-- Stored webhooks that nobody has applied yet; held until the transaction ends.
SELECT id, provider, body, received_at
  FROM provider_webhook
 WHERE processed_at IS NULL AND tries < %(max_tries)s
 ORDER BY id
 LIMIT %(limit)s
   FOR UPDATE SKIP LOCKED

-- name: finish_webhooks
-- Mark webhooks as applied.
UPDATE provider_webhook SET processed_at = now(), error = NULL WHERE id = ANY (%(ids)s)

-- name: fail_webhook
-- Note that applying a webhook failed; it is tried again until max_tries.
UPDATE provider_webhook SET tries = tries + 1, error = %(error)s WHERE id = %(id)s

-- name: purge_webhooks
-- Applied webhooks are kept for the seven days in which a provider may repeat them.
DELETE FROM provider_webhook
 WHERE id IN (SELECT id FROM provider_webhook
               WHERE processed_at < now() - interval '7 days' ORDER BY id LIMIT 1000)

-- name: apply_receipts
-- Settle messages by their receipts, each naming an attempt by the provider's id or by our own
-- reference, which others who share the account could copy: it only names an attempt of this channel
-- that has no provider's id yet. Never backwards; a receipt for an attempt before the current one changes nothing.
WITH receipt AS (
    SELECT *
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
           provider_message_id text, message_id bigint, attempt_no integer, sent_s float8,
           delivered_s float8, read_s float8, failed_s float8, error_code text,
           error_message text, close_budget boolean)
), named AS (
    SELECT r.provider_message_id AS provider_id, r.sent_s, r.delivered_s, r.read_s, r.failed_s,
           r.error_code AS failure_code, r.error_message AS failure_text, r.close_budget,
           a.outbound_message_id AS id, a.attempt_no AS no, a.traceparent
      FROM receipt AS r
     CROSS JOIN LATERAL (
           SELECT outbound_message_id, attempt_no, traceparent FROM outbound_attempt
            WHERE provider_message_id = r.provider_message_id
           UNION ALL
           SELECT outbound_message_id, attempt_no, traceparent FROM outbound_attempt
            WHERE outbound_message_id = r.message_id AND attempt_no = r.attempt_no
              AND channel = %(channel)s AND provider_message_id IS NULL
            LIMIT 1) AS a
), latest AS (
    SELECT DISTINCT ON (id) * FROM named ORDER BY id, no DESC
), before AS (
    SELECT m.id, m.status, m.read_at IS NOT NULL AS was_read
      FROM latest AS n JOIN outbound_message AS m ON m.id = n.id
     ORDER BY m.id
       FOR UPDATE OF m
), attempt AS (
    UPDATE outbound_attempt AS a
       SET outcome = 'SENT',
           provider_message_id = COALESCE(a.provider_message_id, n.provider_id),
           finished_at = COALESCE(a.finished_at, now()),
           next_retry_at = NULL,
           updated_at = now()
      FROM named AS n
     WHERE a.outbound_message_id = n.id AND a.attempt_no = n.no
       AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN')
), moved AS (
    UPDATE outbound_message AS m
       SET status = CASE
               WHEN COALESCE(n.delivered_s, n.read_s) IS NOT NULL THEN 'DELIVERED'
               WHEN m.status = 'DELIVERED' THEN 'DELIVERED'
               WHEN n.failed_s IS NOT NULL THEN 'FAILED'
               ELSE 'SENT' END,
           provider_message_id = COALESCE(m.provider_message_id, n.provider_id),
           sent_at = COALESCE(m.sent_at, LEAST(now(), to_timestamp(
               COALESCE(n.sent_s, n.delivered_s, n.read_s, n.failed_s)))),
           delivered_at = COALESCE(m.delivered_at, to_timestamp(COALESCE(n.delivered_s, n.read_s))),
           read_at = COALESCE(m.read_at, to_timestamp(n.read_s)),
           error_code = CASE
               WHEN m.status = 'DELIVERED' OR COALESCE(n.delivered_s, n.read_s) IS NOT NULL THEN NULL
               ELSE n.failure_code END,
           error_message = CASE
               WHEN m.status = 'DELIVERED' OR COALESCE(n.delivered_s, n.read_s) IS NOT NULL THEN NULL
               ELSE n.failure_text END,
           attempt_count = CASE
               WHEN n.failed_s IS NOT NULL AND n.close_budget AND m.status <> 'DELIVERED'
                    AND COALESCE(n.delivered_s, n.read_s) IS NULL
               THEN GREATEST(m.attempt_count, m.max_attempts) ELSE m.attempt_count END,
           updated_at = now()
      FROM latest AS n
     WHERE m.id = n.id
       AND n.no >= m.attempt_seq
       AND (m.status IN ('QUEUED', 'SENDING')
            OR (m.status = 'SENT'
                AND COALESCE(n.delivered_s, n.read_s, n.failed_s) IS NOT NULL)
            OR (m.status = 'DELIVERED' AND n.read_s IS NOT NULL AND m.read_at IS NULL))
    RETURNING m.id, m.status
)
SELECT n.provider_id, n.id, n.traceparent, n.failure_code, b.status AS old_status, b.was_read,
       moved.id IS NOT NULL AS moved,
       CASE WHEN n.read_s IS NOT NULL THEN 'READ'
            WHEN n.delivered_s IS NOT NULL THEN 'DELIVERED'
            WHEN n.failed_s IS NOT NULL THEN 'FAILED'
            ELSE 'SENT' END AS said
  FROM named AS n
  JOIN before AS b ON b.id = n.id
  LEFT JOIN moved ON moved.id = n.id

-- name: open_windows
-- An inbound message opens the sender's 24-hour service window with that recipient.
INSERT INTO whatsapp_session_window (org_id, phone_number, last_inbound_at, window_expires_at)
SELECT org_id, phone_number, max(to_timestamp(at_s)), max(to_timestamp(at_s)) + interval '24 hours'
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (org_id text, phone_number text, at_s float8)
 GROUP BY org_id, phone_number
ON CONFLICT (org_id, phone_number) DO UPDATE
   SET last_inbound_at = GREATEST(whatsapp_session_window.last_inbound_at, EXCLUDED.last_inbound_at),
       window_expires_at = GREATEST(
           whatsapp_session_window.window_expires_at, EXCLUDED.window_expires_at),
       updated_at = now()

-- name: store_inbound
-- Keep inbound messages; a repeated webhook adds nothing.
INSERT INTO message (org_id, channel, direction, from_address, body, provider_message_id, created_at)
SELECT org_id, 'WHATSAPP', 'INBOUND', phone_number, body, provider_message_id, to_timestamp(at_s)
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
       org_id text, phone_number text, body text, provider_message_id text, at_s float8)
ON CONFLICT (provider_message_id) DO NOTHING

-- name: organisations_of_numbers
-- Which organisation a business phone number belongs to.
SELECT phone_number_id, org_id FROM whatsapp_provider_config

-- name: read_secrets
-- Webhook secrets that hold now: the current ones, and those replaced in the last seven days.
SELECT pgp_sym_decrypt(webhook_secret_encrypted, %(key)s)
  FROM whatsapp_provider_config WHERE enabled AND webhook_secret_encrypted IS NOT NULL
UNION
SELECT pgp_sym_decrypt(previous_webhook_secret_encrypted, %(key)s)
  FROM whatsapp_provider_config
 WHERE enabled AND previous_webhook_secret_encrypted IS NOT NULL
   AND previous_webhook_secret_until > now()
