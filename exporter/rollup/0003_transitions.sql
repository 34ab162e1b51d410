-- Every number of the outbox from triggers: states as well as events, and deliveries by the minute
-- of sending, so that a message is judged only when it is old enough.
--
-- One statement that changes messages appends one row per kind of change, such as "12 messages went
-- from SENDING to SENT, accepted within 0.5 s". A reader takes from it what it needs; compaction
-- moves it into totals.

-- Another lock may be held for minutes. Waiting for it would hold up every writer behind us.
SELECT set_config('lock_timeout', '2s', true) WHERE current_setting('lock_timeout') = '0';

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- A change of messages. The old side is NULL where rows came to be, the new side where they went.
CREATE TABLE outbound_message_delta (
    channel       text NOT NULL,
    old_status    text,
    old_detail    text,
    new_status    text,
    new_detail    text,
    -- SENT, FAILED or REFUSED where sending came to its end, with the label of the error's code.
    finished      text,
    error_code    text,
    -- Sum of the latencies in microseconds, and the upper edge of their bucket; for one message
    -- alone the reader finds the bucket.
    send_edge     double precision,
    send_us       bigint,
    delivery_edge double precision,
    delivery_us   bigint,
    -- When the provider accepted, to the minute where there are several; NULL for imports.
    sent_at       timestamptz,
    messages      bigint NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_threshold = -1
);

-- Messages per state. detail is the label of a dead letter's code, 'retry' for a queued message
-- that had an attempt, and empty for all others.
CREATE TABLE outbound_state_total (
    channel  text NOT NULL,
    status   text NOT NULL,
    detail   text NOT NULL,
    messages bigint NOT NULL,
    PRIMARY KEY (channel, status, detail)
) WITH (fillfactor = 70);

-- What is too young to be judged. kind: judged_delivery (per minute of sending and latency bucket),
-- judged_sent and judged_reached (per hour of sending). Compaction moves what has matured into
-- outbound_event_total.
CREATE TABLE outbound_cohort_total (
    kind         text NOT NULL,
    channel      text NOT NULL,
    cohort       timestamptz NOT NULL,
    edge         double precision NOT NULL,
    events       bigint NOT NULL,
    microseconds bigint NOT NULL,
    PRIMARY KEY (kind, channel, cohort, edge)
) WITH (fillfactor = 70);

-- How the rollup is doing; one row.
CREATE TABLE outbound_rollup (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    installed_at timestamptz NOT NULL DEFAULT now(),
    -- When states were first counted. Until then readers count the rows themselves.
    counted_at   timestamptz,
    verified_at  timestamptz,
    -- Messages that stood in the wrong state at the last recount, and all that were put right.
    drift        bigint NOT NULL DEFAULT 0,
    repaired     bigint NOT NULL DEFAULT 0
);
INSERT INTO outbound_rollup DEFAULT VALUES;

-- --- What the triggers compute ---------------------------------------------------------------

-- Expressions, so that the planner puts them in place of the call: a function that looks edges up
-- in a table cost more than all the rest of a trigger. Edges are those of outbound_latency_edge.
-- width_bucket() takes a lower edge into its bucket; ours are upper edges, hence the signs.
INSERT INTO outbound_latency_edge (histogram, edge)
SELECT 'attempt_duration', unnest(ARRAY[
           0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 'Infinity']);

CREATE FUNCTION outbound_send_edge(seconds double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 'Infinity']
        ::double precision[])[14 - width_bucket(-seconds, ARRAY[
            -900, -300, -120, -60, -30, -20, -10, -5, -2.5, -1, -0.5, -0.25, -0.1]
            ::double precision[])];

CREATE FUNCTION outbound_delivery_edge(seconds double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[0.5, 1, 2.5, 5, 10, 20, 30, 60, 90, 120, 300, 900, 3600, 21600, 86400, 'Infinity']
        ::double precision[])[16 - width_bucket(-seconds, ARRAY[
            -86400, -21600, -3600, -900, -300, -120, -90, -60, -30, -20, -10, -5, -2.5, -1, -0.5]
            ::double precision[])];

CREATE FUNCTION outbound_attempt_edge(seconds double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 'Infinity']
        ::double precision[])[11 - width_bucket(-seconds, ARRAY[
            -30, -10, -5, -2.5, -1, -0.5, -0.25, -0.1, -0.05, -0.025]::double precision[])];

