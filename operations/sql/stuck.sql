-- Messages that do not move (000, 001, 002; D23). The rules are those of the exporter's pack
-- (exporter/packs/outbound/state.sql: stuck), to which tests/integration/test_ops_stuck.py holds them.

-- name: stuck
-- The messages, each once with every rule that it meets; `since` is when it should have moved.
SELECT id, channel, 'SENDING' AS status, ARRAY['sending_too_long'] AS reasons, updated_at AS since
  FROM outbound_message
 WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
   AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
 UNION ALL
(SELECT id, channel, 'QUEUED',
        array_remove(ARRAY[
            CASE WHEN due_at < now() - interval '5 minutes' THEN 'overdue' END,
            CASE WHEN due_since < now() - interval '2 hours' THEN 'queued_too_long' END,
            CASE WHEN attempt_count >= 3 AND updated_at < now() - interval '2 hours'
                 THEN 'no_progress' END], NULL),
        due_at
   FROM outbound_message_waiting
  WHERE (due_at < now() - interval '5 minutes'
         OR due_since < now() - interval '2 hours'
         OR (attempt_count >= 3 AND updated_at < now() - interval '2 hours'))
    AND (%(org_id)s::text IS NULL OR org_id = %(org_id)s)
  LIMIT %(ceiling)s)

-- name: stuck_counts
-- One row per rule that finds something.
SELECT channel, status, reason, count(*) AS messages
  FROM stuck
 CROSS JOIN LATERAL unnest(reasons) AS rule (reason)
 GROUP BY channel, status, reason
 ORDER BY channel DESC, status DESC, reason

-- name: stuck_list
-- 000's procedure 1, 001's issue 1 and 002's scenario 5: the longest first.
SELECT m.id AS message_id, m.channel, m.org_id, m.to_recipient AS recipient,
       m.template_code AS template, m.status, s.reasons, s.since, m.attempt_count, m.max_attempts, m.error_code,
       m.error_message, a.next_retry_at,
       CASE WHEN m.status = 'SENDING' THEN NULL
            WHEN a.next_retry_at IS NULL THEN 'none'
            WHEN a.next_retry_at < now() THEN 'overdue'
            ELSE 'waiting' END AS retry
  FROM stuck AS s
  JOIN outbound_message AS m ON m.id = s.id
  LEFT JOIN LATERAL (
       SELECT t.next_retry_at FROM outbound_attempt AS t
        WHERE t.outbound_message_id = m.id
        ORDER BY t.attempt_no DESC LIMIT 1) AS a ON true
 WHERE (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(reason)s::text IS NULL OR %(reason)s = ANY (s.reasons))
 ORDER BY s.since, m.id
 LIMIT %(limit)s

-- name: stuck_summary
SELECT m.status, count(*) AS messages, min(m.updated_at) AS oldest, max(m.updated_at) AS newest,
       avg(m.attempt_count)::float8 AS attempts
  FROM stuck AS s
  JOIN outbound_message AS m ON m.id = s.id
 WHERE (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(reason)s::text IS NULL OR %(reason)s = ANY (s.reasons))
 GROUP BY m.status
 ORDER BY m.status DESC

-- name: stuck_patterns
-- 000's procedure 5: which channel, which code, since when, whose.
SELECT m.channel, m.status, m.error_code, count(*) AS messages,
       GREATEST(avg(EXTRACT(EPOCH FROM now() - s.since)), 0)::float8 AS seconds,
       avg(m.attempt_count)::float8 AS attempts, count(DISTINCT m.org_id) AS organisations,
       min(m.id) AS example
  FROM stuck AS s
  JOIN outbound_message AS m ON m.id = s.id
 GROUP BY m.channel, m.status, m.error_code
 ORDER BY count(*) DESC, m.channel, m.status, m.error_code
 LIMIT %(limit)s

-- name: silences
-- Whether the missing receipt of a send of now would say anything (D12), for each channel.
SELECT c.channel,
       NOT outbound_resend_allowed(
           c.channel, now(), %(silence_s)s * interval '1 second') AS held
  FROM (VALUES ('WHATSAPP'), ('SMS'), ('EMAIL')) AS c (channel)

