-- What the exporter's benchmark puts into the outbox: a history of any size, a queue of a fixed size,
-- and the lives of new messages. Latencies stand between the edges of every histogram.

-- name: history
-- Messages of the past thirty days: of 200, 197 delivered, 1 only sent, 2 dead letters.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,
                              provider_message_id, error_code, attempt_count, attempt_seq,
                              created_at, updated_at, due_at, due_since, sent_at, delivered_at,
                              idempotency_key, created_by)
SELECT 'bench-' || n %% 4,
       CASE WHEN n %% 10 < 7 THEN 'WHATSAPP' WHEN n %% 10 < 9 THEN 'SMS' ELSE 'EMAIL' END,
       '+337' || lpad((n %% 1000000)::text, 8, '0'), 'appointment_reminder', status,
       CASE WHEN status <> 'FAILED' THEN 'wamid.old-' || n END,
       CASE WHEN status = 'FAILED' THEN CASE n %% 400 WHEN 0 THEN '130429' ELSE '131026' END END,
       CASE WHEN status = 'FAILED' THEN 5 ELSE 1 END, 1,
       at, at, at, at,
       CASE WHEN status <> 'FAILED' THEN at + interval '0.7 seconds' END,
       CASE WHEN status = 'DELIVERED'
            THEN at + interval '1.4 seconds' + n %% 331 * interval '1.01 seconds' END,
       'old-' || n, 'benchmark'
  FROM generate_series(%(first)s::bigint, %(first)s + %(messages)s - 1) AS n,
       LATERAL (SELECT now() - interval '1 hour' - n * (interval '30 days' / %(size)s) AS at,
                       CASE n %% 200 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'FAILED' WHEN 2 THEN 'SENT'
                                    ELSE 'DELIVERED' END AS status) AS fate

-- name: attempts
-- An attempt for each of them.
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, error_code,
                              provider_message_id, started_at, finished_at)
SELECT id, 1, channel, CASE WHEN status = 'FAILED' THEN 'FAILED' ELSE 'SENT' END, error_code,
       provider_message_id, created_at, created_at + interval '0.7 seconds'
  FROM outbound_message
 WHERE status IN ('SENT', 'DELIVERED', 'FAILED') AND created_by = 'benchmark'
   AND id > %(after)s

-- name: last_message
-- The newest message.
SELECT COALESCE(max(id), 0) FROM outbound_message

-- name: queue
-- What waits and what hangs: a queue does not grow with the history behind it.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status, attempt_count,
                              attempt_seq, created_at, updated_at, due_at, due_since, scheduled_at,
                              idempotency_key, created_by)
SELECT 'bench-' || n %% 4, CASE WHEN n %% 10 < 7 THEN 'WHATSAPP' ELSE 'SMS' END,
       '+336' || lpad(n::text, 8, '0'), 'appointment_reminder',
       CASE WHEN n %% 50 = 0 THEN 'SENDING' ELSE 'QUEUED' END, n %% 3 %% 2, n %% 3 %% 2, at, at, due, due,
       CASE WHEN due > now() THEN due END, 'waiting-' || n, 'queue'
  FROM generate_series(1, %(messages)s::bigint) AS n,
       LATERAL (SELECT CASE WHEN n %% 5 = 0 THEN now() - interval '3 hours' ELSE now() END AS at,
                       CASE WHEN n %% 5 = 0 THEN now() - interval '3 hours'
                            ELSE now() + interval '1 day' END AS due) AS moment

-- name: organisations
-- Organisations with their accounts.
INSERT INTO whatsapp_rate_limit (org_id, quota_limit, messages_sent_count)
SELECT 'bench-' || n, 1000 * (n + 1), 10 * n FROM generate_series(0, 3) AS n

-- name: life_queued
-- A message's life, first step: queued.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, idempotency_key,
                              payload_json, created_by)
SELECT 'bench-' || n %% 4, 'WHATSAPP', '+336' || lpad((50000000 + n)::text, 8, '0'),
       'appointment_reminder', 'life-' || n, '{"parameters": ["Ada", "Tuesday"]}', 'life'
  FROM generate_series(%(first)s::bigint, %(last)s) AS n

-- name: life_claimed
-- Second: a sender takes it, and notes its attempt.
WITH claimed AS (
    UPDATE outbound_message
       SET status = 'SENDING', attempt_count = attempt_count + 1, attempt_seq = attempt_seq + 1,
           updated_at = now()
     WHERE idempotency_key = ANY(%(keys)s)
    RETURNING id, attempt_seq, channel
)
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, worker)
SELECT id, attempt_seq, channel, 'benchmark' FROM claimed

-- name: life_answered
-- Third: the provider takes it, and one in ten it refuses for good.
WITH answered AS (
    UPDATE outbound_message
       SET status = CASE WHEN id %% 10 = 0 THEN 'FAILED' ELSE 'SENT' END,
           attempt_count = CASE WHEN id %% 10 = 0 THEN max_attempts ELSE attempt_count END,
           error_code = CASE WHEN id %% 20 = 0 THEN '130429' WHEN id %% 10 = 0 THEN '131026' END,
           provider_message_id = CASE WHEN id %% 10 <> 0 THEN 'wamid.life-' || id END,
           sent_at = CASE WHEN id %% 10 <> 0 THEN now() END, updated_at = now()
     WHERE idempotency_key = ANY(%(keys)s)
    RETURNING id, attempt_seq, status, error_code, provider_message_id
)
UPDATE outbound_attempt AS a
   SET outcome = m.status, error_code = m.error_code, provider_message_id = m.provider_message_id,
       finished_at = now(), updated_at = now()
  FROM answered AS m
 WHERE a.outbound_message_id = m.id AND a.attempt_no = m.attempt_seq

-- name: life_delivered
-- Fourth: a webhook says that it arrived.
UPDATE outbound_message
   SET status = 'DELIVERED', delivered_at = sent_at + id %% 7 * interval '17.3 seconds'
                                            + interval '0.7 seconds', updated_at = now()
 WHERE status = 'SENT'
   AND idempotency_key = ANY(%(keys)s)

-- name: life_read
-- Last: a webhook says that it was read.
UPDATE outbound_message
   SET read_at = delivered_at + interval '1 second', updated_at = now()
 WHERE status = 'DELIVERED'
   AND idempotency_key = ANY(%(keys)s)
