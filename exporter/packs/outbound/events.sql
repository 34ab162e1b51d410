-- Event counters and latency histograms: totals and the deltas since, read in one snapshot.

-- name: attempts
-- Attempts that ended (D3).
SELECT lower(channel) AS channel, lower(outcome) AS outcome, error_code, sum(events) AS attempts
  FROM (SELECT channel, outcome, error_code, events
          FROM outbound_event_total WHERE kind = 'attempt'
         UNION ALL
        SELECT channel, outcome, error_code, events
          FROM outbound_event_delta WHERE kind = 'attempt') AS event
 GROUP BY 1, 2, 3

-- name: finished
-- Messages that reached an end of sending (D3).
SELECT lower(channel) AS channel, lower(outcome) AS outcome, error_code, sum(events) AS messages
  FROM (SELECT channel, outcome, error_code, events
          FROM outbound_event_total WHERE kind = 'finished'
         UNION ALL
        SELECT channel, outcome, error_code, events
          FROM outbound_event_delta WHERE kind = 'finished') AS event
 GROUP BY 1, 2, 3

-- name: send_latency
-- Messages and their seconds per bucket, from due to accepted (D30).
SELECT lower(channel) AS channel, edge, sum(events) AS messages,
       sum(microseconds) / 1000000.0 AS seconds
  FROM (SELECT channel, edge, events, microseconds
          FROM outbound_event_total WHERE kind = 'send_latency'
         UNION ALL
        SELECT channel, edge, events, microseconds
          FROM outbound_event_delta WHERE kind = 'send_latency') AS event
 GROUP BY 1, 2

-- name: delivery_latency
-- Messages and their seconds per bucket, from accepted to delivered (D5).
SELECT lower(channel) AS channel, edge, sum(events) AS messages,
       sum(microseconds) / 1000000.0 AS seconds
  FROM (SELECT channel, edge, events, microseconds
          FROM outbound_event_total WHERE kind = 'delivery_latency'
         UNION ALL
        SELECT channel, edge, events, microseconds
          FROM outbound_event_delta WHERE kind = 'delivery_latency') AS event
 GROUP BY 1, 2
