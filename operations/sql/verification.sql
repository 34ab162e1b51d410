-- What `ops verify` measures: one block per criterion of outbound_slo/vocabulary/recoveries.py, named
-- by its key. Each gives one row: measured (NULL where there is nothing to judge), and counts that
-- say how much stands behind it. Attempts are found by their start (BRIN), messages by their key, so
-- nothing grows with the table. Webhooks belong to a provider, not to an organisation.

-- name: plan_by_index
-- Rows of the last minutes are few among ten million, which the planner does not always believe.
SET LOCAL enable_seqscan = off

-- name: retried
-- Messages tried again: in percent, those that were sent. What waits for its next try counts too, as
-- in 001.
SELECT 100.0 * count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED')) / NULLIF(count(*), 0)
           AS measured,
       count(*) AS messages,
       count(*) FILTER (WHERE status = 'FAILED') AS failed,
       count(*) FILTER (WHERE status IN ('QUEUED', 'SENDING')) AS pending
  FROM (SELECT DISTINCT m.id, m.status
          FROM outbound_attempt AS a
          JOIN outbound_message AS m ON m.id = a.outbound_message_id
         WHERE a.started_at > now() - %(window_s)s * interval '1 second'
           AND a.attempt_no > 1
           AND a.outcome <> 'DEFERRED'
           AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
           AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)) AS retried

-- name: retried_by_operation
-- The messages that one operation put back on the queue, as long as none came after it.
SELECT 100.0 * count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED')) / NULLIF(count(*), 0)
           AS measured,
       count(*) AS messages,
       count(*) FILTER (WHERE status = 'FAILED') AS failed,
       count(*) FILTER (WHERE status IN ('QUEUED', 'SENDING')) AS pending
  FROM outbound_operation_row AS r
  JOIN outbound_message AS m ON m.id = r.key::bigint
 WHERE r.operation_id = %(operation)s
   AND r.relation = 'outbound_message'
   AND m.updated_by LIKE format('ops-%%s-%%%%', %(operation)s::bigint)
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)

-- name: failures
-- Of the attempts that the provider could decide, in percent, those that it did not accept (D3).
SELECT 100.0 * count(*) FILTER (WHERE a.outcome <> 'SENT') / NULLIF(count(*), 0) AS measured,
       count(*) AS attempts,
       count(*) FILTER (WHERE a.outcome <> 'SENT') AS failed
  FROM outbound_attempt AS a
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND a.outcome IN ('SENT', 'FAILED', 'UNKNOWN')
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR EXISTS (
        SELECT FROM outbound_message AS m
         WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s))

-- name: success
-- The same the other way round.
SELECT 100.0 * count(*) FILTER (WHERE a.outcome = 'SENT') / NULLIF(count(*), 0) AS measured,
       count(*) AS attempts,
       count(*) FILTER (WHERE a.outcome <> 'SENT') AS failed
  FROM outbound_attempt AS a
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND a.outcome IN ('SENT', 'FAILED', 'UNKNOWN')
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR EXISTS (
        SELECT FROM outbound_message AS m
         WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s))

-- name: accepted
-- Attempts that the provider accepted.
SELECT CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE a.outcome = 'SENT') END AS measured,
       count(*) AS attempts
  FROM outbound_attempt AS a
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR EXISTS (
        SELECT FROM outbound_message AS m
         WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s))

-- name: temporary_errors
-- Attempts that ended in a passing fault or found the circuit breaker open. Without any attempt
-- nobody knows.
SELECT CASE WHEN count(*) > 0
            THEN count(*) FILTER (WHERE a.outcome <> 'SENT' AND a.error_code = ANY (%(codes)s))
       END AS measured,
       count(*) AS attempts
  FROM outbound_attempt AS a
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND a.outcome IN ('SENT', 'FAILED', 'UNKNOWN', 'DEFERRED')
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR EXISTS (
        SELECT FROM outbound_message AS m
         WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s))

-- name: rate_limit_errors
-- Attempts that a provider refused for their number. Our own waits for a quota are none of these.
SELECT CASE WHEN count(*) > 0
            THEN count(*) FILTER (WHERE a.outcome <> 'SENT' AND a.error_code = ANY (%(codes)s))
       END AS measured,
       count(*) AS attempts
  FROM outbound_attempt AS a
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND a.outcome IN ('SENT', 'FAILED', 'UNKNOWN')
   AND (%(channel)s::text IS NULL OR a.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR EXISTS (
        SELECT FROM outbound_message AS m
         WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s))

