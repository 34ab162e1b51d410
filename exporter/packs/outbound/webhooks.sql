-- What providers tell, and whether it is heard (D25).

-- name: webhooks
-- Stored webhooks that nobody has applied: those that wait, and those given up after twenty
-- tries (MAX_TRIES in sender/inbox.py).
SELECT provider, CASE WHEN tries < 20 THEN 'waiting' ELSE 'given_up' END AS state,
       count(*) AS webhooks,
       GREATEST(EXTRACT(EPOCH FROM now() - min(received_at)), 0) AS seconds
  FROM provider_webhook
 WHERE processed_at IS NULL
 GROUP BY 1, 2

-- name: webhook_health
-- When a provider's webhook was last accepted, and last refused for its signature.
SELECT provider, EXTRACT(EPOCH FROM last_accepted_at) AS accepted,
       EXTRACT(EPOCH FROM last_rejected_at) AS rejected
  FROM provider_webhook_health

-- name: notices
-- Notices of the last day about accounts, numbers and templates.
SELECT provider, kind, severity, count(*) AS notices
  FROM provider_notice
 WHERE told_at > now() - interval '24 hours'
 GROUP BY 1, 2, 3

-- name: templates
-- Templates by the state and the quality that Meta last told.
SELECT COALESCE(lower(status), 'unknown') AS status, COALESCE(lower(quality), 'unknown') AS quality,
       count(*) AS templates
  FROM whatsapp_template
 GROUP BY 1, 2
