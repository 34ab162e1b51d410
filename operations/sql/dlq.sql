-- Dead letters: failed messages whose attempts are used up (000 to 002; D7).

-- name: by_code
-- 001, step 1 and step 2; 002, scenario 2. Cooled and old: what a retry and the archive would take.
SELECT m.channel, m.error_code AS code, count(*) AS messages, count(DISTINCT m.org_id) AS orgs,
       min(m.created_at) AS oldest, max(m.created_at) AS newest, max(m.updated_at) AS last_touched,
       max(m.error_message) AS example,
       count(*) FILTER (WHERE m.updated_at < now() - interval '24 hours') AS cooled,
       count(*) FILTER (WHERE m.updated_at < now() - interval '7 days') AS old
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 GROUP BY m.channel, m.error_code
 ORDER BY messages DESC, m.channel, m.error_code

-- name: by_age
-- 001, analyze-dlq.sh.
SELECT a.age, count(*) AS messages
  FROM (SELECT CASE WHEN m.created_at > now() - interval '24 hours' THEN '< 1 day'
                    WHEN m.created_at > now() - interval '7 days' THEN '1-7 days'
                    WHEN m.created_at > now() - interval '30 days' THEN '7-30 days'
                    ELSE '> 30 days' END AS age
          FROM outbound_message AS m
         WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
           AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
           AND (%(org)s::text IS NULL OR m.org_id = %(org)s)) AS a
 GROUP BY a.age
 ORDER BY array_position(ARRAY['< 1 day', '1-7 days', '7-30 days', '> 30 days'], a.age)

-- name: by_org
-- 001, analyze-dlq.sh: the ten with most.
SELECT m.org_id AS org, count(*) AS messages
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 GROUP BY m.org_id
 ORDER BY messages DESC, m.org_id
 LIMIT 10

-- name: by_day
-- 001, step 1: growth over seven days, by when the messages were made.
SELECT date_trunc('day', m.created_at, 'UTC') AS day, count(*) AS messages,
       count(DISTINCT m.org_id) AS orgs
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND m.created_at > now() - interval '7 days'
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 GROUP BY 1
 ORDER BY 1 DESC

-- name: by_reason
-- 001's report by category counts each organisation once, so it counts by code and organisation.
SELECT m.error_code AS code, m.org_id AS org, count(*) AS messages
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 GROUP BY m.error_code, m.org_id

-- name: latest
-- 002, scenario 2: error patterns.
SELECT m.id, m.channel, m.error_code AS code, m.error_message AS error, m.to_recipient AS recipient,
       m.template_code AS template, m.updated_at AS last_touched
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.updated_at DESC, m.id DESC
 LIMIT %(limit)s

-- name: export
-- 001, procedure 1: the columns of export-dlq-messages.sh.
SELECT om.id, om.org_id, om.dossier_id, om.channel, om.to_recipient, om.template_code, om.subject,
       om.error_code, om.error_message, om.attempt_count, om.max_attempts, om.created_at,
       om.updated_at, EXTRACT(EPOCH FROM (now() - om.created_at)) / 86400 AS days_in_dlq,
       d.lead_name, d.lead_email
  FROM outbound_message AS om
  LEFT JOIN dossier AS d ON om.dossier_id = d.id
 WHERE om.status = 'FAILED' AND om.attempt_count >= om.max_attempts
   AND (%(channel)s::text IS NULL OR om.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR om.org_id = %(org)s)
   AND (%(templates)s::text[] IS NULL OR om.template_code = ANY (%(templates)s))

-- name: export_critical
-- 001, outage procedure 2: failed WhatsApp messages that matter, dead letters or not.
SELECT om.id, om.org_id, om.dossier_id, om.to_recipient, om.template_code, om.subject,
       om.payload_json, d.lead_name, d.lead_email, om.created_at
  FROM outbound_message AS om
  LEFT JOIN dossier AS d ON om.dossier_id = d.id
 WHERE om.channel = 'WHATSAPP' AND om.status = 'FAILED'
   AND om.created_at > now() - %(age_s)s * interval '1 second'
   AND (%(org)s::text IS NULL OR om.org_id = %(org)s)
   AND om.template_code = ANY (%(templates)s)