-- name: trend
-- Messages that have fallen due and not left the queue, less those at the beginning: of the ones that
-- are here and the ones that have left since, those that were due by then. Back-offs do not move
-- due_since; planned waits and returns to the queue do.
WITH here AS (
    SELECT due_since
      FROM outbound_message
     WHERE status IN ('QUEUED', 'SENDING') AND due_since <= now()
       AND (%(channel)s::text IS NULL OR channel = %(channel)s)
       AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
), gone AS (
    SELECT m.due_since
      FROM outbound_attempt AS a
      JOIN outbound_message AS m ON m.id = a.outbound_message_id AND m.attempt_seq = a.attempt_no
     -- What began a little earlier may have ended in time.
     WHERE a.started_at > now() - (%(window_s)s + 60) * interval '1 second'
       AND a.finished_at > now() - %(window_s)s * interval '1 second'
       AND m.status IN ('SENT', 'DELIVERED', 'FAILED')
       AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
       AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
)
SELECT (SELECT count(*) FROM here)
       - count(*) FILTER (WHERE due_since <= now() - %(window_s)s * interval '1 second') AS measured,
       (SELECT count(*) FROM here) AS waiting
  FROM (SELECT due_since FROM here UNION ALL SELECT due_since FROM gone) AS were

-- name: stuck
-- Each stuck message once, by the rules of D9 and D23, as the exporter's stuck_messages.
SELECT (SELECT count(*)
          FROM outbound_message
         WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
           AND (%(channel)s::text IS NULL OR channel = %(channel)s)
           AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s))
       + (SELECT count(*)
            FROM outbound_message_waiting
           WHERE (due_at < now() - interval '5 minutes'
                  OR due_since < now() - interval '2 hours'
                  OR (attempt_count >= 3 AND updated_at < now() - interval '2 hours'))
             AND (%(channel)s::text IS NULL OR channel = %(channel)s)
             AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)) AS measured

