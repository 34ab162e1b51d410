-- Events that triggers counted (exporter/rollup): totals and the deltas since, read in one snapshot.

-- name: outcomes
-- Attempts that ended, and messages that reached an end of sending (D3); NULL where there are none.
SELECT lower(channel) AS channel, lower(outcome) AS outcome, error_code,
       sum(events) FILTER (WHERE kind = 'attempt') AS attempts,
       sum(events) FILTER (WHERE kind = 'finished') AS messages
  FROM outbound_event
 WHERE kind IN ('attempt', 'finished')
 GROUP BY 1, 2, 3

-- name: latencies
-- Events and their seconds per bucket: from due to accepted (D30), from accepted to delivered (D5),
-- the latter again for messages old enough to be judged, and from claim to outcome.
SELECT lower(channel) AS channel, edge,
       COALESCE(sum(events) FILTER (WHERE kind = 'send_latency'), 0) AS accepted,
       COALESCE(sum(microseconds) FILTER (WHERE kind = 'send_latency'), 0) / 1000000.0
           AS accepted_seconds,
       COALESCE(sum(events) FILTER (WHERE kind = 'delivery_latency'), 0) AS delivered,
       COALESCE(sum(microseconds) FILTER (WHERE kind = 'delivery_latency'), 0) / 1000000.0
           AS delivered_seconds,
       COALESCE(sum(events) FILTER (WHERE kind = 'judged_delivery'), 0) AS judged,
       COALESCE(sum(microseconds) FILTER (WHERE kind = 'judged_delivery'), 0) / 1000000.0
           AS judged_seconds,
       COALESCE(sum(events) FILTER (WHERE kind = 'attempt'), 0) AS attempts,
       COALESCE(sum(microseconds) FILTER (WHERE kind = 'attempt'), 0) / 1000000.0
           AS attempts_seconds
  FROM outbound_event
 WHERE kind IN ('send_latency', 'delivery_latency', 'judged_delivery', 'attempt')
   -- Attempts for which no provider was asked have no duration, and the edge -1.
   AND edge > 0
 GROUP BY 1, 2

-- name: reach
-- Messages sent long enough ago to be judged, and those of them that arrived within a day.
SELECT lower(channel) AS channel,
       COALESCE(sum(events) FILTER (WHERE kind = 'judged_sent'), 0) AS sent,
       COALESCE(sum(events) FILTER (WHERE kind = 'judged_reached'), 0) AS reached
  FROM outbound_event
 WHERE kind IN ('judged_sent', 'judged_reached')
 GROUP BY 1

-- name: organisations
-- Messages that reached an end of sending, of the organisations that are watched; 0 for each channel
-- and outcome that none reached yet.
WITH counted AS MATERIALIZED (
    SELECT org_id, channel, outcome, sum(messages) AS messages
      FROM outbound_organisation_finished
     GROUP BY 1, 2, 3
), listed AS (
    SELECT org_id, channel, outcome, messages
      FROM counted
      JOIN outbound_watched_organisation USING (org_id)
     UNION ALL
    SELECT org_id, channel, outcome, 0
      FROM outbound_watched_organisation
     CROSS JOIN unnest(ARRAY['WHATSAPP', 'SMS', 'EMAIL']) AS c (channel)
     CROSS JOIN unnest(ARRAY['SENT', 'FAILED', 'REFUSED']) AS o (outcome)
)
SELECT org_id, lower(channel) AS channel, lower(outcome) AS outcome, sum(messages) AS messages
  FROM listed
 GROUP BY 1, 2, 3

-- name: attempt_examples
-- Traces of the newest attempts: one per outcome and code, of those whose trace was kept. Rows that
-- do not say so come from a sender that kept what it sampled, with 01 at the traceparent's end.
SELECT DISTINCT ON (channel, outcome, error_code)
       lower(channel) AS channel, lower(outcome) AS outcome,
       CASE WHEN outcome = 'SENT' THEN '' ELSE outbound_error_label(error_code) END AS error_code,
       split_part(traceparent, '-', 2) AS trace_id,
       finished_at AS at
  FROM (SELECT channel, outcome, error_code, traceparent, trace_kept, finished_at
          FROM outbound_attempt
         ORDER BY id DESC
         LIMIT 1000) AS newest
 WHERE traceparent IS NOT NULL AND finished_at IS NOT NULL
   AND COALESCE(trace_kept, traceparent LIKE '%-01')
 ORDER BY channel, outcome, error_code, finished_at DESC

-- name: latency_examples
-- Traces of the newest attempts, with their durations and their messages' latencies; and of one in a
-- thousand of those before, since at a thousand attempts a second the newest have not been delivered
-- yet. At most 600 rows, each found by its key, however many there are. What has not been sent or
-- delivered has no latency: GREATEST would make 0 of its NULL.
SELECT lower(a.channel) AS channel, split_part(a.traceparent, '-', 2) AS trace_id,
       a.finished_at AS at,
       GREATEST(EXTRACT(EPOCH FROM a.finished_at - a.started_at), 0) AS attempt_seconds,
       CASE WHEN a.outcome = 'SENT' AND m.sent_at >= m.due_since
            THEN EXTRACT(EPOCH FROM m.sent_at - m.due_since) END AS send_seconds,
       CASE WHEN a.outcome = 'SENT' AND m.delivered_at >= m.sent_at
            THEN EXTRACT(EPOCH FROM m.delivered_at - m.sent_at) END AS delivery_seconds
  FROM ((SELECT id, outbound_message_id, channel, outcome, traceparent, trace_kept, started_at,
                finished_at
           FROM outbound_attempt
          ORDER BY id DESC
          LIMIT 300)
         UNION ALL
         SELECT old.*
           FROM (SELECT id AS newest FROM outbound_attempt ORDER BY id DESC LIMIT 1) AS last
          CROSS JOIN generate_series(1, 300) AS step
          CROSS JOIN LATERAL (
                SELECT id, outbound_message_id, channel, outcome, traceparent, trace_kept,
                       started_at, finished_at
                  FROM outbound_attempt
                 WHERE id = newest - 1000 * step) AS old) AS a
  LEFT JOIN outbound_message AS m ON m.id = a.outbound_message_id
 WHERE a.finished_at IS NOT NULL AND COALESCE(a.trace_kept, a.traceparent LIKE '%-01')

-- name: rollup
-- How the rollup is doing. The epoch is a number for this database's history: it changes when the
-- database is restored, promoted, or gets its rollup anew, and counters before and after that can't
-- be compared.
SELECT (counted_at IS NOT NULL)::int AS counted,
       EXTRACT(EPOCH FROM verified_at) AS verified,
       drift, repaired,
       (SELECT count(*) FROM outbound_event_delta)
       + (SELECT count(*) FROM outbound_message_delta) AS deltas,
       (SELECT count(*)
          FROM (VALUES ('outbound_message', 'outbound_message_events'),
                       ('outbound_message', 'outbound_message_arrivals'),
                       ('outbound_message', 'outbound_message_departures'),
                       ('outbound_message', 'outbound_message_truncation'),
                       ('outbound_attempt', 'outbound_attempt_events')) AS wanted (relation, name)
         WHERE NOT EXISTS (
               SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = to_regclass(wanted.relation) AND t.tgname = wanted.name
                  AND t.tgenabled IN ('O', 'A'))) AS missing_triggers,
       hashtext(concat_ws(' ', installed_at,
           (SELECT system_identifier FROM pg_control_system()),
           (SELECT timeline_id FROM pg_control_checkpoint()),
           (SELECT oid FROM pg_database WHERE datname = current_database()))) & 2147483647 AS epoch
  FROM outbound_rollup
