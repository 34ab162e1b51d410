-- What `ops status` asks. Each statement ends by itself on a table of any size: rows are found by an
-- index and counted up to a ceiling, attempts are looked at from the newest backwards.

-- name: prepare
-- The planner must not read a table of which it expects to find enough soon. A question that can't
-- be answered in time is given up alone.
SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true)

-- name: instant
SELECT now() AS now, to_regclass('outbound_rollup') IS NOT NULL AS rollup

-- name: counted
-- Whether the rollup has counted what was there before it; until then its view counts rows.
SELECT COALESCE(bool_and(counted_at IS NOT NULL), false) FROM outbound_rollup

-- name: states_by_rollup
SELECT channel, status, GREATEST(sum(messages), 0)::bigint AS messages
  FROM outbound_state
 GROUP BY channel, status

-- name: states_by_rows
SELECT c.channel, s.status, n.messages
  FROM (VALUES ('WHATSAPP'), ('SMS'), ('EMAIL')) AS c (channel)
 CROSS JOIN (VALUES ('QUEUED'), ('SENDING'), ('SENT'), ('DELIVERED'), ('FAILED')) AS s (status)
 CROSS JOIN LATERAL (
       SELECT count(*) AS messages
         FROM (SELECT FROM outbound_message AS m
                WHERE m.channel = c.channel AND m.status = s.status
                  AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
                LIMIT %(ceiling)s) AS counted) AS n
 WHERE n.messages > 0

-- name: due
-- Of the queued ones those whose time has come.
SELECT channel, count(*) AS messages
  FROM (SELECT channel FROM outbound_message
         WHERE status = 'QUEUED' AND due_at <= now()
           AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
         ORDER BY due_at
         LIMIT %(ceiling)s) AS counted
 GROUP BY channel

-- name: oldest_due
-- Each channel's message that has been due for longest and that nothing planned holds; where all are
-- held, the longest of those. One probe for each lane (sender/sql/outbox.sql: lanes). A parked
-- message is left out: the one that it waits for is older.
WITH RECURSIVE lane AS (
    SELECT first.*
      FROM (VALUES ('WHATSAPP'), ('SMS'), ('EMAIL')) AS c (channel)
     CROSS JOIN LATERAL (
           SELECT channel, priority, org_id, due_at, id FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN' AND channel = c.channel
            ORDER BY priority, org_id, due_at, id LIMIT 1) AS first
    UNION ALL
    SELECT following.*
      FROM lane AS l
     CROSS JOIN LATERAL (
           SELECT channel, priority, org_id, due_at, id FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN' AND channel = l.channel
              AND (priority, org_id) > (l.priority, l.org_id)
            ORDER BY priority, org_id, due_at, id LIMIT 1) AS following
), first AS (
    SELECT channel, org_id, due_at, id FROM lane
    UNION ALL
    SELECT woken.channel, woken.org_id, woken.due_at, woken.id
      FROM (VALUES ('WHATSAPP'), ('SMS'), ('EMAIL')) AS c (channel)
     CROSS JOIN LATERAL (
           SELECT channel, org_id, due_at, id FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'WOKEN' AND channel = c.channel
            ORDER BY channel, due_at, id LIMIT 1) AS woken
), held AS (
    SELECT f.*,
           CASE WHEN s.paused THEN 'paused'
                WHEN NOT p.enabled THEN 'disabled'
                WHEN q.throttle_until > now() THEN 'throttled'
                WHEN q.messages_sent_count >= q.quota_limit AND q.reset_at > now() THEN 'quota'
           END AS held_by
      FROM first AS f
      LEFT JOIN outbound_pause AS s ON s.channel = f.channel
      LEFT JOIN whatsapp_rate_limit AS q ON f.channel = 'WHATSAPP' AND q.org_id = f.org_id
      LEFT JOIN whatsapp_provider_config AS p ON f.channel = 'WHATSAPP' AND p.org_id = f.org_id
     WHERE f.due_at <= now()
       AND (%(org_id)s::text IS NULL OR f.org_id = %(org_id)s)
)
SELECT DISTINCT ON (channel) channel, id AS message_id, org_id, due_at, held_by
  FROM held
 ORDER BY channel, held_by IS NOT NULL, due_at, id

-- name: attempts
-- The newest attempts by outcome and code: those of the last hour, and of the last five minutes. An
-- attempt that is under way has no outcome yet.
SELECT channel, outcome, CASE WHEN outcome = 'SENT' THEN '' ELSE COALESCE(error_code, '') END AS code,
       count(*) FILTER (WHERE started_at > now() - interval '1 hour') AS hour,
       count(*) FILTER (WHERE started_at > now() - interval '5 minutes') AS lately,
       min(started_at) AS first_at
  FROM (SELECT a.channel, a.outcome, a.error_code, a.started_at
          FROM outbound_attempt AS a
         WHERE %(org_id)s::text IS NULL OR EXISTS (
               SELECT FROM outbound_message AS m
                WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s)
         ORDER BY a.id DESC
         LIMIT %(sample)s) AS newest
 WHERE outcome <> 'IN_FLIGHT'
 GROUP BY 1, 2, 3

