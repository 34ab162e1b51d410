-- Quota, throttling and service windows of WhatsApp (000, 001, 002; D39).

-- name: quotas
-- The configured quota per organisation, and for how long it is told to wait. A window that has
-- ended holds nothing against it, even while no sender is up to start the next.
SELECT org_id, used, quota_limit, GREATEST(quota_limit - used, 0) AS remaining, throttled
  FROM (SELECT org_id, quota_limit,
               COALESCE(GREATEST(EXTRACT(EPOCH FROM throttle_until - now()), 0), 0) AS throttled,
               CASE WHEN reset_at > now() THEN messages_sent_count ELSE 0 END AS used
          FROM whatsapp_rate_limit) AS quota

-- name: unique_recipients
-- What Meta's messaging limit counts: who got a message outside a service window within 24 hours.
-- Sent counts as got until the provider says otherwise. The window's row knows the last reply
-- only; where that came after the message, the replies before it are asked.
SELECT org_id, COALESCE(recipients, 0) AS recipients
  FROM whatsapp_rate_limit
  FULL JOIN (
       SELECT org_id, count(*) AS recipients
         FROM (SELECT DISTINCT m.org_id, hashtextextended(m.to_recipient, 0)
                 FROM outbound_message AS m
                 LEFT JOIN whatsapp_session_window AS w
                   ON w.org_id = m.org_id AND w.phone_number = m.to_recipient
                WHERE m.channel = 'WHATSAPP' AND m.status IN ('SENT', 'DELIVERED')
                  AND m.sent_at > now() - interval '24 hours'
                  AND CASE
                        WHEN w.last_inbound_at > m.sent_at THEN NOT EXISTS (
                            SELECT FROM message AS i
                             WHERE i.channel = 'WHATSAPP' AND i.direction = 'INBOUND'
                               AND i.org_id = m.org_id AND i.from_address = m.to_recipient
                               AND i.created_at <= m.sent_at
                               AND i.created_at > m.sent_at - interval '24 hours')
                        ELSE w.window_expires_at IS NULL OR w.window_expires_at <= m.sent_at
                      END) AS reached
        GROUP BY org_id) AS counted USING (org_id)

-- name: throttled_organisations
-- Organisations that are told to wait (001, 002).
SELECT count(*) AS organisations FROM whatsapp_rate_limit WHERE throttle_until > now()

-- name: session_windows
-- Open 24-hour windows, and the seconds until the next one closes; NULL when none is open (000).
SELECT 'whatsapp' AS channel, count(*) AS windows,
       EXTRACT(EPOCH FROM min(window_expires_at) - now()) AS seconds
  FROM whatsapp_session_window
 WHERE window_expires_at > now()
