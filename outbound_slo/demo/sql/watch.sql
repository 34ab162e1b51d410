-- What the live view and the final reckoning ask the outbox.

-- name: count_queue
-- Messages by status; those that wait for another attempt apart.
SELECT CASE WHEN status = 'QUEUED' AND due_at > now() THEN 'WAITING' ELSE status END AS state,
       count(*) AS messages
  FROM outbound_message
 GROUP BY 1

-- name: count_attempts
-- Attempts that ended, by outcome.
SELECT outcome, count(*) AS attempts FROM outbound_attempt GROUP BY outcome

-- name: read_outbox
-- Every message at the end.
SELECT id, status, error_code, provider_message_id IS NOT NULL AS accepted FROM outbound_message

-- name: first_failure
-- The first attempt that failed with a code.
SELECT min(finished_at) FROM outbound_attempt WHERE outcome = 'FAILED' AND error_code = %(code)s

-- name: pick_failed
-- A message that failed in the incident and was delivered in the end: the fewest attempts first,
-- so that its story is short to read.
SELECT m.id
  FROM outbound_message AS m
 WHERE EXISTS (SELECT FROM outbound_attempt AS a
                WHERE a.outbound_message_id = m.id
                  AND a.outcome = 'FAILED' AND a.error_code = %(code)s)
 ORDER BY m.status = 'DELIVERED' DESC, m.attempt_seq, m.id
 LIMIT 1

-- name: pick_delivered
-- A message that was delivered at its first attempt.
SELECT id
  FROM outbound_message
 WHERE status = 'DELIVERED' AND channel = 'WHATSAPP' AND attempt_seq = 1
 ORDER BY id
 LIMIT 1
