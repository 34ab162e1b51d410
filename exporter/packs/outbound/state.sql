-- What stands in the outbox now. Channel and status are lower case on the page (D1).

-- name: queue_depth
-- Messages by channel and status (000, 001, 002). Where the rollup says less than none, rows escaped
-- its triggers; outbound_rollup_drift_messages tells.
SELECT lower(channel) AS channel, lower(status) AS status,
       GREATEST(sum(messages), 0) AS messages
  FROM outbound_state
 GROUP BY channel, status

-- name: dead_letters
-- Failed with the attempts used up: the dead-letter queue of 000 to 002 (D2, D7).
SELECT lower(channel) AS channel, detail AS error_code, GREATEST(messages, 0) AS messages
  FROM outbound_state
 WHERE status = 'FAILED' AND detail <> ''

-- name: stuck
-- One row per rule that finds something (D9, D23). A planned wait (a due_at in the future, a throttle,
-- a used-up quota) meets no rule; back-offs that have passed do not make due_since any later.
SELECT lower(channel) AS channel, 'sending' AS status, 'sending_too_long' AS reason,
       count(*) AS messages
  FROM outbound_message
 WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
 GROUP BY channel
UNION ALL
SELECT lower(channel), 'queued', reason, count(*)
  FROM outbound_message_waiting
 CROSS JOIN LATERAL (VALUES
       ('overdue', due_at < now() - interval '5 minutes'),
       ('queued_too_long', due_since < now() - interval '2 hours'),
       ('no_progress', attempt_count >= 3 AND updated_at < now() - interval '2 hours')
       ) AS rule (reason, met)
 WHERE met
 GROUP BY channel, reason

-- name: stuck_messages
-- Each stuck message once, whichever rules it meets: reasons overlap, so they cannot be added.
SELECT 'sending' AS status, count(*) AS messages
  FROM outbound_message
 WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
UNION ALL
SELECT 'queued', count(*)
  FROM outbound_message_waiting
 WHERE due_at < now() - interval '5 minutes'
    OR due_since < now() - interval '2 hours'
    OR (attempt_count >= 3 AND updated_at < now() - interval '2 hours')

-- name: blocked
-- Messages behind another one to their recipient, and since when the first of them is due (D19).
SELECT lower(channel) AS channel, count(*) AS messages,
       GREATEST(EXTRACT(EPOCH FROM now() - min(due_at)), 0) AS seconds
  FROM outbound_message
 WHERE status = 'QUEUED' AND turn = 'PARKED'
 GROUP BY channel

-- name: waiting_retries
-- Messages that had an attempt and wait on the queue for the next (000).
SELECT lower(channel) AS channel, GREATEST(messages, 0) AS messages
  FROM outbound_state
 WHERE status = 'QUEUED' AND detail = 'retry'

-- name: oldest_ages
-- Age of the oldest message per state; clamped, since a row may be younger than this snapshot's
-- now(), and a deferral puts updated_at in the future (002). What an organisation's used-up quota,
-- throttle or switch holds back is not due, nor what waits for its turn behind another message to its
-- recipient: with nothing else to send at night, either would pass for an outage.
SELECT lower(channel) AS channel, 'queued' AS state,
       GREATEST(EXTRACT(EPOCH FROM now() - min(created_at)), 0) AS seconds
  FROM outbound_message
 WHERE status = 'QUEUED'
 GROUP BY channel
UNION ALL
SELECT lower(channel), 'due', GREATEST(EXTRACT(EPOCH FROM now() - min(due_at)), 0)
  FROM outbound_message_waiting
 WHERE turn <> 'PARKED'
 GROUP BY channel
UNION ALL
SELECT lower(channel), 'sending', GREATEST(EXTRACT(EPOCH FROM now() - min(updated_at)), 0)
  FROM outbound_message
 WHERE status = 'SENDING'
 GROUP BY channel

-- name: pauses
-- Whether people have paused a channel (002, circuit breaker activation), and for how long: since
-- somebody last touched the oldest switch that pauses it, so that who renews a pause is not asked at
-- once whether it was forgotten.
SELECT lower(p.channel) AS channel, p.paused::integer AS paused,
       CASE WHEN NOT p.paused THEN 0
            ELSE GREATEST(EXTRACT(EPOCH FROM now() - (
                 SELECT min(s.updated_at) FROM outbound_switch AS s
                  WHERE s.channel IN (p.channel, 'ALL')
                    AND s.paused AND COALESCE(s.until > now(), true))), 0) END AS seconds
  FROM outbound_pause AS p

-- name: senders
-- Sender processes whose last sign of life is young enough (SILENT_S in sender/heartbeat.py), and the
-- newest sign of any. One that stops in order takes its row away.
SELECT s.state,
       count(o.worker) FILTER (WHERE o.seen_at > now() - interval '20 seconds') AS senders
  FROM (VALUES ('claiming', true), ('idle', false)) AS s (state, claiming)
  LEFT JOIN outbound_sender AS o ON o.claiming = s.claiming
 GROUP BY s.state

-- name: sender_signs
SELECT EXTRACT(EPOCH FROM max(seen_at)) AS seen FROM outbound_sender
