-- A small outbox in which every question of the runbooks has an answer: at least one row for each
-- SELECT, and a row to change for each statement that changes something.

-- name: world
-- Names of organisations are the runbooks' own placeholders.
INSERT INTO dossier (id, org_id, lead_name, lead_email, lead_phone)
VALUES (1, 'ORG-ID-HERE', 'Ada Martin', 'ada@example.com', '+33612345678');

INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, throttle_until)
VALUES ('ORG-ID-HERE', 950, 1000, NULL),
       ('ORG_ID', 500, 1000, NULL),
       ('org-abc-123', 1000, 1000, now() + interval '1 hour'),
       ('X', 1, 1000, NULL);

INSERT INTO whatsapp_provider_config (
    org_id, phone_number_id, enabled, webhook_secret_encrypted, updated_by)
VALUES ('ORG-ID-HERE', '1000001', true, 'an older secret', 'setup'),
       ('ORG_ID', '1000002', true, 'another secret', 'setup');

INSERT INTO message (org_id, channel, direction, from_address, body)
VALUES ('ORG-ID-HERE', 'WHATSAPP', 'INBOUND', '+33612345678', 'Yes, thank you');

-- age and idle in the words of an interval: how long ago it was made and last touched.
INSERT INTO outbound_message (
    id, org_id, dossier_id, channel, to_recipient, template_code, subject, status, attempt_count,
    error_code, error_message, idempotency_key, created_by, updated_by, created_at, updated_at)
SELECT id, 'ORG-ID-HERE', 1, channel, '+3361234' || (5000 + id), template, 'Your appointment',
       status, attempts, code, 'as the provider put it', 'key-' || id, 'world', by,
       now() - age::interval, now() - idle::interval
  FROM (VALUES
    -- id, channel, template, status, attempts, error code, updated by, age, idle
    (1, 'WHATSAPP', 'appointment_reminder', 'FAILED', 1, '1', NULL, '10 minutes', '5 minutes'),
    (2, 'WHATSAPP', 'urgent_notification', 'FAILED', 1, '130', NULL, '20 minutes', '15 minutes'),
    (3, 'WHATSAPP', 'newsletter', 'FAILED', 5, '132016', NULL, '2 hours', '2 hours'),
    (4, 'WHATSAPP', 'newsletter', 'FAILED', 2, '132016', NULL, '3 hours', '3 hours'),
    (5, 'WHATSAPP', 'newsletter', 'FAILED', 5, '131016', NULL, '40 days', '35 days'),
    (6, 'WHATSAPP', 'newsletter', 'FAILED', 5, '0', NULL, '3 days', '2 days'),
    (7, 'WHATSAPP', 'newsletter', 'FAILED', 2, '131016', NULL, '3 days', '2 days'),
    (8, 'SMS', 'newsletter', 'FAILED', 5, 'TEMPORARY_ERROR', NULL, '2 hours', '30 minutes'),
    (9, 'WHATSAPP', 'newsletter', 'SENDING', 1, NULL, NULL, '1 hour', '45 minutes'),
    (10, 'WHATSAPP', 'newsletter', 'QUEUED', 3, '131016', NULL, '5 hours', '4 hours'),
    (11, 'WHATSAPP', 'urgent_alert', 'QUEUED', 0, NULL, NULL, '1 minute', '1 minute'),
    (12, 'WHATSAPP', 'newsletter', 'SENT', 1, NULL, NULL, '30 minutes', '20 minutes'),
    (13, 'EMAIL', 'newsletter', 'DELIVERED', 2, NULL, 'ops-dlq-retry-20240115', '2 days',
     '20 minutes')
  ) AS m (id, channel, template, status, attempts, code, by, age, idle);

INSERT INTO consentement (org_id, recipient, channel, status)
SELECT DISTINCT o.org_id, m.to_recipient, 'WHATSAPP', 'GRANTED'
  FROM outbound_message AS m CROSS JOIN (VALUES ('ORG-ID-HERE'), ('ORG_ID')) AS o (org_id);

INSERT INTO outbound_attempt (
    outbound_message_id, attempt_no, outcome, error_code, next_retry_at, created_at)
VALUES (10, 1, 'FAILED', '131016', NULL, now() - interval '5 hours'),
       (10, 2, 'FAILED', '131016', NULL, now() - interval '4 hours 30 minutes'),
       (10, 3, 'FAILED', '131016', now() - interval '3 hours', now() - interval '4 hours'),
       (9, 1, 'IN_FLIGHT', NULL, NULL, now() - interval '45 minutes');
