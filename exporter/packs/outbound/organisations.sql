-- What stands in the outbox of the few organisations that are watched (`exporter watch`): the metrics
-- of all would be thousands of series. Each answer lists every one of them, with 0 where it has none.

-- name: organisation_queue
-- Messages that wait or are being sent. The queue is counted whole before it is joined: the index by
-- organisation would lead through an organisation's whole past. Where nobody is watched, nothing is
-- read.
WITH queue AS MATERIALIZED (
    SELECT org_id::text AS org_id, channel, status, count(*) AS messages
      FROM outbound_message
     WHERE status IN ('QUEUED', 'SENDING')
       AND EXISTS (SELECT FROM outbound_watched_organisation)
     GROUP BY 1, 2, 3
)
SELECT w.org_id, lower(c.channel) AS channel, lower(s.status) AS status,
       COALESCE(sum(q.messages), 0) AS messages
  FROM outbound_watched_organisation AS w
 CROSS JOIN (SELECT unnest(ARRAY['WHATSAPP', 'SMS', 'EMAIL']) UNION SELECT channel FROM queue)
       AS c (channel)
 CROSS JOIN (VALUES ('QUEUED'), ('SENDING')) AS s (status)
  LEFT JOIN queue AS q
    ON q.org_id = w.org_id AND q.channel = c.channel AND q.status = s.status
 GROUP BY 1, 2, 3

-- name: organisation_stuck
-- Messages that should have moved on, each once, by the rules of `stuck_messages`.
WITH stuck AS MATERIALIZED (
    SELECT org_id::text AS org_id, channel, count(*) AS messages
      FROM (SELECT org_id, channel
              FROM outbound_message
             WHERE status = 'SENDING' AND updated_at < now() - interval '5 minutes'
             UNION ALL
            SELECT org_id, channel
              FROM outbound_message_waiting
             WHERE due_at < now() - interval '5 minutes'
                OR due_since < now() - interval '2 hours'
                OR (attempt_count >= 3 AND updated_at < now() - interval '2 hours')) AS each
     WHERE EXISTS (SELECT FROM outbound_watched_organisation)
     GROUP BY 1, 2
)
SELECT w.org_id, lower(c.channel) AS channel, COALESCE(sum(s.messages), 0) AS messages
  FROM outbound_watched_organisation AS w
 CROSS JOIN (SELECT unnest(ARRAY['WHATSAPP', 'SMS', 'EMAIL']) UNION SELECT channel FROM stuck)
       AS c (channel)
  LEFT JOIN stuck AS s ON s.org_id = w.org_id AND s.channel = c.channel
 GROUP BY 1, 2

-- name: organisation_windows
-- Open 24-hour windows, and the seconds until the next one closes; NULL when none is open (000).
SELECT w.org_id, count(o.org_id) AS windows,
       EXTRACT(EPOCH FROM min(o.window_expires_at) - now()) AS seconds
  FROM outbound_watched_organisation AS w
  LEFT JOIN whatsapp_session_window AS o
    ON o.org_id::text = w.org_id AND o.window_expires_at > now()
 GROUP BY 1
