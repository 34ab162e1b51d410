-- Quota, throttling and service windows of WhatsApp (000, 001, 002; D39).

-- name: quotas
-- The configured quota per organisation. A window that has ended holds nothing against it, even
-- while no sender is up to start the next.
SELECT org_id, used, quota_limit, GREATEST(quota_limit - used, 0) AS remaining
  FROM (SELECT org_id, quota_limit,
               CASE WHEN reset_at > now() THEN messages_sent_count ELSE 0 END AS used
          FROM whatsapp_rate_limit) AS quota

-- name: throttled_organisations
-- Organisations that are told to wait (001, 002).
SELECT count(*) AS organisations FROM whatsapp_rate_limit WHERE throttle_until > now()

-- name: session_windows
-- Open 24-hour windows, and the seconds until the next one closes; NULL when none is open (000).
SELECT 'whatsapp' AS channel, count(*) AS windows,
       EXTRACT(EPOCH FROM min(window_expires_at) - now()) AS seconds
  FROM whatsapp_session_window
 WHERE window_expires_at > now()
