-- Which messages go back to the queue. Each block is one of the runbooks' choices; all take the same
-- filters, of which NULL means any. What went out as SMS or has expired is not chosen unless it is
-- forced: it would fill the limit at every repeat.

-- name: outage
-- 001, outage procedure 1: fresh failures with passing errors, whatever is left of their budget.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.status = 'FAILED'
   AND m.created_at > now() - %(age_s)s * interval '1 second'
   AND m.error_code = ANY (%(codes)s)
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
   AND (%(force)s OR COALESCE(m.expires_at > now(), true) AND NOT EXISTS (
        SELECT FROM outbound_message AS f
         WHERE f.idempotency_key = m.idempotency_key || %(suffix)s))
 ORDER BY m.created_at DESC
 LIMIT %(limit)s

-- name: dlq
-- 001, DLQ procedure 2: dead letters with passing errors that have cooled.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.status = 'FAILED' AND m.attempt_count >= m.max_attempts
   AND m.error_code = ANY (%(codes)s)
   AND m.updated_at < now() - %(age_s)s * interval '1 second'
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
   AND (%(force)s OR COALESCE(m.expires_at > now(), true) AND NOT EXISTS (
        SELECT FROM outbound_message AS f
         WHERE f.idempotency_key = m.idempotency_key || %(suffix)s))
 ORDER BY m.updated_at
 LIMIT %(limit)s

-- name: sending
-- 000, procedure 2; 001, issue 1; 002, scenario 5: in SENDING for too long.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.status = 'SENDING'
   AND m.updated_at < now() - %(age_s)s * interval '1 second'
   AND (%(codes)s::text[] IS NULL OR m.error_code = ANY (%(codes)s))
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.updated_at
 LIMIT %(limit)s

-- name: overdue
-- 000, procedure 3: their retry time has passed and nobody took them.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.status = 'QUEUED'
   AND m.next_retry_at < now() - %(age_s)s * interval '1 second'
   AND m.due_at <= now()
   AND (%(codes)s::text[] IS NULL OR m.error_code = ANY (%(codes)s))
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.next_retry_at
 LIMIT %(limit)s

-- name: waiting
-- 002, scenario 5: they wait for a back-off, and nothing has touched them for a while.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.status = 'QUEUED' AND m.attempt_count > 0 AND m.attempt_count < m.max_attempts
   AND m.next_retry_at > now()
   AND m.updated_at < now() - %(age_s)s * interval '1 second'
   AND (%(codes)s::text[] IS NULL OR m.error_code = ANY (%(codes)s))
   AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.next_retry_at
 LIMIT %(limit)s

-- name: named
-- Those that somebody names, whatever became of them.
SELECT m.id, m.channel, m.status, m.error_code, m.org_id, m.attempt_seq
  FROM outbound_message AS m
 WHERE m.id = ANY (%(ids)s)
   AND (%(org)s::text IS NULL OR m.org_id = %(org)s)
 ORDER BY m.id
