-- What is known before the first message: the organisations' numbers and quotas, their clients'
-- dossiers, consents and session windows.

-- name: add_provider_config
INSERT INTO whatsapp_provider_config (org_id, phone_number_id, business_account_id, updated_by)
VALUES (%(org_id)s, %(phone_number_id)s, '102290129340398', 'demo')

-- name: add_quota
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, updated_by)
VALUES (%(org_id)s, %(quota_used)s, %(quota_limit)s, 'demo')

-- name: add_dossier
INSERT INTO dossier (id, org_id, lead_name, lead_email, lead_phone)
VALUES (%(id)s, %(org_id)s, %(name)s, %(email)s, %(phone)s)

-- name: add_consent
INSERT INTO consentement (org_id, recipient, channel, status, source)
VALUES (%(org_id)s, %(recipient)s, %(channel)s, %(status)s, 'demo')

-- name: add_window
-- An open window was opened some hours ago; an expired one two days ago.
INSERT INTO whatsapp_session_window (org_id, phone_number, last_inbound_at, window_expires_at)
VALUES (%(org_id)s, %(phone)s, now() - %(hours_ago)s * interval '1 hour',
        now() - %(hours_ago)s * interval '1 hour' + interval '24 hours')
