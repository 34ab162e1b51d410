-- Statements that store webhooks and apply what they say. Messages are locked in the order of their
-- ids and before their attempts, here and in the worker's statements: so nobody waits in a circle.

-- name: store_webhooks
-- Keep bodies of one signer's webhooks before they are answered: the provider never sends them again.
INSERT INTO provider_webhook (provider, body, signed_by)
SELECT w.provider, w.body::json, %(signed_by)s::text[]
  FROM unnest(%(providers)b::text[], %(bodies)b::text[]) WITH ORDINALITY AS w (provider, body, place)
 ORDER BY w.place

-- name: note_accepted
-- Providers whose webhooks were just accepted, and whether that ended a silence: messages accepted
-- longer ago than that have had no receipt.
INSERT INTO provider_webhook_health AS h (provider, last_accepted_at)
SELECT provider, now() FROM unnest(%(providers)s::text[]) AS p (provider) ORDER BY provider
ON CONFLICT (provider) DO UPDATE
   SET last_accepted_at = EXCLUDED.last_accepted_at,
       resumed_at = CASE
           WHEN h.last_accepted_at >= now() - %(silence_s)s * interval '1 second'
           THEN h.resumed_at
           WHEN outbound_accepted_between(
                    outbound_channel_of(h.provider), h.last_accepted_at,
                    now() - %(silence_s)s * interval '1 second')
           THEN now() ELSE h.resumed_at END

-- name: note_rejected
-- A provider's webhook that was just refused for its signature.
INSERT INTO provider_webhook_health AS h (provider, last_rejected_at) VALUES (%(provider)s, now())
ON CONFLICT (provider) DO UPDATE SET last_rejected_at = EXCLUDED.last_rejected_at

-- name: plan_by_index
-- The planner takes any list of receipts for a hundred rows, and reads whole tables for one. Every
-- join below goes from a list to an index; two lists are never joined to each other. Rows are sorted:
-- the pool's connections avoid that, and here it would be the whole table in the order of its key.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_sort = on

-- name: take_webhooks
-- Stored webhooks that nobody has applied yet, oldest first, as many as are small enough together;
-- held until the transaction ends.
WITH open AS (
    SELECT id, pg_column_size(body) AS size
      FROM provider_webhook
     WHERE processed_at IS NULL AND tries < %(max_tries)s
     ORDER BY id
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
), fitting AS (
    SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM open) AS o
     WHERE before < %(bytes)s
)
SELECT w.id, w.provider, w.body::text AS body, w.signed_by, w.received_at
  FROM fitting JOIN provider_webhook AS w ON w.id = fitting.id
 ORDER BY w.id

-- name: finish_webhooks
-- Mark webhooks as applied.
UPDATE provider_webhook SET processed_at = now(), error = NULL WHERE id = ANY (%(ids)s)

-- name: fail_webhook
-- Note that applying a webhook failed; it is tried again until max_tries.
UPDATE provider_webhook SET tries = tries + 1, error = %(error)s WHERE id = %(id)s

-- name: purge_webhooks
-- Applied webhooks are kept for a while, for people who want to know what a provider told.
DELETE FROM provider_webhook
 WHERE id IN (SELECT id FROM provider_webhook
               WHERE processed_at < now() - %(keep_s)s * interval '1 second'
               ORDER BY id LIMIT %(limit)s)

-- name: purge_events
-- Ids of events that a provider repeats no more.
DELETE FROM provider_event_seen WHERE seen_at < now() - interval '48 hours'