-- name: message
-- One message with all that its claim would bring, and all that can stand between it and a claim.
SELECT m.id AS message_id, m.org_id, m.channel, m.to_recipient, m.template_code, m.subject,
       m.payload_json, m.status, m.turn, m.priority, m.attempt_count, m.max_attempts, m.attempt_seq,
       m.error_code, m.error_message, m.quiet_hours_override,
       m.scheduled_at, m.next_retry_at, m.expires_at, m.due_at, m.updated_at, m.created_at,
       s.status AS consent, w.window_expires_at > now() AS window_open,
       CASE WHEN q.reset_at > now() AND q.messages_sent_count >= q.quota_limit
            THEN EXTRACT(EPOCH FROM q.reset_at - now())::float8 END AS quota_wait_s,
       CASE WHEN q.throttle_until > now()
            THEN EXTRACT(EPOCH FROM q.throttle_until - now())::float8 END AS throttle_wait_s,
       v.enabled AS provider_enabled, v.updated_by AS disabled_by,
       o.opted_out AS contact_opted_out, o.quiet_hours_start AS quiet_from,
       o.quiet_hours_end AS quiet_until, o.timezone AS quiet_zone,
       p.paused, p.until AS paused_until, t.channel AS paused_switch, t.reason AS pause_reason,
       t.updated_by AS paused_by,
       a.attempt_no, a.outcome, a.worker, a.started_at,
       COALESCE(outbound_resend_allowed(
           m.channel, COALESCE(a.started_at, m.updated_at),
           %(silence_s)s * interval '1 second'), true) AS resend_allowed,
       -- As the sweep counts it (sender/sql/outbox.sql: recover).
       EXTRACT(EPOCH FROM GREATEST(m.updated_at, pg_postmaster_start_time()) - now())::float8
           + %(window_s)s AS window_left_s,
       b.id AS blocker_id, b.status AS blocker_status, b.turn AS blocker_turn,
       b.updated_at AS blocker_since
  FROM outbound_message AS m
  LEFT JOIN consentement AS s
    ON s.org_id = m.org_id AND s.recipient = m.to_recipient AND s.channel = m.channel
  LEFT JOIN whatsapp_session_window AS w
    ON m.channel = 'WHATSAPP' AND w.org_id = m.org_id AND w.phone_number = m.to_recipient
  LEFT JOIN whatsapp_rate_limit AS q ON m.channel = 'WHATSAPP' AND q.org_id = m.org_id
  LEFT JOIN whatsapp_provider_config AS v ON m.channel = 'WHATSAPP' AND v.org_id = m.org_id
  LEFT JOIN contact_preferences AS o ON o.wa_id = m.to_recipient
  LEFT JOIN outbound_pause AS p ON p.channel = m.channel
  LEFT JOIN LATERAL (
       SELECT k.channel, k.reason, k.updated_by FROM outbound_switch AS k
        WHERE k.channel IN (m.channel, 'ALL') AND k.paused AND COALESCE(k.until > now(), true)
        ORDER BY k.until DESC NULLS FIRST LIMIT 1) AS t ON true
  LEFT JOIN LATERAL (
       SELECT l.* FROM outbound_attempt AS l
        WHERE l.outbound_message_id = m.id
        ORDER BY l.attempt_no DESC LIMIT 1) AS a ON true
  LEFT JOIN LATERAL (
       -- What is in flight to its recipient, else what has its turn before it; with strict order an
       -- earlier one of the conversation too.
       SELECT e.id, e.status, e.turn, e.updated_at FROM outbound_message AS e
        WHERE e.to_recipient = m.to_recipient AND e.channel = m.channel AND e.id <> m.id
          AND m.status = 'QUEUED'
          AND (e.status = 'SENDING'
               OR (e.status = 'QUEUED' AND m.turn = 'PARKED' AND e.turn <> 'OPEN'
                   AND (e.turn = 'WOKEN' OR (e.priority, e.id) < (m.priority, m.id)))
               OR (%(strict)s AND e.status = 'QUEUED' AND e.org_id = m.org_id
                   AND (e.priority, e.id) < (m.priority, m.id)
                   AND (e.due_at <= now() OR e.attempt_seq > 0)))
        ORDER BY e.status <> 'SENDING', e.turn <> 'WOKEN', e.priority, e.id
        LIMIT 1) AS b ON true
 WHERE m.id = %(id)s
   AND (%(org_id)s::text IS NULL OR m.org_id = %(org_id)s)

-- name: ahead
-- Open messages before it in its lane: of its channel, priority and organisation (decision 13).
SELECT count(*)
  FROM (SELECT FROM outbound_message AS e, outbound_message AS m
         WHERE m.id = %(id)s
           AND e.status = 'QUEUED' AND e.turn = 'OPEN'
           AND e.channel = m.channel AND e.priority = m.priority AND e.org_id = m.org_id
           AND (e.due_at, e.id) < (m.due_at, m.id)
         LIMIT %(ceiling)s) AS counted

-- name: lockers
-- Sessions that have held rows of the queue for a minute: a claim passes by what is locked.
SELECT DISTINCT a.pid, a.application_name AS application, a.usename AS role,
       EXTRACT(EPOCH FROM now() - a.xact_start)::float8 AS seconds
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a USING (pid)
 WHERE l.relation = 'outbound_message'::regclass
   AND l.mode IN ('RowShareLock', 'RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                  'AccessExclusiveLock')
   AND a.pid <> pg_backend_pid()
   AND a.xact_start < now() - interval '1 minute'
 ORDER BY seconds DESC
 LIMIT 5
