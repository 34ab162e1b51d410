-- A bad night: WhatsApp is down since twelve minutes, and much else is out of order.
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status, attempt_count,
                              attempt_seq, error_code, created_at, updated_at, due_since)
SELECT 'agency-a', 'WHATSAPP', '+336' || (10000000 + n), 'appointment_reminder', 'QUEUED', 1, 1,
       '131016', now() - interval '20 minutes', now() - interval '12 minutes', now()
  FROM generate_series(1, 1200) AS n;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, error_code,
                              started_at, finished_at, settled_at)
SELECT id, 1, 'WHATSAPP', 'SENT', NULL, now() - interval '12 minutes 30 seconds',
       now() - interval '12 minutes 30 seconds', now() - interval '12 minutes 30 seconds'
  FROM outbound_message ORDER BY id LIMIT 60;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, error_code,
                              started_at, finished_at, settled_at)
SELECT id, 2, 'WHATSAPP',
       CASE WHEN id % 4 = 0 THEN 'UNKNOWN' ELSE 'FAILED' END,
       CASE WHEN id % 4 = 0 THEN 'timeout' ELSE '131016' END,
       now() - (id % 12 * 60 + 70) * interval '1 second',
       now() - (id % 12 * 60 + 65) * interval '1 second',
       now() - (id % 12 * 60 + 65) * interval '1 second'
  FROM outbound_message WHERE status = 'QUEUED' ORDER BY id LIMIT 48;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, error_code,
                              started_at, finished_at, settled_at)
SELECT id, 3, 'WHATSAPP', CASE WHEN id = 1 THEN 'FAILED' WHEN id = 2 THEN 'REFUSED' ELSE 'DEFERRED' END,
       CASE WHEN id = 1 THEN '131021' WHEN id = 2 THEN 'opted_out' ELSE 'CIRCUIT_BREAKER_OPEN' END,
       now() - interval '30 minutes', now() - interval '30 minutes', now() - interval '30 minutes'
  FROM outbound_message ORDER BY id LIMIT 3;
-- Three were on their way when a sender was killed.
UPDATE outbound_message SET status = 'SENDING', updated_at = now() - interval '41 minutes 10 seconds'
 WHERE id IN (SELECT id FROM outbound_message ORDER BY id DESC LIMIT 3);
INSERT INTO outbound_message (org_id, channel, to_recipient, payload_json, status, attempt_count,
                              attempt_seq, created_at, updated_at, sent_at)
SELECT 'agency-b', 'SMS', '+336' || (20000000 + n), '{"text": "Hello"}', 'DELIVERED', 1, 1,
       now() - interval '3 hours', now() - interval '3 hours', now() - interval '3 hours'
  FROM generate_series(1, 40) AS n;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, started_at,
                              finished_at, settled_at)
SELECT id, 1, 'SMS', 'SENT', now() - interval '3 minutes 10 seconds',
       now() - interval '3 minutes 5 seconds', now() - interval '3 minutes 5 seconds'
  FROM outbound_message WHERE channel = 'SMS' ORDER BY id;
INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status, attempt_count,
                              attempt_seq, error_code, created_at, updated_at)
SELECT 'agency-a', 'WHATSAPP', '+336' || (30000000 + n), 'welcome', 'FAILED', 5, 5,
       CASE WHEN n <= 420 THEN '131026' WHEN n <= 500 THEN '132001' ELSE '131021' END,
       now() - interval '2 days', now() - interval '2 days'
  FROM generate_series(1, 520) AS n;
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, reset_at, throttle_until)
VALUES ('agency-a', 960, 1000, now() + interval '5 hours 30 minutes 50 seconds', NULL),
       ('agency-b', 720, 1000, now() + interval '2 hours 50 seconds', now() + interval '9 minutes 50 seconds'),
       ('agency-c', 999, 1000, now() - interval '1 minute', NULL);
INSERT INTO whatsapp_provider_config (org_id, phone_number_id, enabled, webhook_secret_encrypted,
                                      updated_at, updated_by)
VALUES ('agency-a', '10001', true, 'x', now(), NULL), ('agency-b', '10002', true, 'y', now(), NULL),
       ('agency-c', '10003', false, 'z', now() - interval '4 hours 10 seconds', 'ben');
UPDATE outbound_switch
   SET paused = true, until = now() + interval '1 hour', reason = 'Twilio changes its numbers',
       updated_by = 'ana', updated_at = now() - interval '25 minutes 10 seconds'
 WHERE channel = 'SMS';
INSERT INTO outbound_sender (worker, version, started_at, seen_at, claiming, in_flight, breakers)
VALUES ('node-1:7', '0.1.0', now() - interval '2 days', now(), true, 4,
        '{"WHATSAPP": "open", "SMS": "closed"}'),
       ('node-2:7', '0.1.0', now() - interval '2 days', now(), true, 0,
        '{"WHATSAPP": "half_open", "SMS": "closed"}'),
       ('node-3:7', '0.1.0', now() - interval '2 days', now() - interval '41 minutes 10 seconds', true, 3,
        '{"WHATSAPP": "closed", "SMS": "closed"}');
INSERT INTO provider_webhook_health (provider, last_accepted_at, last_rejected_at)
VALUES ('whatsapp', now() - interval '14 minutes 10 seconds', now() - interval '2 minutes 10 seconds'),
       ('twilio', now() - interval '3 minutes 10 seconds', NULL);
INSERT INTO provider_webhook (provider, body, received_at, tries)
VALUES ('whatsapp', '{}', now() - interval '20 minutes', 20), ('whatsapp', '{}', now(), 1);
INSERT INTO provider_notice (provider, kind, severity, account, subject, event, description, told_at,
                             fingerprint)
VALUES ('whatsapp', 'phone_number_quality_update', 'critical', '200', '+33612345678', 'FLAGGED',
        'TIER_1K', now() - interval '6 hours 10 seconds', 'a'),
       ('whatsapp', 'account_alerts', 'warning', '200', NULL, 'X', NULL, now(), 'b');
INSERT INTO outbound_operation (command, operator, ticket, state, planned, changed, started_at)
VALUES ('retry', 'ana', 'INC-7', 'INTERRUPTED', 500, 200, now() - interval '2 hours 10 seconds'),
       ('dlq archive', 'ben', NULL, 'RUNNING', 90, 40, now() - interval '3 hours 10 seconds'),
       ('retry', 'ben', NULL, 'DONE', 5, 5, now() - interval '1 hour');
