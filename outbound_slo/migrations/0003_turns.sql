-- Whose turn it is: priority, expiry, and at most one message in flight per recipient (D19).

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