CREATE FUNCTION outbound_state_detail(
    status text, attempt_count integer, max_attempts integer, error_code text
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN status = 'FAILED' AND attempt_count >= max_attempts
            THEN outbound_error_label(error_code)
            WHEN status = 'QUEUED' AND attempt_count > 0 THEN 'retry'
            ELSE '' END;

-- What is told of a sending that lies further back is an import: providers try to tell us for seven
-- days at most.
CREATE FUNCTION outbound_is_recent(instant timestamptz) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN instant > now() - interval '7 days';

-- Cohorts that began before this have seen all that they will be judged by: a minute's deliveries
-- within 120 s (D5), an hour's within a day, and one minute or hour for webhooks to arrive in.
CREATE FUNCTION outbound_matured_before(kind text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN now() - CASE WHEN kind = 'judged_delivery' THEN interval '4 minutes'
                    ELSE interval '26 hours' END;

-- --- Triggers --------------------------------------------------------------------------------
-- Each UPDATE pays for these, so: one look tells the common cases apart (nothing relevant changed;
-- one row), and functions have no settings but the search path that SECURITY DEFINER needs. For
-- several rows a FULL JOIN is asked for, since no planner can carry that out as a nested loop,
-- which for a million rows would take days; it also keeps states right where somebody changes ids.

CREATE OR REPLACE FUNCTION outbound_message_count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    several   boolean;
    unchanged boolean;
    fails     boolean;
    ending    text;
BEGIN
    SELECT EXISTS (SELECT FROM after OFFSET 1) OR n.channel <> o.channel,
           n.status = o.status AND n.attempt_count = o.attempt_count
               AND n.max_attempts = o.max_attempts
               AND n.error_code IS NOT DISTINCT FROM o.error_code,
           n.status = 'FAILED' AND o.status <> 'FAILED'
      INTO several, unchanged, fails
      FROM before AS o CROSS JOIN after AS n
     LIMIT 1;
    IF several IS NULL OR (unchanged AND NOT several) THEN
        RETURN NULL;
    END IF;
    IF NOT several THEN
        IF fails THEN
            ending := CASE WHEN (
                SELECT a.outcome FROM outbound_attempt AS a
                 WHERE a.outbound_message_id = (SELECT id FROM after)
                 ORDER BY a.attempt_no DESC
                 LIMIT 1) = 'REFUSED' THEN 'REFUSED' ELSE 'FAILED' END;
        END IF;
        INSERT INTO outbound_message_delta
               (channel, old_status, old_detail, new_status, new_detail, finished, error_code,
                send_us, delivery_us, sent_at, messages)
        SELECT n.channel, o.status,
               outbound_state_detail(o.status, o.attempt_count, o.max_attempts, o.error_code),
               n.status,
               outbound_state_detail(n.status, n.attempt_count, n.max_attempts, n.error_code),
               CASE WHEN n.status IN ('SENT', 'DELIVERED')
                         AND o.status NOT IN ('SENT', 'DELIVERED') THEN 'SENT'
                    ELSE ending END,
               CASE WHEN ending IS NOT NULL THEN outbound_error_label(n.error_code) END,
               CASE WHEN n.status IN ('SENT', 'DELIVERED')
                         AND o.status NOT IN ('SENT', 'DELIVERED')
                         AND n.sent_at IS DISTINCT FROM o.sent_at
                         AND outbound_is_recent(n.sent_at)
                    THEN EXTRACT(EPOCH FROM n.sent_at - n.due_since) * 1000000 END,
               CASE WHEN n.status = 'DELIVERED' AND o.status <> 'DELIVERED'
                         AND n.delivered_at IS DISTINCT FROM o.delivered_at
                         AND outbound_is_recent(n.sent_at)
                    THEN EXTRACT(EPOCH FROM n.delivered_at - n.sent_at) * 1000000 END,
               CASE WHEN n.status <> o.status AND outbound_is_recent(n.sent_at) THEN n.sent_at END,
               1
          FROM before AS o CROSS JOIN after AS n;
        RETURN NULL;
    END IF;
    INSERT INTO outbound_message_delta
           (channel, old_status, old_detail, new_status, new_detail, finished, error_code,
            send_edge, send_us, delivery_edge, delivery_us, sent_at, messages)
    WITH paired AS (
        SELECT n.id, COALESCE(n.channel, o.channel) AS channel, n.error_code, n.delivered_at,
               n.due_since, o.status AS old_status, n.status AS new_status,
               o.sent_at AS old_sent_at, o.delivered_at AS old_delivered_at,
               CASE WHEN outbound_is_recent(n.sent_at) THEN n.sent_at END AS sent_at,
               CASE WHEN o.status IS NOT NULL THEN outbound_state_detail(
                    o.status, o.attempt_count, o.max_attempts, o.error_code) END AS old_detail,
               CASE WHEN n.status IS NOT NULL THEN outbound_state_detail(
                    n.status, n.attempt_count, n.max_attempts, n.error_code) END AS new_detail
          FROM after AS n
          FULL JOIN before AS o ON o.id = n.id AND o.channel = n.channel
    ), moved AS (
        SELECT p.*,
               CASE WHEN new_status IN ('SENT', 'DELIVERED')
                         AND old_status NOT IN ('SENT', 'DELIVERED') THEN 'SENT'
                    WHEN new_status = 'FAILED' AND old_status <> 'FAILED' THEN
                         -- A scalar subquery stays an index probe, whatever it was planned for.
                         CASE WHEN (SELECT a.outcome FROM outbound_attempt AS a
                                     WHERE a.outbound_message_id = p.id
                                     ORDER BY a.attempt_no DESC
                                     LIMIT 1) = 'REFUSED' THEN 'REFUSED' ELSE 'FAILED' END
               END AS finished
          FROM paired AS p
         WHERE new_status IS DISTINCT FROM old_status OR new_detail IS DISTINCT FROM old_detail
    ), timed AS (
        SELECT m.*,
               CASE WHEN finished <> 'SENT' THEN outbound_error_label(m.error_code) END AS code,
               CASE WHEN finished = 'SENT' AND sent_at IS DISTINCT FROM old_sent_at
                         AND sent_at - due_since IS NOT NULL
                    THEN GREATEST(EXTRACT(EPOCH FROM sent_at - due_since)::double precision, 0)
               END AS send_wait,
               CASE WHEN new_status = 'DELIVERED' AND old_status <> 'DELIVERED'
                         AND delivered_at IS DISTINCT FROM old_delivered_at
                         -- GREATEST passes over NULL: an import has no latency, not one of zero.
                         AND delivered_at - sent_at IS NOT NULL
                    -- Providers tell whole seconds: a delivery may seem to precede its acceptance.
                    THEN GREATEST(EXTRACT(EPOCH FROM delivered_at - sent_at)::double precision, 0)
               END AS delivery_wait
          FROM moved AS m
    ), labelled AS (
        SELECT t.*,
               outbound_send_edge(send_wait) AS send_edge,
               (send_wait * 1000000)::bigint AS send_us,
               outbound_delivery_edge(delivery_wait) AS delivery_edge,
               (delivery_wait * 1000000)::bigint AS delivery_us,
               CASE WHEN finished = 'SENT' OR delivery_wait IS NOT NULL
                    THEN date_trunc('minute', sent_at, 'UTC') END AS sent_in
          FROM timed AS t
    )
    SELECT channel, old_status, old_detail, new_status, new_detail, l.finished, l.code,
           send_edge, sum(send_us), delivery_edge, sum(delivery_us), sent_in, count(*)
      FROM labelled AS l
     GROUP BY channel, old_status, old_detail, new_status, new_detail, l.finished, l.code,
              send_edge, delivery_edge, sent_in;
    RETURN NULL;
END
$$;

CREATE FUNCTION outbound_message_count_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO outbound_message_delta (channel, new_status, new_detail, messages)
    SELECT channel, status,
           outbound_state_detail(status, attempt_count, max_attempts, error_code), count(*)
      FROM after
     GROUP BY 1, 2, 3;
    RETURN NULL;
END
$$;

CREATE FUNCTION outbound_message_count_departures() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO outbound_message_delta (channel, old_status, old_detail, messages)
    SELECT channel, status,
           outbound_state_detail(status, attempt_count, max_attempts, error_code), count(*)
      FROM before
     GROUP BY 1, 2, 3;
    RETURN NULL;
END
$$;

-- Messages per state: the totals, and the deltas since.
CREATE VIEW outbound_state_sum AS
SELECT channel, status, detail, sum(messages)::bigint AS messages
  FROM (SELECT channel, status, detail, messages FROM outbound_state_total
         UNION ALL
        SELECT d.channel, side.status, side.detail, side.messages
          FROM outbound_message_delta AS d
         CROSS JOIN LATERAL (VALUES
               (d.new_status, d.new_detail, d.messages),
               (d.old_status, d.old_detail, -d.messages)) AS side (status, detail, messages)
         WHERE side.status IS NOT NULL) AS part
 GROUP BY channel, status, detail;

-- TRUNCATE shows no rows. It has the table for itself, so every delta is committed and visible.
CREATE FUNCTION outbound_message_count_truncation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO outbound_message_delta (channel, old_status, old_detail, messages)
    SELECT channel, status, detail, messages FROM outbound_state_sum WHERE messages <> 0;
    RETURN NULL;
END
$$;

-- An attempt counts when it leaves IN_FLIGHT. Where a webhook corrects an outcome later, the true
-- outcome counts too, and CORRECTED counts how many attempts stand twice: nothing ever falls. The
-- edge is the bucket of the time from claim to outcome where the provider was asked, else -1.
CREATE OR REPLACE FUNCTION outbound_attempt_count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    several   boolean;
    unchanged boolean;
BEGIN
    SELECT EXISTS (SELECT FROM after OFFSET 1)
               OR (n.outcome <> o.outcome AND o.outcome <> 'IN_FLIGHT'),
           n.outcome = o.outcome
      INTO several, unchanged
      FROM before AS o CROSS JOIN after AS n
     LIMIT 1;
    IF several IS NULL OR (unchanged AND NOT several) THEN
        RETURN NULL;
    END IF;
    IF NOT several THEN
        INSERT INTO outbound_event_delta
               (kind, channel, outcome, error_code, edge, events, microseconds)
        SELECT 'attempt', channel, outcome,
               CASE WHEN outcome = 'SENT' THEN '' ELSE outbound_error_label(error_code) END,
               CASE WHEN asked THEN outbound_attempt_edge(seconds) ELSE -1 END,
               1,
               CASE WHEN asked THEN GREATEST(seconds, 0) * 1000000 ELSE 0 END
          FROM (SELECT channel, outcome, error_code,
                       outcome IN ('SENT', 'FAILED', 'UNKNOWN') AS asked,
                       EXTRACT(EPOCH FROM COALESCE(finished_at, now()) - started_at)
                           ::double precision AS seconds
                  FROM after
                OFFSET 0) AS it;
        RETURN NULL;
    END IF;
    INSERT INTO outbound_event_delta
           (kind, channel, outcome, error_code, edge, events, microseconds)
    WITH settled AS (
        SELECT n.channel, n.outcome, n.error_code,
               o.outcome AS old_outcome, o.error_code AS old_code,
               CASE WHEN o.outcome = 'IN_FLIGHT' AND n.outcome IN ('SENT', 'FAILED', 'UNKNOWN')
                    THEN GREATEST(EXTRACT(
                         EPOCH FROM COALESCE(n.finished_at, now()) - n.started_at), 0)
               END::double precision AS waited
          FROM after AS n
          FULL JOIN before AS o ON o.id = n.id
         -- Conditions that are never NULL: others would turn the join into one that can be nested.
         WHERE COALESCE(n.outcome, o.outcome) IS DISTINCT FROM COALESCE(o.outcome, n.outcome)
           AND n.outcome IS DISTINCT FROM 'IN_FLIGHT'
    ), counted AS (
        SELECT channel, outcome, error_code, waited FROM settled
         UNION ALL
        SELECT channel, 'CORRECTED', old_code, NULL FROM settled WHERE old_outcome <> 'IN_FLIGHT'
    ), labelled AS (
        SELECT channel, outcome,
               CASE WHEN outcome = 'SENT' THEN '' ELSE outbound_error_label(error_code) END AS code,
               COALESCE(outbound_attempt_edge(waited), -1) AS edge,
               (COALESCE(waited, 0) * 1000000)::bigint AS us
          FROM counted
    )
    SELECT 'attempt', channel, outcome, code, edge, count(*), sum(us)
      FROM labelled
     GROUP BY channel, outcome, code, edge;
    RETURN NULL;
END
$$;

-- Attempts that were counted before durations were have none.
UPDATE outbound_event_total SET edge = -1 WHERE kind = 'attempt';
UPDATE outbound_event_delta SET edge = -1 WHERE kind = 'attempt';
ALTER TABLE outbound_event_delta ALTER COLUMN edge SET DEFAULT -1;

DROP FUNCTION outbound_latency_edge_of(text, double precision);

CREATE TRIGGER outbound_message_arrivals
    AFTER INSERT ON outbound_message
    REFERENCING NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_arrivals();

CREATE TRIGGER outbound_message_departures
    AFTER DELETE ON outbound_message
    REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_departures();

CREATE TRIGGER outbound_message_truncation
    AFTER TRUNCATE ON outbound_message
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_message_count_truncation();

-- What is there already can't be counted while writers wait: `exporter rollup install` does it
-- without holding anybody up, and until then readers count rows.
UPDATE outbound_rollup SET counted_at = now()
 WHERE NOT EXISTS (SELECT FROM outbound_message);

-- --- What readers read -----------------------------------------------------------------------

-- Messages per state, from the rollup or, before its first count, from the rows.
CREATE VIEW outbound_state AS
SELECT channel, status, detail, messages
  FROM outbound_state_sum
 WHERE messages <> 0 AND (SELECT counted_at IS NOT NULL FROM outbound_rollup)
UNION ALL
SELECT channel, status, outbound_state_detail(status, attempt_count, max_attempts, error_code),
       count(*)
  FROM outbound_message
 WHERE (SELECT counted_at IS NULL FROM outbound_rollup)
 GROUP BY 1, 2, 3;

-- A change of messages, taken apart into the events that it consists of.
CREATE FUNCTION outbound_events_of(d outbound_message_delta)
RETURNS TABLE (
    kind text, outcome text, error_code text, edge double precision, microseconds bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    SELECT * FROM (VALUES
           ('finished', d.finished, COALESCE(d.error_code, ''),
            'Infinity'::double precision, 0::bigint),
           ('send_latency', '', '',
            COALESCE(d.send_edge, outbound_send_edge(d.send_us / 1000000.0::double precision)),
            GREATEST(d.send_us, 0)),
           ('delivery_latency', '', '',
            COALESCE(d.delivery_edge,
                     outbound_delivery_edge(d.delivery_us / 1000000.0::double precision)),
            GREATEST(d.delivery_us, 0))
           ) AS event (kind, outcome, error_code, edge, microseconds)
     WHERE event.outcome IS NOT NULL AND event.edge IS NOT NULL;
END;

-- … and into those that wait until they may be judged.
CREATE FUNCTION outbound_cohorts_of(d outbound_message_delta)
RETURNS TABLE (kind text, cohort timestamptz, edge double precision, microseconds bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 3
BEGIN ATOMIC
    SELECT * FROM (VALUES
           ('judged_delivery', date_trunc('minute', d.sent_at, 'UTC'),
            COALESCE(d.delivery_edge,
                     outbound_delivery_edge(d.delivery_us / 1000000.0::double precision)),
            GREATEST(d.delivery_us, 0)),
           ('judged_sent', date_trunc('hour', d.sent_at, 'UTC'),
            CASE WHEN d.finished = 'SENT' THEN 'Infinity'::double precision END, 0),
           ('judged_reached', date_trunc('hour', d.sent_at, 'UTC'),
            CASE WHEN COALESCE(d.delivery_edge, d.delivery_us / 1000000.0::double precision)
                      <= 86400 THEN 'Infinity'::double precision END, 0)
           ) AS event (kind, cohort, edge, microseconds)
     WHERE event.cohort IS NOT NULL AND event.edge IS NOT NULL;
END;

-- Every event that was counted. Cohorts count once they have matured; deltas of late webhooks for
-- them count at once.
CREATE VIEW outbound_event AS
SELECT kind, channel, outcome, error_code, edge, events, microseconds FROM outbound_event_total
 UNION ALL
SELECT kind, channel, outcome, error_code, edge, events, microseconds FROM outbound_event_delta
 UNION ALL
SELECT event.kind, d.channel, event.outcome, event.error_code, event.edge, d.messages,
       event.microseconds
  FROM outbound_message_delta AS d
 CROSS JOIN LATERAL outbound_events_of(d) AS event
 UNION ALL
SELECT kind, channel, '', '', edge, events, microseconds
  FROM (SELECT kind, channel, cohort, edge, events, microseconds FROM outbound_cohort_total
         UNION ALL
        SELECT event.kind, d.channel, event.cohort, event.edge, d.messages, event.microseconds
          FROM outbound_message_delta AS d
         CROSS JOIN LATERAL outbound_cohorts_of(d) AS event) AS cohort
 WHERE cohort < outbound_matured_before(kind);