-- name: apply_receipts
-- Settle messages by their receipts (the rule is `advance` in receipts.py), each naming an attempt by
-- the provider's id or by our own reference, which others who share the account could copy: it only
-- names an attempt of this channel that has no provider's id yet. A tenant's secret speaks for that
-- tenant's messages alone. A receipt counts if no attempt after the one it names went out.
WITH receipt AS MATERIALIZED (
    SELECT *
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
           place integer, channel text, owners text[], provider_message_id text, message_id bigint,
           attempt_no integer, sent boolean, delivered_s float8, read_s float8, failed boolean,
           error_code text, error_message text, close_budget boolean)
), named AS MATERIALIZED (
    SELECT r.*, a.outbound_message_id AS id, a.attempt_no AS no, a.traceparent, a.trace_kept,
           a.started_at,
           LEAST(r.delivered_s, r.read_s) AS arrived_s
      FROM receipt AS r
     CROSS JOIN LATERAL (
           SELECT outbound_message_id, attempt_no, traceparent, trace_kept, started_at
             FROM outbound_attempt
            WHERE provider_message_id = r.provider_message_id AND channel = r.channel
           UNION ALL
           SELECT outbound_message_id, attempt_no, traceparent, trace_kept, started_at
             FROM outbound_attempt
            WHERE outbound_message_id = r.message_id AND attempt_no = r.attempt_no
              AND channel = r.channel AND provider_message_id IS NULL
            LIMIT 1) AS a
), known AS MATERIALIZED (
    SELECT n.*, m.org_id, m.status AS old_status, m.error_code AS old_code, m.delivered_at,
           m.read_at, m.attempt_seq
      FROM named AS n JOIN outbound_message AS m ON m.id = n.id
     ORDER BY m.id
       FOR UPDATE OF m
), judged AS MATERIALIZED (
    SELECT j.*,
           j.no >= j.attempt_seq
           OR j.attempt_seq - j.no = (
               SELECT count(*) FROM outbound_attempt AS later
                WHERE later.outbound_message_id = j.id AND later.attempt_no > j.no
                  AND later.outcome IN ('REFUSED', 'DEFERRED')) AS counts
      FROM known AS j
     WHERE j.owners IS NULL OR j.org_id = ANY (j.owners)
), latest AS (
    SELECT DISTINCT ON (id) * FROM judged WHERE counts ORDER BY id, no DESC, place
), attempt AS (
    UPDATE outbound_attempt AS a
       SET outcome = 'SENT',
           provider_message_id = COALESCE(a.provider_message_id, j.provider_message_id),
           finished_at = COALESCE(a.finished_at, now()),
           next_retry_at = NULL,
           updated_at = now()
      FROM judged AS j
     WHERE a.outbound_message_id = j.id AND a.attempt_no = j.no
       AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN')
), moved AS (
    UPDATE outbound_message AS m
       SET status = CASE
               WHEN n.arrived_s IS NOT NULL THEN 'DELIVERED'
               WHEN n.failed THEN 'FAILED'
               ELSE 'SENT' END,
           provider_message_id = COALESCE(m.provider_message_id, n.provider_message_id),
           -- Our own clock: it is the same whichever receipt came first.
           sent_at = COALESCE(m.sent_at, n.started_at),
           delivered_at = LEAST(m.delivered_at, to_timestamp(n.arrived_s)),
           read_at = LEAST(m.read_at, to_timestamp(n.read_s)),
           error_code = CASE WHEN n.arrived_s IS NULL THEN n.error_code END,
           error_message = CASE WHEN n.arrived_s IS NULL THEN n.error_message END,
           attempt_count = CASE
               WHEN n.arrived_s IS NOT NULL THEN LEAST(m.attempt_count, n.no)
               WHEN n.failed AND n.close_budget THEN GREATEST(m.attempt_count, m.max_attempts)
               ELSE m.attempt_count END,
           updated_at = now()
      FROM latest AS n
     WHERE m.id = n.id
       AND CASE
               WHEN n.arrived_s IS NOT NULL
               THEN m.status <> 'DELIVERED'
                    OR to_timestamp(n.arrived_s) < m.delivered_at
                    OR to_timestamp(n.read_s) < COALESCE(m.read_at, 'infinity')
               WHEN m.status IN ('QUEUED', 'SENDING')
                    OR m.status = 'FAILED' AND m.error_code = 'outcome_unknown'
               THEN n.failed OR n.sent
               ELSE n.failed AND m.status = 'SENT' END
)
SELECT place, id, traceparent, trace_kept, counts, old_status, old_code,
       EXTRACT(EPOCH FROM started_at)::float8 AS started_s,
       EXTRACT(EPOCH FROM delivered_at)::float8 AS delivered_s,
       EXTRACT(EPOCH FROM read_at)::float8 AS read_s
  FROM judged

-- name: keep_stories
-- Keep the traces of attempts that the sampler left out, and give what can be told of them. One that
-- is not settled yet is told by its own sender, which learns of it then.
UPDATE outbound_attempt AS a
   SET trace_kept = true
  FROM outbound_message AS m
 WHERE a.outbound_message_id = ANY (%(ids)s)
   AND m.id = a.outbound_message_id
   AND a.traceparent = ANY (%(traces)s)
   AND a.trace_kept IS NOT TRUE