-- name: courses
-- How it goes on each channel: when the provider last accepted, and what it has refused since.
WITH newest AS MATERIALIZED (
    SELECT a.channel, a.outcome, a.started_at
      FROM outbound_attempt AS a
     WHERE %(org_id)s::text IS NULL OR EXISTS (
           SELECT FROM outbound_message AS m
            WHERE m.id = a.outbound_message_id AND m.org_id = %(org_id)s)
     ORDER BY a.id DESC
     LIMIT %(sample)s
), accepted AS (
    SELECT channel, max(started_at) AS at FROM newest WHERE outcome = 'SENT' GROUP BY channel
), refused AS (
    SELECT n.channel, n.started_at
      FROM newest AS n
      LEFT JOIN accepted AS a USING (channel)
     WHERE n.outcome IN ('FAILED', 'UNKNOWN')
       AND (a.at IS NULL OR n.started_at > a.at)
)
SELECT c.channel, a.at AS accepted_at,
       count(r.started_at) AS refused,
       count(*) FILTER (WHERE r.started_at > now() - interval '5 minutes') AS refused_lately,
       min(r.started_at) AS refused_since
  FROM (SELECT DISTINCT channel FROM newest) AS c
  LEFT JOIN accepted AS a USING (channel)
  LEFT JOIN refused AS r USING (channel)
 GROUP BY c.channel, a.at

-- name: last_processed
-- 000: the last message of which something became.
SELECT outbound_message_id AS message_id, channel, outcome, COALESCE(settled_at, finished_at) AS at
  FROM (SELECT * FROM outbound_attempt ORDER BY id DESC LIMIT 1000) AS newest
 WHERE outcome IN ('SENT', 'FAILED', 'UNKNOWN', 'REFUSED')
   AND COALESCE(settled_at, finished_at) IS NOT NULL
 ORDER BY COALESCE(settled_at, finished_at) DESC
 LIMIT 1

-- name: dead_by_rollup
SELECT channel, detail AS code, GREATEST(messages, 0) AS messages
  FROM outbound_state
 WHERE status = 'FAILED' AND detail <> '' AND messages > 0

-- name: dead_by_rows
SELECT channel, COALESCE(NULLIF(error_code, ''), 'unknown') AS code, count(*) AS messages
  FROM (SELECT channel, error_code FROM outbound_message
         WHERE status = 'FAILED' AND attempt_count >= max_attempts
           AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
         LIMIT %(ceiling)s) AS counted
 GROUP BY 1, 2

-- name: quotas
-- Organisations that have used more than a share of their quota. A window that has ended holds
-- nothing against them.
SELECT org_id, messages_sent_count AS used, quota_limit,
       CASE WHEN quota_limit > 0 THEN 100.0 * messages_sent_count / quota_limit
            ELSE 100 END::float8 AS percent,
       reset_at
  FROM whatsapp_rate_limit
 WHERE reset_at > now()
   AND messages_sent_count > quota_limit * %(share)s::float8
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 ORDER BY percent DESC, org_id
 LIMIT %(most)s

-- name: throttles
SELECT org_id, throttle_until AS until
  FROM whatsapp_rate_limit
 WHERE throttle_until > now()
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 ORDER BY throttle_until DESC, org_id
 LIMIT %(most)s

-- name: pauses
SELECT channel, until, reason, updated_by AS by, updated_at AS since
  FROM outbound_switch
 WHERE paused AND COALESCE(until > now(), true)
 ORDER BY channel

-- name: disabled
SELECT org_id, updated_by AS by, updated_at AS since
  FROM whatsapp_provider_config
 WHERE NOT enabled
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 ORDER BY updated_at DESC, org_id
 LIMIT %(most)s

-- name: senders
SELECT worker, version, started_at, seen_at, claiming, in_flight, breakers
  FROM outbound_sender
 ORDER BY seen_at DESC, worker
 LIMIT %(most)s

-- name: webhooks
-- When each provider last reached us, and what it told that nobody has applied: what waits, and what
-- was given up.
SELECT COALESCE(h.provider, o.provider) AS provider, h.last_accepted_at, h.last_rejected_at,
       COALESCE(o.waiting, 0) AS waiting, COALESCE(o.given_up, 0) AS given_up, o.oldest_at
  FROM provider_webhook_health AS h
  FULL JOIN (
       SELECT provider, count(*) FILTER (WHERE tries < %(tries)s) AS waiting,
              count(*) FILTER (WHERE tries >= %(tries)s) AS given_up,
              min(received_at) AS oldest_at
         FROM (SELECT provider, tries, received_at FROM provider_webhook
                WHERE processed_at IS NULL ORDER BY id LIMIT %(ceiling)s) AS open
        GROUP BY provider) AS o USING (provider)
 ORDER BY 1

-- name: accounts
-- Organisations that have a WhatsApp account of their own and send through it.
SELECT count(*) FROM whatsapp_provider_config
 WHERE enabled AND webhook_secret_encrypted IS NOT NULL

-- name: notices
SELECT told_at, provider, kind, account, subject, event, description
  FROM provider_notice
 WHERE severity = 'critical' AND told_at > now() - interval '1 day'
 ORDER BY told_at DESC, id DESC
 LIMIT %(most)s

-- name: operations
-- Changes of the last day that run or did not come to their end. One that runs holds its lock.
SELECT o.id, o.command, o.operator, o.ticket,
       CASE WHEN o.state = 'RUNNING' AND NOT EXISTS (
                 SELECT FROM pg_locks AS l
                  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                    AND l.database = (SELECT oid FROM pg_database
                                       WHERE datname = current_database())
                    AND l.classid = %(lock_class)s::bigint::oid AND l.objid::bigint = o.id %% 2147483647)
            THEN 'KILLED' ELSE o.state END AS state,
       o.planned, o.changed, o.started_at
  FROM outbound_operation AS o
 WHERE o.started_at > now() - interval '1 day' AND o.state <> 'DONE'
 ORDER BY o.started_at DESC, o.id DESC
 LIMIT %(most)s
