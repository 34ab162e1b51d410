-- Whose turn it is: priority, expiry, at most one message in flight per recipient (D19), and a call
-- for senders that sleep.

ALTER TABLE outbound_message
    -- 0 urgent, 1 normal, 2 bulk: the lower goes first.
    ADD COLUMN priority smallint NOT NULL DEFAULT 1
        CONSTRAINT outbound_message_priority_known CHECK (priority BETWEEN 0 AND 2),
    -- Of no use to the recipient after this time.
    ADD COLUMN expires_at timestamptz,
    -- PARKED: due, but another message to the recipient is in flight. WOKEN: that one has settled.
    ADD COLUMN turn text NOT NULL DEFAULT 'OPEN'
        CONSTRAINT outbound_message_turn_known CHECK (turn IN ('OPEN', 'PARKED', 'WOKEN')),
    -- Runbook 003's name: this message may come at night.
    ADD COLUMN quiet_hours_override boolean NOT NULL DEFAULT false;

-- Runbook 002 archives with INSERT … SELECT *: same columns, same order.
ALTER TABLE outbound_message_archive
    ADD COLUMN priority smallint NOT NULL DEFAULT 1,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN turn text NOT NULL DEFAULT 'OPEN',
    ADD COLUMN quiet_hours_override boolean NOT NULL DEFAULT false;

-- The guarantee of D19. It can't be given while two are in flight already.
DO $$
BEGIN
    IF EXISTS (SELECT FROM outbound_message WHERE status = 'SENDING'
                GROUP BY channel, to_recipient HAVING count(*) > 1) THEN
        RAISE EXCEPTION 'Two messages to one recipient are in flight'
            USING HINT = 'Stop the senders, wait for the recovery window (10 minutes) with one '
                         'sender of the old version running, stop it, and migrate again.';
    END IF;
END
$$;
CREATE UNIQUE INDEX idx_outbound_message_in_flight ON outbound_message (channel, to_recipient)
    WHERE status = 'SENDING';
-- Those in flight are few: the index above finds the old ones among them as well.
DROP INDEX idx_outbound_message_sending;

-- A lane is one organisation's messages of one priority on one channel.
CREATE INDEX idx_outbound_message_lane
    ON outbound_message (channel, priority, org_id, due_at, id)
    WHERE status = 'QUEUED' AND turn = 'OPEN';
CREATE INDEX idx_outbound_message_woken ON outbound_message (channel, due_at, id)
    WHERE status = 'QUEUED' AND turn = 'WOKEN';
CREATE INDEX idx_outbound_message_parked ON outbound_message (channel, to_recipient, priority, id)
    WHERE status = 'QUEUED' AND turn = 'PARKED';
-- All that waits for one recipient: strict order, an opt-out, a search for duplicates.
CREATE INDEX idx_outbound_message_conversation
    ON outbound_message (to_recipient, channel, priority, id) WHERE status = 'QUEUED';
CREATE INDEX idx_outbound_message_expiring ON outbound_message (expires_at)
    WHERE status = 'QUEUED' AND expires_at IS NOT NULL;

-- Senders with nothing to do. Who queues a message calls only when one is here: a NOTIFY in every
-- commit takes a lock that all commits share.
CREATE UNLOGGED TABLE outbound_idle_sender (
    worker text PRIMARY KEY,
    until  timestamptz NOT NULL
);

CREATE FUNCTION outbound_call_idle_sender() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM outbound_idle_sender WHERE until > clock_timestamp()) THEN
        NOTIFY outbound_message;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER outbound_message_call_insert
    AFTER INSERT ON outbound_message
    FOR EACH STATEMENT EXECUTE FUNCTION outbound_call_idle_sender();

CREATE TRIGGER outbound_message_call_update
    AFTER UPDATE OF status, turn, updated_at, scheduled_at, next_retry_at ON outbound_message
    FOR EACH ROW
    WHEN (NEW.status = 'QUEUED' AND NEW.turn <> 'PARKED' AND NEW.due_at <= now()
          AND (OLD.status <> 'QUEUED' OR OLD.turn <> NEW.turn OR OLD.due_at > NEW.due_at))
    EXECUTE FUNCTION outbound_call_idle_sender();

-- One follower at a time: it is in flight itself when the next one's turn comes.
CREATE FUNCTION outbound_message_wake_follower() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message
       SET turn = 'WOKEN'
     WHERE id = (SELECT id FROM outbound_message
                  WHERE status = 'QUEUED' AND turn = 'PARKED'
                    AND channel = OLD.channel AND to_recipient = OLD.to_recipient
                  ORDER BY priority, id
                  LIMIT 1
                    FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END
$$;

CREATE TRIGGER outbound_message_wake_update
    AFTER UPDATE OF status ON outbound_message
    FOR EACH ROW
    WHEN ((OLD.status = 'SENDING' AND NEW.status <> 'SENDING')
          OR (OLD.status = 'QUEUED' AND NEW.status NOT IN ('QUEUED', 'SENDING')))
    EXECUTE FUNCTION outbound_message_wake_follower();

CREATE TRIGGER outbound_message_wake_delete
    AFTER DELETE ON outbound_message
    FOR EACH ROW WHEN (OLD.status IN ('QUEUED', 'SENDING'))
    EXECUTE FUNCTION outbound_message_wake_follower();

-- A message that comes back to the queue, by whoever's hand, is in nobody's turn.
CREATE FUNCTION outbound_message_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.turn := 'OPEN';
    RETURN NEW;
END
$$;

CREATE TRIGGER outbound_message_reopened
    BEFORE UPDATE OF status ON outbound_message
    FOR EACH ROW WHEN (OLD.status <> 'QUEUED' AND NEW.status = 'QUEUED' AND NEW.turn <> 'OPEN')
    EXECUTE FUNCTION outbound_message_reopen();

-- When an organisation's throttle or used-up quota ended early: what waited for it was in no delay.
ALTER TABLE whatsapp_rate_limit ADD COLUMN freed_at timestamptz;

CREATE FUNCTION whatsapp_rate_limit_note_freedom() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.freed_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER whatsapp_rate_limit_freedom_noted
    BEFORE UPDATE OF messages_sent_count, quota_limit, throttle_until, reset_at
    ON whatsapp_rate_limit
    FOR EACH ROW
    WHEN ((OLD.messages_sent_count >= OLD.quota_limit OR OLD.throttle_until > now())
          AND NEW.messages_sent_count < NEW.quota_limit
          AND COALESCE(NEW.throttle_until <= now(), true))
    EXECUTE FUNCTION whatsapp_rate_limit_note_freedom();

-- Messages that could go now: due, with nothing planned in their way. A throttle, a used-up quota
-- and a channel that is switched off are planned, and their end is when a message became due.
CREATE VIEW outbound_message_waiting AS
SELECT m.id, m.org_id, m.channel, m.turn, m.attempt_count, m.updated_at,
       GREATEST(m.due_at, q.throttle_until, q.freed_at) AS due_at,
       GREATEST(m.due_since, q.throttle_until, q.freed_at) AS due_since
  FROM outbound_message AS m
  LEFT JOIN whatsapp_rate_limit AS q ON m.channel = 'WHATSAPP' AND q.org_id = m.org_id
  LEFT JOIN whatsapp_provider_config AS p ON m.channel = 'WHATSAPP' AND p.org_id = m.org_id
 WHERE m.status = 'QUEUED'
   AND m.due_at <= now()
   AND COALESCE(q.throttle_until <= now(), true)
   AND COALESCE(q.messages_sent_count < q.quota_limit OR q.reset_at <= now(), true)
   AND COALESCE(p.enabled, true);
