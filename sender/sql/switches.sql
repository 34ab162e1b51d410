-- Switches that people turn, and what they hold.

-- name: read_switches
-- Each switch, and the channels that it holds now.
SELECT s.channel, s.paused AND COALESCE(s.until > now(), true) AS paused,
       CASE WHEN s.paused AND s.until > now() THEN s.until END AS until, s.reason, s.updated_at,
       s.updated_by
  FROM outbound_switch AS s
 ORDER BY array_position(ARRAY['ALL', 'WHATSAPP', 'SMS', 'EMAIL'], s.channel)

-- name: read_accounts
-- Organisations whose WhatsApp is switched off.
SELECT p.org_id, p.enabled, p.updated_at, p.updated_by
  FROM whatsapp_provider_config AS p
 WHERE (%(org)s::text IS NULL AND NOT p.enabled) OR p.org_id = %(org)s
 ORDER BY p.org_id

-- name: count_load
-- What is due and what is in flight. Outcomes that are not known wait in SENDING for a webhook.
SELECT c.channel,
       (SELECT count(*) FROM outbound_message AS m
         WHERE m.status = 'QUEUED' AND m.due_at <= now() AND m.channel = c.channel
           AND (%(org)s::text IS NULL OR m.org_id = %(org)s)) AS due,
       (SELECT count(*) FROM outbound_message AS m
          JOIN outbound_attempt AS a
            ON a.outbound_message_id = m.id AND a.attempt_no = m.attempt_seq
         WHERE m.status = 'SENDING' AND m.channel = c.channel AND a.settled_at IS NULL
           AND a.outcome = 'IN_FLIGHT'
           AND (%(org)s::text IS NULL OR m.org_id = %(org)s)) AS in_flight
  FROM unnest(%(channels)s::text[]) AS c (channel)

-- name: count_in_flight
-- As in count_load, without what is due, which may be very many.
SELECT count(*)
  FROM outbound_message AS m
  JOIN outbound_attempt AS a ON a.outbound_message_id = m.id AND a.attempt_no = m.attempt_seq
 WHERE m.status = 'SENDING' AND m.channel = ANY (%(channels)s) AND a.settled_at IS NULL
   AND a.outcome = 'IN_FLIGHT'
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)

-- name: find_writers
-- The senders' transactions that write messages now. A claim locks the table before it takes the
-- snapshot in which it sees the switch, so that all that may not have seen it are among these. Any
-- role may see locks and names of sessions; when their transactions began, only a monitoring one.
SELECT DISTINCT l.virtualtransaction
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a ON a.pid = l.pid
 WHERE l.locktype = 'relation' AND l.relation = 'outbound_message'::regclass
   AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
   AND l.granted AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
   AND a.application_name = %(application)s AND l.pid <> pg_backend_pid()

-- name: hold_switch
SELECT s.paused AND COALESCE(s.until > now(), true), s.until, s.reason
  FROM outbound_switch AS s WHERE s.channel = %(channel)s FOR UPDATE

-- name: pause
UPDATE outbound_switch
   SET paused = true,
       until = now() + %(seconds)s * interval '1 second',
       reason = %(reason)s,
       updated_at = now(),
       updated_by = %(stamp)s
 WHERE channel = %(channel)s

-- name: resume
-- Its trigger notes when the pause ended, and calls the senders.
UPDATE outbound_switch SET paused = false, updated_at = now(), updated_by = %(stamp)s
 WHERE channel = %(channel)s

-- name: hold_account
SELECT p.id, p.enabled FROM whatsapp_provider_config AS p WHERE p.org_id = %(org)s FOR UPDATE

-- name: enable
UPDATE whatsapp_provider_config
   SET enabled = %(enabled)s, updated_at = now(), updated_by = %(stamp)s
 WHERE org_id = %(org)s

-- name: call
NOTIFY outbound_message
