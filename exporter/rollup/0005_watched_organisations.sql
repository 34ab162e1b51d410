-- Ends of sending per organisation, for the few that somebody watches: an objective of one
-- organisation needs counters of its own, and thousands of organisations must not become series.
--
-- What is counted of them lies in outbound_event_delta and outbound_event_total like any other
-- event, under a kind of its own and with the organisation where others have an error's code. So
-- exporters of the version before compact it rightly, and nobody needs a right more than before.

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Deleting a row ends the counting; what was counted stays, so that nothing falls when the
-- organisation is watched again.
CREATE TABLE outbound_watched_organisation (
    -- A label's value on every page of metrics.
    org_id text PRIMARY KEY CHECK (org_id <> '' AND length(org_id) <= 128),
    since  timestamptz NOT NULL DEFAULT now()
);

-- Ends of sending per organisation, of those that are or were watched.
CREATE VIEW outbound_organisation_finished AS
SELECT error_code AS org_id, channel, outcome, events AS messages
  FROM outbound_event_total
 WHERE kind = 'organisation'
 UNION ALL
SELECT error_code, channel, outcome, events
  FROM outbound_event_delta
 WHERE kind = 'organisation';

-- The function of 0004, which also counts organisations. Where nobody watches one, that costs a look
-- at an empty table.
CREATE OR REPLACE FUNCTION outbound_message_count_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    several   boolean;
    unchanged boolean;
    fails     boolean;
    accepted  boolean;
    watched   boolean;
    ending    text;
    undoing   boolean := COALESCE(current_setting('outbound_slo.undoing', true), '') = 'on';
BEGIN
    SELECT EXISTS (SELECT FROM after OFFSET 1) OR n.channel <> o.channel,
           n.status = o.status AND n.attempt_count = o.attempt_count
               AND n.max_attempts = o.max_attempts
               AND n.error_code IS NOT DISTINCT FROM o.error_code,
           n.status = 'FAILED' AND o.status <> 'FAILED' AND NOT undoing,
           n.status IN ('SENT', 'DELIVERED') AND o.status NOT IN ('SENT', 'DELIVERED'),
           EXISTS (SELECT FROM outbound_watched_organisation)
      INTO several, unchanged, fails, accepted, watched
      FROM before AS o CROSS JOIN after AS n
     LIMIT 1;
    IF several IS NULL OR (unchanged AND NOT several) THEN
        RETURN NULL;
    END IF;
    IF NOT several THEN
        IF accepted THEN
            ending := 'SENT';
        ELSIF fails THEN
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
               ending,
               CASE WHEN ending <> 'SENT' THEN outbound_error_label(n.error_code) END,
               CASE WHEN accepted
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
        IF watched AND ending IS NOT NULL THEN
            INSERT INTO outbound_event_delta (kind, channel, outcome, error_code, edge, events)
            SELECT 'organisation', n.channel, ending, w.org_id, 'Infinity'::double precision, 1
              FROM after AS n
              JOIN outbound_watched_organisation AS w ON w.org_id = n.org_id::text;
        END IF;
        RETURN NULL;
    END IF;
    WITH paired AS (
        SELECT n.id, COALESCE(n.channel, o.channel) AS channel, n.org_id::text AS org_id,
               n.error_code, n.delivered_at, n.due_since,
               o.status AS old_status, n.status AS new_status,
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
                    WHEN new_status = 'FAILED' AND old_status <> 'FAILED' AND NOT undoing THEN
                         -- A scalar subquery stays an index probe, whatever it was planned for.
                         CASE WHEN (SELECT a.outcome FROM outbound_attempt AS a
                                     WHERE a.outbound_message_id = p.id
                                     ORDER BY a.attempt_no DESC
                                     LIMIT 1) = 'REFUSED' THEN 'REFUSED' ELSE 'FAILED' END
               END AS finished
          FROM paired AS p
         WHERE new_status IS DISTINCT FROM old_status OR new_detail IS DISTINCT FROM old_detail
    ), organisations AS (
        INSERT INTO outbound_event_delta (kind, channel, outcome, error_code, edge, events)
        SELECT 'organisation', m.channel, m.finished, w.org_id, 'Infinity'::double precision,
               count(*)
          FROM moved AS m
          JOIN outbound_watched_organisation AS w ON w.org_id = m.org_id
         WHERE watched AND m.finished IS NOT NULL
         GROUP BY m.channel, m.finished, w.org_id
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
    INSERT INTO outbound_message_delta
           (channel, old_status, old_detail, new_status, new_detail, finished, error_code,
            send_edge, send_us, delivery_edge, delivery_us, sent_at, messages)
    SELECT channel, old_status, old_detail, new_status, new_detail, l.finished, l.code,
           send_edge, sum(send_us), delivery_edge, sum(delivery_us), sent_in, count(*)
      FROM labelled AS l
     GROUP BY channel, old_status, old_detail, new_status, new_detail, l.finished, l.code,
              send_edge, delivery_edge, sent_in;
    RETURN NULL;
END
$$;
