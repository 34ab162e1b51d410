-- What people do to the outbox, and what senders tell of themselves.

-- One row for each changing command, and for each retry over HTTP: who did what, when, to how much.
CREATE TABLE outbound_operation (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- As typed after "outbound-slo ops".
    command     text NOT NULL,
    parameters  jsonb NOT NULL DEFAULT '{}',
    operator    text NOT NULL,
    ticket      text,
    -- RUNNING with no session behind it: it was killed. What it did until then is in changed.
    state       text NOT NULL DEFAULT 'RUNNING'
        CONSTRAINT outbound_operation_state_known
        CHECK (state IN ('RUNNING', 'DONE', 'INTERRUPTED', 'FAILED')),
    -- Rows it set out to change, and those changed so far.
    planned     bigint,
    changed     bigint NOT NULL DEFAULT 0,
    -- Rows left alone, by reason.
    skipped     jsonb NOT NULL DEFAULT '{}',
    undoes      bigint REFERENCES outbound_operation (id),
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX idx_outbound_operation_started ON outbound_operation (started_at);

-- Rows as they were, for `ops undo`; kept for seven days.
CREATE TABLE outbound_operation_row (
    operation_id bigint NOT NULL REFERENCES outbound_operation (id) ON DELETE CASCADE,
    relation     text NOT NULL,
    key          text NOT NULL,
    -- The columns that differ, before and after. before is NULL where the operation made the row;
    -- after is NULL, and before the whole row, where it took the row away.
    before       jsonb,
    after        jsonb,
    PRIMARY KEY (operation_id, relation, key)
);

-- Switches that people turn: no message of a paused channel is claimed, on whatever machine. What is
-- in flight ends.
CREATE TABLE outbound_switch (
    channel    text PRIMARY KEY
        CONSTRAINT outbound_switch_channel_known
        CHECK (channel IN ('ALL', 'WHATSAPP', 'SMS', 'EMAIL')),
    paused     boolean NOT NULL DEFAULT false,
    -- When the pause ends by itself; NULL: when somebody ends it.
    until      timestamptz,
    reason     text,
    -- When the last pause ended.
    resumed_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text
);
INSERT INTO outbound_switch (channel) VALUES ('ALL'), ('WHATSAPP'), ('SMS'), ('EMAIL');

CREATE FUNCTION outbound_switch_turned() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was_active boolean := OLD.paused AND COALESCE(OLD.until > now(), true);
    is_active  boolean := NEW.paused AND COALESCE(NEW.until > now(), true);
BEGIN
    -- A pause may have ended by itself before anybody touches its row.
    NEW.resumed_at := GREATEST(
        OLD.resumed_at,
        CASE WHEN was_active AND NOT is_active THEN now()
             WHEN OLD.paused AND NOT was_active THEN OLD.until END);
    IF NOT NEW.paused THEN
        NEW.until := NULL;
        NEW.reason := NULL;
    END IF;
    IF was_active AND NOT is_active THEN
        NOTIFY outbound_message;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER outbound_switch_turned
    BEFORE UPDATE ON outbound_switch
    FOR EACH ROW EXECUTE FUNCTION outbound_switch_turned();

-- Each channel: whether it is paused, until when if that is known, and when its last pause ended.
CREATE VIEW outbound_pause AS
SELECT c.channel, s.paused, s.until, s.ended_at
  FROM (VALUES ('WHATSAPP'), ('SMS'), ('EMAIL')) AS c (channel)
 CROSS JOIN LATERAL (
       SELECT COALESCE(bool_or(w.active), false) AS paused,
              CASE WHEN NOT bool_or(w.active AND w.until IS NULL)
                   THEN max(w.until) FILTER (WHERE w.active) END AS until,
              max(GREATEST(w.resumed_at, CASE WHEN w.paused AND NOT w.active
                                              THEN w.until END)) AS ended_at
         FROM (SELECT t.*, t.paused AND COALESCE(t.until > now(), true) AS active
                 FROM outbound_switch AS t
                WHERE t.channel IN (c.channel, 'ALL')) AS w) AS s;

-- What senders say of themselves every few seconds; a sender that stops in order says so.
CREATE TABLE outbound_sender (
    worker     text PRIMARY KEY,
    version    text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now(),
    -- False where OUTBOUND_WORKER_ENABLED is, and while it stops.
    claiming   boolean NOT NULL,
    in_flight  integer NOT NULL,
    -- Per channel that it serves, the state of its circuit breaker: closed, open or half_open.
    breakers   jsonb NOT NULL
) WITH (fillfactor = 50);

-- A pause is planned too, and its end is when a message became due.
CREATE OR REPLACE VIEW outbound_message_waiting AS
SELECT m.id, m.org_id, m.channel, m.turn, m.attempt_count, m.updated_at,
       GREATEST(m.due_at, q.throttle_until, q.freed_at, s.ended_at) AS due_at,
       GREATEST(m.due_since, q.throttle_until, q.freed_at, s.ended_at) AS due_since
  FROM outbound_message AS m
  LEFT JOIN outbound_pause AS s ON s.channel = m.channel
  LEFT JOIN whatsapp_rate_limit AS q ON m.channel = 'WHATSAPP' AND q.org_id = m.org_id
  LEFT JOIN whatsapp_provider_config AS p ON m.channel = 'WHATSAPP' AND p.org_id = m.org_id
 WHERE m.status = 'QUEUED'
   AND m.due_at <= now()
   AND COALESCE(NOT s.paused, true)
   AND COALESCE(q.throttle_until <= now(), true)
   AND COALESCE(q.messages_sent_count < q.quota_limit OR q.reset_at <= now(), true)
   AND COALESCE(p.enabled, true);

-- A deferral that somebody ends early leaves no start of the latency in the future.
CREATE OR REPLACE FUNCTION outbound_message_follow_due() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    deferral timestamptz := GREATEST(
        NEW.scheduled_at,
        CASE WHEN NEW.updated_at > now() THEN NEW.updated_at END);
    planned  timestamptz := GREATEST(deferral, NEW.next_retry_at);
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.due_at := GREATEST(planned, NEW.created_at);
        NEW.due_since := GREATEST(deferral, NEW.created_at);
        -- 001's SMS fallback derives its keys from these: two NULLs would become one message.
        NEW.idempotency_key := COALESCE(NEW.idempotency_key, 'message-' || NEW.id);
        RETURN NEW;
    END IF;
    IF OLD.status <> 'QUEUED' THEN
        NEW.due_at := GREATEST(planned, now());
        IF OLD.status <> 'SENDING' THEN
            -- A message brought back from a final state starts a new life, with latencies of its own.
            NEW.due_since := NEW.due_at;
            NEW.sent_at := NULL;
            NEW.delivered_at := NULL;
            NEW.read_at := NULL;
        END IF;
    ELSIF planned > now() THEN
        NEW.due_at := planned;
    ELSIF OLD.due_at > now() THEN
        NEW.due_at := now();
    ELSE
        NEW.due_at := OLD.due_at;
    END IF;
    IF deferral > now() THEN
        NEW.due_since := deferral;
    ELSIF NEW.due_since > now() THEN
        NEW.due_since := now();
    END IF;
    RETURN NEW;
END
$$;
