-- What a benchmark puts into the outbox, and what it asks of the result.
-- Recipient number n is +336 and eight digits, and belongs to organisation bench-(n mod how many).

-- name: organisations
-- Organisations with their account rows; their quota is no bound here.
WITH organisation AS (
    SELECT 'bench-' || n AS org_id FROM generate_series(0, %(organisations)s - 1) AS n
    UNION ALL SELECT 'bench-urgent'
    UNION ALL SELECT 'bench-hot'
), account AS (
    INSERT INTO whatsapp_rate_limit (org_id, quota_limit)
    SELECT org_id, 2000000000 FROM organisation
)
INSERT INTO whatsapp_provider_config (org_id, phone_number_id)
SELECT org_id, '10001' FROM organisation

-- name: consents
-- Consent of a range of recipients to their organisation.
INSERT INTO consentement (org_id, recipient, channel, status, source)
SELECT COALESCE(%(org_id)s, 'bench-' || n %% %(organisations)s),
       '+336' || lpad(n::text, 8, '0'), 'WHATSAPP', 'GRANTED', 'benchmark'
  FROM generate_series(%(first)s, %(first)s + %(recipients)s - 1) AS n

-- name: messages
-- Template messages to a range of recipients, several rounds of them if asked for.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, payload_json,
                              session_id, run_id, traceparent, scheduled_at, priority, created_by)
SELECT COALESCE(%(org_id)s, 'bench-' || (%(first)s + n %% %(recipients)s) %% %(organisations)s),
       'WHATSAPP', '+336' || lpad((%(first)s + n %% %(recipients)s)::text, 8, '0'),
       'appointment_reminder', '{"parameters": ["Ada", "Tuesday", "10:30"]}',
       'session-' || n, 'benchmark',
       '00-' || lpad(to_hex(n + 1), 32, '0') || '-' || lpad(to_hex(n + 1), 16, '0') || '-01',
       now() + %(delay_s)s * interval '1 second', %(priority)s, 'benchmark'
  FROM generate_series(0, %(messages)s - 1) AS n

-- name: in_flight
-- Messages that a process elsewhere is sending at this moment, one to each of a range of recipients.
WITH held AS (
    INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,
                                  attempt_count, attempt_seq, created_by)
    SELECT 'bench-' || n %% %(organisations)s, 'WHATSAPP', '+336' || lpad(n::text, 8, '0'),
           'appointment_reminder', 'SENDING', 1, 1, 'benchmark'
      FROM generate_series(%(first)s, %(first)s + %(recipients)s - 1) AS n
    RETURNING id
)
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, worker)
SELECT id, 1, 'WHATSAPP', 'elsewhere' FROM held

-- name: history
-- Old messages, delivered and read over the year before, as retention would have left them.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,
                              provider_message_id, attempt_count, attempt_seq, created_at,
                              updated_at, sent_at, delivered_at, read_at, created_by)
SELECT 'bench-' || n %% %(organisations)s, 'WHATSAPP', '+337' || lpad((n %% 1000000)::text, 8, '0'),
       'appointment_reminder', 'DELIVERED', 'wamid.old-' || n, 1, 1, at, at, at, at, at, 'benchmark'
  FROM generate_series(%(first)s::bigint, %(first)s + %(messages)s - 1) AS n,
       LATERAL (SELECT now() - interval '1 hour' - n * interval '3 seconds' AS at) AS moment

-- name: sent
-- Messages that the provider has taken and told nothing of yet; ids of theirs as in wamid.bench-n.
WITH taken AS (
    INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,
                                  provider_message_id, attempt_count, attempt_seq, sent_at,
                                  created_by)
    SELECT 'bench-0', 'WHATSAPP', '+336' || lpad(n::text, 8, '0'), 'appointment_reminder', 'SENT',
           'wamid.bench-' || n, 1, 1, now(), 'benchmark'
      FROM generate_series(%(first)s, %(first)s + %(messages)s - 1) AS n
    RETURNING id, provider_message_id
)
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome,
                              provider_message_id, finished_at)
SELECT id, 1, 'WHATSAPP', 'SENT', provider_message_id, now() FROM taken

-- name: unfinished
-- Messages that are not delivered and read.
SELECT count(*) FROM outbound_message WHERE status <> 'DELIVERED' OR read_at IS NULL

-- name: open_webhooks
-- Webhooks that are stored and not applied.
SELECT count(*) FROM provider_webhook WHERE processed_at IS NULL

-- name: ready
-- Messages that a claim would find at once.
SELECT count(*) FROM outbound_message
 WHERE status = 'QUEUED' AND turn <> 'PARKED' AND due_at <= now()

-- name: last_id
-- The newest message.
SELECT COALESCE(max(id), 0) FROM outbound_message

-- name: unsent
-- Messages after a certain one that are not with the provider.
SELECT count(*) FROM outbound_message WHERE id > %(after)s AND status IN ('QUEUED', 'SENDING')

-- name: answer_times
-- When the first attempt was over, and the last.
SELECT extract(epoch FROM min(finished_at))::float8, extract(epoch FROM max(finished_at))::float8
  FROM outbound_attempt
