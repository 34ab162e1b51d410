-- Event counters and latency histograms that outlive the rows they came from.
--
-- Triggers append what happened to outbound_event_delta, in the writer's own transaction and
-- without touching a row that another writer touches. The exporter moves deltas into
-- outbound_event_total now and then. A reader adds the two in one snapshot. Deleting, archiving or
-- truncating messages takes nothing back; inserting rows that are already settled adds nothing.

-- One source for bucket edges: the histograms of outbound_slo/vocabulary/metrics.py, in seconds.
CREATE TABLE outbound_latency_edge (
    histogram text NOT NULL,
    edge      double precision NOT NULL,
    PRIMARY KEY (histogram, edge)
);

INSERT INTO outbound_latency_edge (histogram, edge)
SELECT 'send_latency', unnest(ARRAY[
           0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 'Infinity'])
 UNION ALL
SELECT 'delivery_latency', unnest(ARRAY[
           0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 300, 900, 3600, 21600, 86400, 'Infinity']);

-- kind: attempt, finished, send_latency or delivery_latency. A latency event has the upper edge of
-- its bucket; the sum of its seconds is kept in whole microseconds, since adding floats in another
-- order could make a sum fall.
CREATE TABLE outbound_event_total (
    kind         text NOT NULL,
    channel      text NOT NULL,
    outcome      text NOT NULL,
    error_code   text NOT NULL,
    edge         double precision NOT NULL,
    events       bigint NOT NULL,
    microseconds bigint NOT NULL,
    PRIMARY KEY (kind, channel, outcome, error_code, edge)
) WITH (fillfactor = 70);

CREATE TABLE outbound_event_delta (
    kind         text NOT NULL,
    channel      text NOT NULL,
    outcome      text NOT NULL DEFAULT '',
    error_code   text NOT NULL DEFAULT '',
    edge         double precision NOT NULL DEFAULT 'Infinity',
    events       bigint NOT NULL,
    microseconds bigint NOT NULL DEFAULT 0
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1
);

-- The functions below run with the owner's rights, so that whoever may write messages may be
-- counted; they look tables up where this migration made them and nowhere else.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Longer codes than this are text in the wrong column, and would make a series each.
CREATE FUNCTION outbound_error_label(code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN COALESCE(NULLIF(left(code, 64), ''), 'unknown');

CREATE FUNCTION outbound_latency_edge_of(wanted text, seconds double precision)
RETURNS double precision
LANGUAGE sql STABLE
RETURN (SELECT min(edge) FROM outbound_latency_edge
         WHERE histogram = wanted AND edge >= seconds);

-- An attempt counts when it leaves IN_FLIGHT. Where a webhook corrects an outcome later, the true
-- outcome counts too, and CORRECTED counts how many attempts stand twice: nothing ever falls.
CREATE FUNCTION outbound_attempt_count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
-- The plan is kept for the session; made for one row, a nested loop would be ruinous for a million.
SET enable_nestloop = off
AS $$
BEGIN
    INSERT INTO outbound_event_delta (kind, channel, outcome, error_code, events)
    WITH settled AS (
        SELECT n.channel, n.outcome, n.error_code,
               o.outcome AS old_outcome, o.error_code AS old_code
          FROM after AS n
          JOIN before AS o ON o.id = n.id
         WHERE n.outcome <> o.outcome AND n.outcome <> 'IN_FLIGHT'
    ), counted AS (
        SELECT channel, outcome, error_code FROM settled
         UNION ALL
        SELECT channel, 'CORRECTED', old_code FROM settled WHERE old_outcome <> 'IN_FLIGHT'
    ), labelled AS (
        SELECT channel, outcome,
               CASE WHEN outcome = 'SENT' THEN '' ELSE outbound_error_label(error_code) END AS code
          FROM counted
    )
    SELECT 'attempt', channel, outcome, code, count(*)
      FROM labelled
     GROUP BY channel, outcome, code;
    RETURN NULL;
END
$$;

-- A message finishes when the provider has accepted it, or when it fails; with a refusal of our own
-- as the last attempt it is REFUSED, which no failure rate counts. One that was accepted and fails
-- later is both; one that a human puts back on the queue finishes again.
CREATE FUNCTION outbound_message_count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
SET enable_nestloop = off
AS $$
BEGIN
    INSERT INTO outbound_event_delta
           (kind, channel, outcome, error_code, edge, events, microseconds)
    WITH moved AS (
        SELECT n.channel, n.error_code,
               n.status IN ('SENT', 'DELIVERED') AND o.status NOT IN ('SENT', 'DELIVERED')
                   AS accepted,
               n.status = 'FAILED' AS failed,
               -- A scalar subquery stays an index probe, whatever the plan was made for.
               CASE WHEN n.status = 'FAILED' THEN (
                   SELECT a.outcome FROM outbound_attempt AS a
                    WHERE a.outbound_message_id = n.id
                    ORDER BY a.attempt_no DESC
                    LIMIT 1)
               END AS last_outcome,
               CASE WHEN n.sent_at IS DISTINCT FROM o.sent_at
                    THEN n.sent_at - n.due_since END AS send_wait,
               CASE WHEN n.status = 'DELIVERED' AND n.delivered_at IS DISTINCT FROM o.delivered_at
                    THEN n.delivered_at - n.sent_at END AS delivery_wait
          FROM after AS n
          JOIN before AS o ON o.id = n.id
         WHERE n.status <> o.status AND n.status IN ('SENT', 'DELIVERED', 'FAILED')
    ), finished AS (
        SELECT channel,
               CASE WHEN accepted THEN 'SENT'
                    WHEN last_outcome = 'REFUSED' THEN 'REFUSED'
                    ELSE 'FAILED' END AS outcome,
               CASE WHEN accepted THEN '' ELSE outbound_error_label(error_code) END AS code
          FROM moved
         WHERE accepted OR failed
    ), waited AS (
        SELECT 'send_latency' AS kind, channel, EXTRACT(EPOCH FROM send_wait) AS seconds
          FROM moved
         WHERE accepted AND send_wait IS NOT NULL
         UNION ALL
        SELECT 'delivery_latency', channel, EXTRACT(EPOCH FROM delivery_wait)
          FROM moved
         WHERE delivery_wait IS NOT NULL
    ), bucketed AS (
        -- Providers tell time in whole seconds, so a delivery may seem to precede its acceptance.
        SELECT kind, channel, outbound_latency_edge_of(kind, seconds::double precision) AS edge,
               GREATEST(seconds * 1000000, 0)::bigint AS microseconds
          FROM waited
    )
    SELECT 'finished', channel, outcome, code, 'Infinity'::double precision, count(*), 0
      FROM finished
     GROUP BY channel, outcome, code
     UNION ALL
    SELECT kind, channel, '', '', edge, count(*), sum(microseconds)::bigint
      FROM bucketed
     GROUP BY kind, channel, edge;
    RETURN NULL;
END
$$;

CREATE TRIGGER outbound_attempt_events
    AFTER UPDATE ON outbound_attempt
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_attempt_count_events();

CREATE TRIGGER outbound_message_events
    AFTER UPDATE ON outbound_message
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_events();
