-- What can hold a message that nothing is wrong with.

-- name: paused_until_somebody_ends_it
UPDATE outbound_switch SET paused = true, reason = 'Meta is down', updated_by = 'ana'
 WHERE channel = 'ALL'

-- name: paused_for_an_hour
UPDATE outbound_switch SET paused = true, until = now() + interval '1 h' WHERE channel = 'WHATSAPP'

-- name: switched_off
INSERT INTO whatsapp_provider_config (org_id, phone_number_id, enabled) VALUES ('org', '1', false)

-- name: no_sender_yet
DELETE FROM outbound_sender

-- name: silent_sender
UPDATE outbound_sender SET seen_at = now() - interval '21 s'

-- name: idle_sender
UPDATE outbound_sender SET claiming = false

-- name: sender_of_other_channels
UPDATE outbound_sender SET breakers = '{"SMS": "closed"}'

-- name: open_breaker
UPDATE outbound_sender SET breakers = '{"WHATSAPP": "open"}'

-- name: throttled
INSERT INTO whatsapp_rate_limit (org_id, throttle_until) VALUES ('org', now() + interval '9 min')

-- name: quota_used_up
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit)
VALUES ('org', 1000, 1000)

-- name: throttled_no_quota_left_at_night
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, throttle_until)
VALUES ('org', 9, 9, now() + interval '9 min');
INSERT INTO contact_preferences (wa_id, quiet_hours_start, quiet_hours_end, timezone)
SELECT to_recipient, (now() AT TIME ZONE 'UTC' - interval '1 h')::time,
       (now() AT TIME ZONE 'UTC' + interval '1 h')::time, 'UTC'
  FROM outbound_message

-- name: opted_out
INSERT INTO contact_preferences (wa_id, opted_out) SELECT to_recipient, true FROM outbound_message

-- name: no_consent
DELETE FROM consentement
