-- Secrets of organisations, as runbook 001 keeps them in whatsapp_provider_config.

-- name: read_webhook_secrets
-- Webhook secrets that hold now, the current ones and those replaced in the last seven days, each
-- with the organisations that have it and the ids by which their webhooks can be known.
WITH encrypted AS (
    SELECT org_id, phone_number_id, business_account_id, webhook_secret_encrypted AS secret
      FROM whatsapp_provider_config
     WHERE enabled AND webhook_secret_encrypted IS NOT NULL
    UNION ALL
    SELECT org_id, phone_number_id, business_account_id, previous_webhook_secret_encrypted
      FROM whatsapp_provider_config
     WHERE enabled AND previous_webhook_secret_encrypted IS NOT NULL
       AND previous_webhook_secret_until > now()
), decrypted AS (
    SELECT org_id, phone_number_id, business_account_id, outbound_decrypt(secret, %(key)s) AS secret
      FROM encrypted
)
SELECT secret,
       array_agg(DISTINCT org_id) AS owners,
       array_remove(array_agg(phone_number_id) || array_agg(business_account_id), NULL) AS marks,
       count(*) FILTER (WHERE secret IS NULL) AS unreadable
  FROM decrypted
 GROUP BY secret

-- name: read_access_token
-- An organisation's own access token; NULL where the key does not fit it, no row if it has none.
SELECT outbound_decrypt(access_token_encrypted, %(key)s)
  FROM whatsapp_provider_config
 WHERE org_id = %(org_id)s AND access_token_encrypted IS NOT NULL