RETURNING a.outbound_message_id AS message_id, a.attempt_no, a.traceparent, a.trace_stages,
          a.settled_at, a.channel, a.http_status, a.provider_message_id, m.org_id, m.to_recipient,
          m.template_code, m.session_id, m.run_id, m.hypothesis_id,
          m.traceparent AS request_traceparent,
          (SELECT p.traceparent FROM outbound_attempt AS p
            WHERE p.outbound_message_id = a.outbound_message_id AND p.attempt_no < a.attempt_no
            ORDER BY p.attempt_no DESC LIMIT 1) AS previous_traceparent

-- name: read_by_time
-- The one index on the time of attempts is read by a bitmap.
SET LOCAL enable_bitmapscan = on

-- name: lost_stories
-- Keep the traces of attempts that nobody settled within the recovery window, and give what is known.
-- One whose traceparent was not drawn at its claim comes from an older sender, which told it.
UPDATE outbound_attempt AS a
   SET trace_kept = true
  FROM outbound_message AS m
 WHERE a.started_at > now() - (%(window_s)s + %(back_s)s) * interval '1 second'
   AND a.started_at <= now() - %(window_s)s * interval '1 second'
   AND m.id = a.outbound_message_id
   AND a.settled_at IS NULL AND a.trace_kept IS NULL
   AND substr(a.traceparent, 4, 16) = substr(a.traceparent, 37, 16)
RETURNING a.outbound_message_id AS message_id, a.attempt_no, a.traceparent, a.started_at,
          a.channel, m.status, m.org_id, m.to_recipient, m.template_code,
          m.session_id, m.run_id, m.hypothesis_id, m.traceparent AS request_traceparent,
          (SELECT p.traceparent FROM outbound_attempt AS p
            WHERE p.outbound_message_id = a.outbound_message_id AND p.attempt_no < a.attempt_no
            ORDER BY p.attempt_no DESC LIMIT 1) AS previous_traceparent

-- name: keep_new_events
-- Which of these events have not come before.
INSERT INTO provider_event_seen (provider, event_id)
SELECT %(provider)s, event_id FROM unnest(%(ids)s::text[]) AS e (event_id)
 GROUP BY event_id ORDER BY event_id
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: open_windows
-- An inbound message opens the sender's 24-hour service window with that recipient.
INSERT INTO whatsapp_session_window (org_id, phone_number, last_inbound_at, window_expires_at)
SELECT org_id, phone_number, max(to_timestamp(at_s)), max(to_timestamp(at_s)) + interval '24 hours'
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (org_id text, phone_number text, at_s float8)
 GROUP BY org_id, phone_number
 ORDER BY org_id, phone_number
ON CONFLICT (org_id, phone_number) DO UPDATE
   SET last_inbound_at = GREATEST(whatsapp_session_window.last_inbound_at, EXCLUDED.last_inbound_at),
       window_expires_at = GREATEST(
           whatsapp_session_window.window_expires_at, EXCLUDED.window_expires_at),
       updated_at = now()

-- name: store_inbound
-- Keep inbound messages; a repeated webhook adds nothing.
INSERT INTO message (org_id, channel, direction, from_address, body, provider_message_id, created_at)
SELECT org_id, 'WHATSAPP', 'INBOUND', phone_number, body, provider_message_id, to_timestamp(at_s)
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
       org_id text, phone_number text, body text, provider_message_id text, at_s float8)
 ORDER BY provider_message_id
ON CONFLICT (provider_message_id) DO NOTHING

-- name: read_owners
-- Whose business numbers and accounts these are.
SELECT org_id, phone_number_id, business_account_id
  FROM whatsapp_provider_config
 WHERE phone_number_id = ANY (%(marks)s) OR business_account_id = ANY (%(marks)s)
 ORDER BY org_id

