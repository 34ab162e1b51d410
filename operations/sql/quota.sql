-- Quotas of organisations: what is used of them, and changing them (001, procedure 3 of the outages
-- and issue 3; 002, scenario 4).

-- name: read_quotas
-- 001's columns, and what waits. An organisation that is throttled or may send nothing is shown
-- whatever it has used.
SELECT q.org_id, q.messages_sent_count AS used, q.quota_limit AS "limit",
       round(100.0 * q.messages_sent_count / NULLIF(q.quota_limit, 0), 2)::float8 AS percent,
       q.reset_at,
       GREATEST(EXTRACT(EPOCH FROM q.reset_at - now()) / 3600, 0)::float8 AS hours_until_reset,
       q.throttle_until,
       GREATEST(EXTRACT(EPOCH FROM q.throttle_until - now()) / 60, 0)::float8
           AS minutes_throttled,
       q.last_request_at, q.updated_at, q.updated_by
  FROM whatsapp_rate_limit AS q
 WHERE CASE WHEN %(org_id)s::text IS NOT NULL THEN q.org_id = %(org_id)s
            ELSE %(above)s = 0
                 OR q.messages_sent_count > q.quota_limit * %(above)s / 100
                 OR q.quota_limit = 0 OR q.throttle_until > now() END
 ORDER BY percent DESC NULLS FIRST, q.org_id
 LIMIT %(limit)s

-- name: count_waiting
-- Messages on the queue of these organisations, and those of them that wait for the quota.
SELECT m.org_id, count(*) AS queued,
       count(*) FILTER (WHERE m.error_code = %(quota)s AND m.due_at > now()) AS held
  FROM outbound_message AS m
 WHERE m.status = 'QUEUED' AND m.channel = 'WHATSAPP' AND m.org_id = ANY (%(org_ids)s)
 GROUP BY m.org_id

-- name: count_limit_errors
-- 001 counts failed messages; such messages wait on the queue here (D15), so attempts are counted.
SELECT m.org_id, count(*) AS errors, max(a.started_at) AS latest
  FROM outbound_attempt AS a
  JOIN outbound_message AS m ON m.id = a.outbound_message_id
 WHERE a.started_at > now() - interval '1 hour'
   AND a.channel = 'WHATSAPP' AND a.error_code = ANY (%(codes)s)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
 GROUP BY m.org_id
 ORDER BY errors DESC, m.org_id
 LIMIT %(limit)s

-- name: rank_dossiers
-- 002, step 2. Every status is named, so that an index on status and time serves.
SELECT m.org_id, m.dossier_id, count(*) AS messages
  FROM outbound_message AS m
 WHERE m.channel = 'WHATSAPP'
   AND m.status IN ('QUEUED', 'SENDING', 'SENT', 'DELIVERED', 'FAILED')
   AND m.created_at > now() - interval '1 hour'
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
 GROUP BY m.org_id, m.dossier_id
 ORDER BY messages DESC, m.org_id, m.dossier_id
 LIMIT %(limit)s

-- name: count_by_hour
-- 001, step 2: what an organisation has sent in each hour of the last day.
SELECT date_trunc('hour', m.created_at) AS hour, count(*) AS messages
  FROM outbound_message AS m
 WHERE m.org_id = %(org_id)s
   AND m.channel = 'WHATSAPP'
   AND m.status IN ('SENT', 'DELIVERED')
   AND m.created_at > now() - interval '24 hours'
 GROUP BY hour
 ORDER BY hour DESC

-- name: name_organisations
SELECT org_id FROM whatsapp_rate_limit ORDER BY org_id LIMIT 10000

-- name: read_quota
-- One quota before it is changed, and how long ago an operation lowered it, if one did last.
SELECT q.messages_sent_count AS used, q.quota_limit AS "limit", q.reset_at, q.throttle_until,
       q.throttle_until > now() AS throttled, q.reset_at <= now() AS over,
       CASE WHEN o.id IS NOT NULL
            THEN EXTRACT(EPOCH FROM now() - q.updated_at)::float8 END AS lowered_s,
       q.updated_by
  FROM whatsapp_rate_limit AS q
  LEFT JOIN outbound_operation AS o
    ON o.id = substring(q.updated_by FROM '^ops-([0-9]{1,18})-')::bigint AND o.command = %(lower)s
 WHERE q.org_id = %(org_id)s

-- name: set_limit
-- As 001 raises and 002 halves it.
UPDATE whatsapp_rate_limit
   SET quota_limit = %(limit)s, updated_at = now(), updated_by = %(stamp)s
 WHERE org_id = %(org_id)s

-- name: reset_quota
-- 001, issue 3.
UPDATE whatsapp_rate_limit
   SET messages_sent_count = 0,
       reset_at = now() + interval '24 hours',
       throttle_until = NULL,
       updated_at = now(),
       updated_by = %(stamp)s
 WHERE org_id = %(org_id)s

-- name: lock_quota
SELECT messages_sent_count AS used, quota_limit AS "limit", throttle_until, reset_at <= now() AS over
  FROM whatsapp_rate_limit
 WHERE org_id = %(org_id)s
   FOR UPDATE

-- name: choose_deferrable
-- 002, option C: queued WhatsApp messages with a template that is not spared. Urgent ones go on; one
-- that would expire meanwhile, is planned for later, or was put off already stays as it is.
SELECT m.id, m.org_id, m.template_code AS template,
       COALESCE(m.expires_at <= now() + %(hours)s * interval '1 hour', false) AS expires,
       d.id IS NOT NULL AS deferred
  FROM outbound_message AS m
  LEFT JOIN LATERAL (
       SELECT o.id FROM outbound_operation AS o
         JOIN outbound_operation_row AS r
           ON r.operation_id = o.id AND r.relation = 'outbound_message' AND r.key = m.id::text
        WHERE o.command = %(command)s AND m.scheduled_at > now()
          AND (r.after ->> 'scheduled_at')::timestamptz = m.scheduled_at
        LIMIT 1) AS d ON true
 WHERE m.status = 'QUEUED' AND m.channel = 'WHATSAPP' AND m.priority > 0
   AND m.template_code <> ALL (%(spared)s::text[])
   AND (%(templates)s::text[] IS NULL OR m.template_code = ANY (%(templates)s))
   AND COALESCE(m.scheduled_at < now() + %(hours)s * interval '1 hour', true)
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
 ORDER BY m.id

-- name: choose_deferred
-- Messages that wait as a deferral left them.
SELECT DISTINCT m.id, m.org_id, m.template_code AS template
  FROM outbound_operation AS o
  JOIN outbound_operation_row AS r
    ON r.operation_id = o.id AND r.relation = 'outbound_message'
  JOIN outbound_message AS m ON m.id = r.key::bigint
 WHERE o.command = %(command)s
   AND (r.after ->> 'scheduled_at')::timestamptz > now()
   AND m.scheduled_at = (r.after ->> 'scheduled_at')::timestamptz
   AND m.status = 'QUEUED'
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)
 ORDER BY m.id
