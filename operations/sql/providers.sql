-- Numbers and accounts of organisations at Meta, and what is used of them.

-- name: read_accounts
-- Organisations with a number of their own, the first so many; a token is read where there is a key,
-- and is NULL where the key does not fit it.
SELECT org_id, phone_number_id, business_account_id, enabled,
       access_token_encrypted IS NOT NULL AND %(key)s <> '' AS has_token,
       CASE WHEN %(key)s <> '' THEN outbound_decrypt(access_token_encrypted, %(key)s) END AS token
  FROM whatsapp_provider_config
 WHERE %(org_ids)s::text[] IS NULL OR org_id = ANY (%(org_ids)s)
 ORDER BY org_id
 LIMIT %(limit)s

-- name: count_accounts
SELECT count(*) FROM whatsapp_provider_config

-- name: read_used_templates
-- Templates of messages of the last days and of all that are not sent yet, in the language that the
-- sender asks Meta for; only organisations in the list, or all. Two parts, each by an index on status
-- and time: with OR, every message would be read.
WITH used AS (
    SELECT org_id, template_code, payload_json, status, created_at
      FROM outbound_message
     WHERE channel = 'WHATSAPP' AND template_code IS NOT NULL AND status IN ('QUEUED', 'SENDING')
    UNION ALL
    SELECT org_id, template_code, payload_json, status, created_at
      FROM outbound_message
     WHERE channel = 'WHATSAPP' AND template_code IS NOT NULL
       AND status IN ('SENT', 'DELIVERED', 'FAILED')
       AND created_at > now() - %(days)s * interval '1 day'
)
SELECT org_id, template_code AS name,
       CASE WHEN payload_json ? 'language'
            THEN COALESCE(payload_json ->> 'language', 'None') ELSE %(language)s END AS language,
       count(*) FILTER (WHERE status IN ('QUEUED', 'SENDING')) AS queued,
       count(*) FILTER (WHERE created_at > now() - %(days)s * interval '1 day') AS recent
  FROM used
 WHERE %(org_ids)s::text[] IS NULL OR org_id = ANY (%(org_ids)s)
 GROUP BY 1, 2, 3
 ORDER BY 1, 2, 3

-- name: read_told_templates
-- What webhooks last told of templates, of accounts that may be asked for.
SELECT business_account_id, name, language, status, reason, quality, status_at
  FROM whatsapp_template