-- name: keep_wishes
-- Note what recipients wish, the latest wish of each; gives those that are news. One that answers a
-- message is to that message's organisation; one without any is to all of them (org_id '').
WITH wish AS (
    SELECT COALESCE(m.org_id, r.org_id, '') AS org_id, r.channel,
           COALESCE(m.to_recipient, r.recipient) AS recipient,
           r.stop, to_timestamp(r.at_s) AS wished_at, r.source
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
           org_id text, message_id bigint, channel text, recipient text, stop boolean,
           at_s float8, source text)
      LEFT JOIN outbound_message AS m ON m.id = r.message_id AND m.channel = r.channel
), latest AS (
    SELECT DISTINCT ON (org_id, channel, recipient) *
      FROM wish ORDER BY org_id, channel, recipient, wished_at DESC, stop DESC
)
INSERT INTO recipient_wish AS known (org_id, channel, recipient, stop, wished_at, source)
SELECT org_id, channel, recipient, stop, wished_at, source
  FROM latest ORDER BY org_id, channel, recipient
ON CONFLICT (org_id, channel, recipient) DO UPDATE
   SET stop = EXCLUDED.stop, wished_at = EXCLUDED.wished_at, source = EXCLUDED.source
 WHERE EXCLUDED.wished_at > known.wished_at
RETURNING org_id, channel, recipient, stop, source

-- name: stop_everywhere
-- Runbook 003's opt-out: refuses what is queued for the recipient, and all that comes.
SELECT mark_opted_out(%(recipient)s, %(source)s)

-- name: resume_everywhere
-- Take an opt-out back, if it came by the same way.
UPDATE contact_preferences
   SET opted_out = false, opt_out_at = NULL, opt_out_reason = NULL, updated_at = now()
 WHERE wa_id = %(recipient)s AND opted_out AND opt_out_reason = %(source)s

-- name: stop_for_organisation
-- The recipient withdraws the consent given to one organisation.
INSERT INTO consentement AS known (org_id, recipient, channel, status, source)
VALUES (%(org_id)s, %(recipient)s, %(channel)s, 'REVOKED', %(source)s)
ON CONFLICT (org_id, recipient, channel) DO UPDATE
   SET status = 'REVOKED', source = EXCLUDED.source, updated_at = now()
 WHERE known.status = 'GRANTED'

-- name: resume_for_organisation
-- Give the consent again, if it was withdrawn by the same way.
UPDATE consentement SET status = 'GRANTED', updated_at = now()
 WHERE org_id = %(org_id)s AND recipient = %(recipient)s AND channel = %(channel)s
   AND status = 'REVOKED' AND source = %(source)s

-- name: keep_notices
-- Keep what a provider tells of accounts, numbers and templates; gives those that are news.
INSERT INTO provider_notice (
       provider, kind, severity, account, subject, event, description, told_at, fingerprint)
SELECT %(provider)s, kind, severity, account, subject, event, description, to_timestamp(told_s),
       fingerprint
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
       kind text, severity text, account text, subject text, event text, description text,
       told_s float8, fingerprint text)
 ORDER BY fingerprint
ON CONFLICT (fingerprint) DO NOTHING
RETURNING kind, severity, account, subject, event

-- name: keep_template_states
-- Keep the latest state of templates.
INSERT INTO whatsapp_template AS known (
       business_account_id, name, language, template_id, status, status_at, reason)
SELECT DISTINCT ON (account, name, language)
       account, name, language, template_id, status, to_timestamp(at_s), reason
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
       account text, name text, language text, template_id text, status text, reason text,
       at_s float8)
 WHERE status IS NOT NULL
 ORDER BY account, name, language, at_s DESC
ON CONFLICT (business_account_id, name, language) DO UPDATE
   SET status = EXCLUDED.status, status_at = EXCLUDED.status_at, reason = EXCLUDED.reason,
       template_id = COALESCE(EXCLUDED.template_id, known.template_id), updated_at = now()
 WHERE EXCLUDED.status_at > COALESCE(known.status_at, '-infinity')

-- name: keep_template_qualities
-- Keep the latest quality of templates.
INSERT INTO whatsapp_template AS known (
       business_account_id, name, language, template_id, quality, quality_at)
SELECT DISTINCT ON (account, name, language)
       account, name, language, template_id, quality, to_timestamp(at_s)
  FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
       account text, name text, language text, template_id text, quality text, at_s float8)
 WHERE quality IS NOT NULL
 ORDER BY account, name, language, at_s DESC
ON CONFLICT (business_account_id, name, language) DO UPDATE
   SET quality = EXCLUDED.quality, quality_at = EXCLUDED.quality_at,
       template_id = COALESCE(EXCLUDED.template_id, known.template_id), updated_at = now()
 WHERE EXCLUDED.quality_at > COALESCE(known.quality_at, '-infinity')
