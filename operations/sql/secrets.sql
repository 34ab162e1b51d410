-- Webhook secrets of organisations, as 001 keeps and rotates them in whatsapp_provider_config. None
-- of these statements gives a secret's text.

-- name: read_secrets
-- A rotation keeps the secret before it for seven days (by trigger), and so tells when it was.
SELECT c.id, c.org_id, c.enabled, c.phone_number_id, c.updated_at, c.updated_by,
       c.webhook_secret_encrypted IS NOT NULL AS has_secret,
       CASE WHEN %(key)s <> '' AND c.webhook_secret_encrypted IS NOT NULL
            THEN outbound_decrypt(c.webhook_secret_encrypted, %(key)s) IS NOT NULL END AS readable,
       c.previous_webhook_secret_until - interval '7 days' AS rotated_at,
       CASE WHEN c.previous_webhook_secret_until - interval '7 days' = c.updated_at
            THEN c.updated_by END AS rotated_by,
       CASE WHEN c.previous_webhook_secret_until > now()
            THEN c.previous_webhook_secret_until END AS previous_until
  FROM whatsapp_provider_config AS c
 WHERE %(org_id)s::text IS NULL OR c.org_id = %(org_id)s
 ORDER BY c.org_id

-- name: read_latest_webhooks
-- When each organisation's own secret last signed a webhook, among the latest: older ones are
-- forgotten, and nothing orders them by their time.
SELECT signer AS org_id, max(w.received_at) AS accepted_at
  FROM (SELECT p.signed_by, p.received_at FROM provider_webhook AS p
         ORDER BY p.id DESC LIMIT %(limit)s) AS w
 CROSS JOIN LATERAL unnest(w.signed_by) AS signer
 GROUP BY signer

-- name: read_health
SELECT last_accepted_at, last_rejected_at
  FROM provider_webhook_health WHERE provider = 'whatsapp'

-- name: can_encrypt
SELECT to_regprocedure('pgp_sym_encrypt(text, text)') IS NOT NULL

-- name: is_current
-- Whether a text is the secret in force.
SELECT outbound_decrypt(webhook_secret_encrypted, %(key)s) IS NOT DISTINCT FROM %(secret)s::text
  FROM whatsapp_provider_config WHERE id = %(id)s

-- name: lock_config
SELECT webhook_secret_encrypted FROM whatsapp_provider_config WHERE id = %(id)s FOR UPDATE

-- name: rotate_secret
-- 001, procedure 1 of the webhook failures.
UPDATE whatsapp_provider_config
   SET webhook_secret_encrypted = pgp_sym_encrypt(%(secret)s, %(key)s),
       updated_at = now(),
       updated_by = %(stamp)s
 WHERE id = %(id)s

-- name: name_organisations
SELECT org_id FROM whatsapp_provider_config ORDER BY org_id LIMIT 10000
