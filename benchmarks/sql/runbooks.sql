-- What runbooks 000 to 002 count in SQL, as an exporter that has no rollup has to ask it: the same
-- statements for every peer. Their counters count rows, since rows are all that they have.

-- name: depth
-- Messages by channel and status (002:578 by status, 002:590 by channel too).
SELECT channel, status, count(*) AS messages FROM outbound_message GROUP BY channel, status

-- name: dead_letters
-- Failed messages whose attempts are used up (000:138, 002:149).
SELECT channel, error_code, count(*) AS messages
  FROM outbound_message
 WHERE status = 'FAILED' AND attempt_count >= max_attempts
 GROUP BY channel, error_code

-- name: stuck
-- Messages that do not move (000:751).
SELECT status, count(*) AS messages
  FROM outbound_message
 WHERE (status = 'SENDING' AND updated_at < now() - interval '5 minutes')
    OR (status = 'QUEUED' AND created_at < now() - interval '2 hours')
 GROUP BY status

-- name: retries
-- Messages on the queue that had an attempt already.
SELECT channel, count(*) AS messages
  FROM outbound_message
 WHERE status = 'QUEUED' AND attempt_count > 0
 GROUP BY channel

-- name: quotas
-- The quota of each organisation (000:144).
SELECT org_id, messages_sent_count AS used, quota_limit FROM whatsapp_rate_limit

-- name: failures
-- Attempts that failed, by code.
SELECT channel, error_code, count(*) AS attempts
  FROM outbound_attempt
 WHERE outcome = 'FAILED'
 GROUP BY channel, error_code

-- name: outcomes
-- Messages that the provider accepted, and those that reached an end.
SELECT channel,
       count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED')) AS sent,
       count(*) FILTER (WHERE status IN ('SENT', 'DELIVERED', 'FAILED')) AS finished
  FROM outbound_message
 GROUP BY channel

-- name: rate_limits
-- Attempts that the provider refused for a rate limit.
SELECT count(*) AS hits
  FROM outbound_attempt
 WHERE outcome = 'FAILED' AND error_code = '130429'

-- name: deliveries
-- Deliveries by how long they took, as a cumulative histogram (the latencies of 000 and 002).
WITH edges AS (
    SELECT ARRAY[0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 300, 900, 3600, 21600, 86400] AS edges
), counted AS (
    SELECT channel,
           width_bucket(EXTRACT(EPOCH FROM delivered_at - sent_at), edges) AS bucket,
           count(*) AS messages
      FROM outbound_message CROSS JOIN edges
     WHERE delivered_at IS NOT NULL
     GROUP BY channel, bucket
)
SELECT channel, edge::text AS le,
       COALESCE(sum(messages) FILTER (WHERE bucket < place), 0) AS messages
  FROM counted CROSS JOIN edges
 CROSS JOIN LATERAL unnest(edges) WITH ORDINALITY AS bound (edge, place)
 GROUP BY channel, edge