-- name: depth
-- Messages in QUEUED, planned waits too, as outbound_message_queue_depth counts them.
SELECT count(*) AS measured
  FROM outbound_message
 WHERE status = 'QUEUED'
   AND (%(channel)s::text IS NULL OR channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: dead_letters
SELECT count(*) AS measured
  FROM outbound_message
 WHERE status = 'FAILED' AND attempt_count >= max_attempts
   AND (%(channel)s::text IS NULL OR channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: new_dead_letters
SELECT count(*) AS measured
  FROM outbound_message
 WHERE status = 'FAILED' AND attempt_count >= max_attempts
   AND updated_at > now() - %(window_s)s * interval '1 second'
   AND (%(channel)s::text IS NULL OR channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: usage
-- The fullest quota in percent; a window that has ended holds nothing against it, and a quota of
-- nought lets nothing through.
SELECT max(CASE WHEN reset_at <= now() THEN 0
                WHEN quota_limit = 0 THEN 100
                ELSE 100.0 * messages_sent_count / quota_limit END) AS measured,
       count(*) AS organisations
  FROM whatsapp_rate_limit
 WHERE %(org_id)s::text IS NULL OR org_id = %(org_id)s

-- name: throttle
SELECT count(*) AS measured
  FROM whatsapp_rate_limit
 WHERE throttle_until > now()
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: signatures
-- In percent, webhooks that passed. Of refusals the database has the last one's time, not the number:
-- with one in the window the share is the most that it can be, and unknown where that is enough.
SELECT CASE WHEN rejected = 0 OR 100.0 * accepted / (accepted + rejected) <= %(line)s
            THEN 100.0 * accepted / NULLIF(accepted + rejected, 0) END AS measured,
       accepted
  FROM (SELECT (SELECT count(*)
                  FROM (SELECT received_at, provider FROM provider_webhook
                         ORDER BY id DESC LIMIT 100000) AS newest
                 WHERE provider = 'whatsapp'
                   AND received_at > now() - %(window_s)s * interval '1 second') AS accepted,
               (SELECT count(*) FROM provider_webhook_health
                 WHERE provider = 'whatsapp'
                   AND last_rejected_at > now() - %(window_s)s * interval '1 second') AS rejected
       ) AS counted

-- name: inbound
-- Messages of recipients; NULL where none came, since perhaps nobody wrote.
SELECT NULLIF(count(*), 0) AS measured
  FROM message
 WHERE channel = 'WHATSAPP' AND direction = 'INBOUND'
   AND created_at > now() - %(window_s)s * interval '1 second'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: unprocessed
-- Age in seconds of the oldest webhook that nobody has applied; 0 where none waits.
SELECT GREATEST(EXTRACT(EPOCH FROM now() - min(received_at)), 0)::float8 AS measured,
       count(*) AS waiting
  FROM provider_webhook
 WHERE processed_at IS NULL AND provider = 'whatsapp'

-- name: refused
-- 1 where the last webhook that came was refused for its signature.
SELECT (last_rejected_at IS NOT NULL
        AND last_rejected_at > COALESCE(last_accepted_at, '-infinity'))::int AS measured
  FROM provider_webhook_health
 WHERE provider = 'whatsapp'

-- name: windows
-- Session windows that a message of the recipient has opened or prolonged; NULL where none wrote.
SELECT CASE WHEN count(*) > 0 OR EXISTS (
                SELECT FROM message
                 WHERE channel = 'WHATSAPP' AND direction = 'INBOUND'
                   AND created_at > now() - %(window_s)s * interval '1 second'
                   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s))
            THEN count(*) END AS measured
  FROM whatsapp_session_window
 WHERE window_expires_at > now()
   AND last_inbound_at > now() - %(window_s)s * interval '1 second'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)

-- name: quiet
-- Seconds since the last refusal; NULL where no webhook ever came. One that was never refused has
-- been quiet for ever.
SELECT CASE WHEN last_rejected_at IS NULL THEN 'Infinity'
            ELSE GREATEST(EXTRACT(EPOCH FROM now() - last_rejected_at), 0) END::float8 AS measured
  FROM provider_webhook_health
 WHERE provider = 'whatsapp'

-- name: send_p95
-- Seconds from due to accepted (D30).
SELECT percentile_cont(0.95) WITHIN GROUP (
           ORDER BY GREATEST(EXTRACT(EPOCH FROM m.sent_at - m.due_since), 0)::float8) AS measured,
       count(*) AS messages
  FROM outbound_attempt AS a
  JOIN outbound_message AS m ON m.id = a.outbound_message_id AND m.attempt_seq = a.attempt_no
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND m.status IN ('SENT', 'DELIVERED') AND m.sent_at IS NOT NULL
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)

-- name: delivery_p95
-- Seconds from accepted to delivered, of the delivered (D5).
SELECT percentile_cont(0.95) WITHIN GROUP (
           ORDER BY GREATEST(EXTRACT(EPOCH FROM m.delivered_at - m.sent_at), 0)::float8) AS measured,
       count(*) AS messages
  FROM outbound_attempt AS a
  JOIN outbound_message AS m ON m.id = a.outbound_message_id AND m.attempt_seq = a.attempt_no
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND m.status = 'DELIVERED' AND m.delivered_at IS NOT NULL AND m.sent_at IS NOT NULL
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)

-- name: delivery_p99
SELECT percentile_cont(0.99) WITHIN GROUP (
           ORDER BY GREATEST(EXTRACT(EPOCH FROM m.delivered_at - m.sent_at), 0)::float8) AS measured,
       count(*) AS messages
  FROM outbound_attempt AS a
  JOIN outbound_message AS m ON m.id = a.outbound_message_id AND m.attempt_seq = a.attempt_no
 WHERE a.started_at > now() - %(window_s)s * interval '1 second'
   AND m.status = 'DELIVERED' AND m.delivered_at IS NOT NULL AND m.sent_at IS NOT NULL
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)

-- name: breaker
-- Senders that hold calls back, among those that were heard of within the last minute; NULL where
-- none was.
SELECT CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE EXISTS (
           SELECT FROM jsonb_each_text(breakers) AS b (channel, state)
            WHERE lower(b.state) <> 'closed'
              AND (%(channel)s::text IS NULL OR upper(b.channel) = %(channel)s))) END AS measured,
       count(*) AS senders
  FROM outbound_sender
 WHERE seen_at > now() - interval '1 minute'
