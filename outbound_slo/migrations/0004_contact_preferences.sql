-- What recipients want: quiet hours, and no messages at all (runbook 003).

CREATE TABLE contact_preferences (
    -- The recipient as messages name it: a number in E.164 form, or an e-mail address.
    wa_id             text PRIMARY KEY,
    -- The platform's own key of the person.
    profile_id        text,
    language          text DEFAULT 'en',
    -- By the recipient's clock. Either one NULL, or both equal: no quiet hours.
    quiet_hours_start time DEFAULT '22:00',
    quiet_hours_end   time DEFAULT '07:00',
    -- IANA name. NULL: the zones that the phone number belongs to.
    timezone          text,
    opted_out         boolean NOT NULL DEFAULT false,
    opt_out_at        timestamptz,
    opt_out_reason    text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    -- PostgreSQL's 24:00 is no time of day elsewhere, and midnight has a name already.
    CONSTRAINT contact_preferences_times_of_day
        CHECK (quiet_hours_start < '24:00' AND quiet_hours_end < '24:00'),
    -- Fails with "time zone … not recognized".
    CONSTRAINT contact_preferences_zone_known
        CHECK (timestamptz '2026-01-01 00:00+00' AT TIME ZONE timezone IS NOT NULL
               OR timezone IS NULL)
);

-- A number as people write it or as Meta's webhooks name it (no plus sign) becomes E.164.
CREATE FUNCTION contact_address(written text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    address text := btrim(COALESCE(written, ''));
BEGIN
    IF address = '' THEN
        RAISE EXCEPTION 'No recipient is given'
            USING HINT = 'Give a phone number with its country code, or an e-mail address.';
    END IF;
    IF address !~ '^[+0-9][0-9 ().-]*$' THEN
        RETURN address;
    END IF;
    address := regexp_replace(regexp_replace(address, '[^0-9]', '', 'g'), '^00', '');
    IF address !~ '^[1-9]' THEN
        RAISE EXCEPTION 'The number % has no country code', written
            USING HINT = 'Write it in E.164 form, as in +250788123456.';
    END IF;
    RETURN '+' || address;
END
$$;

-- 003: gives a contact the default quiet hours, unless it has preferences already.
CREATE FUNCTION init_contact_preferences(
    number text, profile text DEFAULT NULL, spoken_language text DEFAULT 'en'
) RETURNS text LANGUAGE sql AS $$
    INSERT INTO contact_preferences AS known (wa_id, profile_id, language)
    VALUES (contact_address(number), profile, spoken_language)
    ON CONFLICT (wa_id) DO UPDATE
       SET profile_id = COALESCE(EXCLUDED.profile_id, known.profile_id),
           language = COALESCE(EXCLUDED.language, known.language),
           updated_at = now()
    RETURNING wa_id
$$;

-- Ends what waits for a recipient, on every channel, as the sender's own refusal would: with an
-- attempt that says REFUSED, a used-up budget (D7), and both of them counted. What is in flight is
-- not touched. Gives the number of messages.
CREATE FUNCTION outbound_refuse_queued(recipient text, code text, reason text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    refused bigint[] := ARRAY(
        SELECT id FROM outbound_message
         WHERE to_recipient = recipient AND status = 'QUEUED'
         ORDER BY id
           FOR UPDATE);
BEGIN
    UPDATE outbound_message AS m
       SET attempt_seq = GREATEST(m.attempt_seq, (
               SELECT max(a.attempt_no) FROM outbound_attempt AS a
                WHERE a.outbound_message_id = m.id)) + 1
     WHERE m.id = ANY (refused);
    INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, worker)
    SELECT id, attempt_seq, channel, 'outbound_refuse_queued'
      FROM outbound_message
     WHERE id = ANY (refused);
    -- Attempts are counted when they leave IN_FLIGHT.
    UPDATE outbound_attempt AS a
       SET outcome = 'REFUSED', error_code = code, error_message = reason,
           finished_at = now(), updated_at = now()
      FROM outbound_message AS m
     WHERE m.id = ANY (refused)
       AND a.outbound_message_id = m.id
       AND a.attempt_no = m.attempt_seq;
    UPDATE outbound_message
       SET status = 'FAILED', error_code = code, error_message = reason,
           attempt_count = GREATEST(attempt_count, max_attempts),
           next_retry_at = NULL, updated_at = now()
     WHERE id = ANY (refused);
    RETURN cardinality(refused);
END
$$;

-- 003: no more messages to this recipient; what is queued is refused. Gives the number of those. A
-- second call keeps the first one's time and reason, and refuses what was queued meanwhile.
CREATE FUNCTION mark_opted_out(number text, reason text DEFAULT 'user_request')
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    address text := contact_address(number);
BEGIN
    INSERT INTO contact_preferences AS known (wa_id, opted_out, opt_out_at, opt_out_reason)
    VALUES (address, true, now(), reason)
    ON CONFLICT (wa_id) DO UPDATE
       SET opted_out = true,
           opt_out_at = EXCLUDED.opt_out_at,
           opt_out_reason = EXCLUDED.opt_out_reason,
           updated_at = now()
     WHERE NOT known.opted_out;
    RETURN outbound_refuse_queued(address, 'opted_out', 'Contact opted out');
END
$$;

-- What waits for the end of quiet hours is judged again at once when the reason may be gone: other
-- preferences, or a message that was made urgent.
CREATE FUNCTION contact_preferences_let_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message
       SET scheduled_at = NULL
     WHERE to_recipient = OLD.wa_id
       AND status = 'QUEUED'
       AND error_code = 'quiet_hours'
       AND scheduled_at > now();
    RETURN NULL;
END
$$;

CREATE TRIGGER contact_preferences_changed
    AFTER UPDATE OF quiet_hours_start, quiet_hours_end, timezone ON contact_preferences
    FOR EACH ROW
    WHEN ((OLD.quiet_hours_start, OLD.quiet_hours_end, OLD.timezone)
          IS DISTINCT FROM (NEW.quiet_hours_start, NEW.quiet_hours_end, NEW.timezone))
    EXECUTE FUNCTION contact_preferences_let_go();

CREATE TRIGGER contact_preferences_gone
    AFTER DELETE ON contact_preferences
    FOR EACH ROW EXECUTE FUNCTION contact_preferences_let_go();

CREATE FUNCTION outbound_message_disturb() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message SET scheduled_at = NULL WHERE id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER outbound_message_disturbs
    AFTER UPDATE OF quiet_hours_override, priority ON outbound_message
    FOR EACH ROW
    WHEN (NEW.status = 'QUEUED' AND NEW.error_code = 'quiet_hours' AND NEW.scheduled_at > now()
          AND (NEW.quiet_hours_override OR NEW.priority = 0))
    EXECUTE FUNCTION outbound_message_disturb();

-- A throttle has a code of its own now; its end frees what waited for it just as a quota does.
CREATE OR REPLACE FUNCTION whatsapp_rate_limit_let_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message
       SET scheduled_at = NULL
     WHERE status = 'QUEUED'
       AND channel = 'WHATSAPP'
       AND org_id = NEW.org_id
       AND error_code IN ('quota_exhausted', 'throttled')
       AND scheduled_at > now();
    RETURN NULL;
END
$$;
