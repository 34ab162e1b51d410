-- Messages on both sides of every rule of stuck (D23), and every planned wait; the template says what
-- each of them is.
CREATE FUNCTION pg_temp.add(template text, channel text, status text, attempts integer, created interval,
                            updated interval, retry interval, scheduled interval, org text)
RETURNS void LANGUAGE sql AS $$
    WITH added AS (
        INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,
                                      attempt_count, attempt_seq, created_at, updated_at,
                                      next_retry_at, scheduled_at)
        VALUES (org, channel, '+33' || (700000000 + (random() * 99999999)::int), template, status,
                attempts, attempts, now() + created, now() + updated, now() + retry, now() + scheduled)
        RETURNING id)
    INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome, next_retry_at,
                                  started_at, finished_at)
    SELECT id, attempts, channel, 'FAILED', now() + retry, now() - interval '2 days',
           now() - interval '2 days'
      FROM added WHERE attempts > 0
$$;
-- SMS is paused that night, so that the edges are on e-mail and WhatsApp.
SELECT pg_temp.add('stuck_sending', 'EMAIL', 'SENDING', 1, '-1 hour', '-6 minutes', NULL, NULL, 'edge'),
       pg_temp.add('in_flight', 'EMAIL', 'SENDING', 1, '-1 hour', '-4 minutes', NULL, NULL, 'edge'),
       pg_temp.add('stuck_overdue', 'EMAIL', 'QUEUED', 0, '-6 minutes', '-6 minutes', NULL, NULL, 'edge'),
       pg_temp.add('due', 'EMAIL', 'QUEUED', 0, '-4 minutes', '-4 minutes', NULL, NULL, 'edge'),
       pg_temp.add('stuck_since_hours', 'WHATSAPP', 'QUEUED', 1, '-3 hours', '-1 hour', '-1 minute', NULL, 'edge'),
       pg_temp.add('stuck_without_progress', 'WHATSAPP', 'QUEUED', 3, '-150 minutes', '-130 minutes', '-1 minute', '-30 minutes', 'edge'),
       pg_temp.add('planned', 'WHATSAPP', 'QUEUED', 2, '-1 hour', '-1 hour', '-1 minute', '-1 minute', 'edge'),
       pg_temp.add('in_back_off', 'WHATSAPP', 'QUEUED', 4, '-9 hours', '-5 hours', '1 hour', NULL, 'edge'),
       pg_temp.add('scheduled', 'EMAIL', 'QUEUED', 0, '-9 hours', '-9 hours', NULL, '1 hour', 'edge'),
       pg_temp.add('paused', 'SMS', 'QUEUED', 4, '-9 hours', '-9 hours', NULL, NULL, 'edge'),
       pg_temp.add('throttled', 'WHATSAPP', 'QUEUED', 4, '-9 hours', '-9 hours', NULL, NULL, 'agency-b'),
       pg_temp.add('disabled', 'WHATSAPP', 'QUEUED', 4, '-9 hours', '-9 hours', NULL, NULL, 'agency-c'),
       pg_temp.add('final', 'EMAIL', 'SENT', 1, '-9 hours', '-9 hours', NULL, NULL, 'edge');
