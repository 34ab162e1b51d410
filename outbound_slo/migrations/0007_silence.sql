-- How long webhooks may be silent is the sender's setting, and what a silence held up has time to come.

-- When webhooks came again after a silence in which the provider had accepted messages.
ALTER TABLE provider_webhook_health ADD COLUMN resumed_at timestamptz;

-- Whether messages of a channel were accepted that began after one moment and before another.
CREATE FUNCTION outbound_accepted_between(wanted text, moment timestamptz, other timestamptz)
RETURNS boolean LANGUAGE plpgsql STABLE
-- Rows of one channel are not spread evenly, as the planner takes them to be.
SET enable_seqscan = off
SET enable_bitmapscan = on
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM outbound_attempt
                    WHERE started_at > moment AND started_at < other
                      AND channel = wanted AND outcome = 'SENT');
END
$$;

CREATE FUNCTION outbound_channel_of(provider text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE provider WHEN 'whatsapp' THEN 'WHATSAPP'
                     WHEN 'twilio' THEN 'SMS'
                     WHEN 'sendgrid' THEN 'EMAIL' END;

-- Whether the missing receipt of an attempt says anything. It does not while the channel's webhooks
-- are refused for their signature since the attempt, nor while they have stopped before its receipt
-- had the time of two silences to come, though the provider went on accepting messages, nor in that
-- time after they came again, for the provider then brings what it has held back. A provider that has
-- never reached us holds nothing. Senders of the version before ask with two arguments.
DROP FUNCTION outbound_resend_allowed(text, timestamptz);

CREATE FUNCTION outbound_resend_allowed(
    channel text, attempted_at timestamptz, silence interval DEFAULT interval '1 minute')
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    health provider_webhook_health;
BEGIN
    SELECT * INTO health FROM provider_webhook_health
     WHERE provider = CASE channel WHEN 'WHATSAPP' THEN 'whatsapp'
                                   WHEN 'SMS' THEN 'twilio'
                                   WHEN 'EMAIL' THEN 'sendgrid' END;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    -- One forged request must not hold a quiet system for ever.
    IF health.last_rejected_at > GREATEST(
           attempted_at, health.last_accepted_at, now() - interval '10 minutes') THEN
        RETURN false;
    END IF;
    IF attempted_at < health.resumed_at AND health.resumed_at > now() - 2 * silence THEN
        RETURN false;
    END IF;
    IF health.last_accepted_at IS NULL
       OR health.last_accepted_at > now() - silence
       OR health.last_accepted_at > attempted_at + 2 * silence THEN
        RETURN true;
    END IF;
    RETURN NOT outbound_accepted_since(channel, health.last_accepted_at);
END
$$;
