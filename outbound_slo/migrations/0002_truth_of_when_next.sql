-- One truth for "when next", whoever edits what the runbooks edit:
--   000, 002  outbound_attempt.next_retry_at   (cleared: at once)
--   002       outbound_message.updated_at      (in the future: deferred until then)
--   000, 001  outbound_message.status          (reset to QUEUED: at once)
-- Workers read due_at alone.

CREATE FUNCTION outbound_message_follow_due() RETURNS trigger LANGUAGE plpgsql AS $$
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
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER outbound_message_due_insert
    BEFORE INSERT ON outbound_message
    FOR EACH ROW EXECUTE FUNCTION outbound_message_follow_due();

CREATE TRIGGER outbound_message_due_update
    BEFORE UPDATE OF status, updated_at, scheduled_at, next_retry_at ON outbound_message
    FOR EACH ROW WHEN (NEW.status = 'QUEUED')
    EXECUTE FUNCTION outbound_message_follow_due();

CREATE FUNCTION outbound_attempt_lead_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message AS m
       SET next_retry_at = NEW.next_retry_at
     WHERE m.id = NEW.outbound_message_id
       AND m.status = 'QUEUED'
       AND m.next_retry_at IS DISTINCT FROM NEW.next_retry_at
       AND NOT EXISTS (SELECT FROM outbound_attempt AS later
                        WHERE later.outbound_message_id = NEW.outbound_message_id
                          AND later.attempt_no > NEW.attempt_no);
    RETURN NULL;
END
$$;

CREATE TRIGGER outbound_attempt_retry_insert
    AFTER INSERT ON outbound_attempt
    FOR EACH ROW WHEN (NEW.next_retry_at IS NOT NULL)
    EXECUTE FUNCTION outbound_attempt_lead_message();

CREATE TRIGGER outbound_attempt_retry_update
    AFTER UPDATE OF next_retry_at ON outbound_attempt
    FOR EACH ROW WHEN (NEW.next_retry_at IS DISTINCT FROM OLD.next_retry_at)
    EXECUTE FUNCTION outbound_attempt_lead_message();

-- 001 and 002 raise a quota or reset a window in SQL: what waited for that goes at once.
CREATE FUNCTION whatsapp_rate_limit_let_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbound_message
       SET scheduled_at = NULL
     WHERE status = 'QUEUED'
       AND channel = 'WHATSAPP'
       AND org_id = NEW.org_id
       AND error_code = 'quota_exhausted'
       AND scheduled_at > now();
    RETURN NULL;
END
$$;

CREATE TRIGGER whatsapp_rate_limit_freed
    AFTER UPDATE OF messages_sent_count, quota_limit, throttle_until ON whatsapp_rate_limit
    FOR EACH ROW
    WHEN ((NEW.quota_limit > OLD.quota_limit
           OR NEW.messages_sent_count < OLD.messages_sent_count
           OR (OLD.throttle_until IS NOT NULL
               AND OLD.throttle_until IS DISTINCT FROM NEW.throttle_until))
          AND NEW.messages_sent_count < NEW.quota_limit
          AND COALESCE(NEW.throttle_until <= now(), true))
    EXECUTE FUNCTION whatsapp_rate_limit_let_go();

-- Runbook 001 overwrites the secret in SQL and promises that the old one works for seven days.
CREATE FUNCTION whatsapp_provider_config_keep_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.previous_webhook_secret_encrypted := OLD.webhook_secret_encrypted;
    NEW.previous_webhook_secret_until := now() + interval '7 days';
    RETURN NEW;
END
$$;

CREATE TRIGGER whatsapp_provider_config_secret_kept
    BEFORE UPDATE OF webhook_secret_encrypted ON whatsapp_provider_config
    FOR EACH ROW
    WHEN (OLD.webhook_secret_encrypted IS NOT NULL
          AND NEW.webhook_secret_encrypted IS DISTINCT FROM OLD.webhook_secret_encrypted)
    EXECUTE FUNCTION whatsapp_provider_config_keep_secret();
