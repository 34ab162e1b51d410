-- Statements that change the state of messages. Every time is the database's: hosts' clocks differ.

-- name: enqueue
-- Put one message on the queue; an idempotency key that was used gives the message it made.
INSERT INTO outbound_message (
    org_id, dossier_id, channel, to_recipient, template_code, subject, payload_json,
    idempotency_key, max_attempts, scheduled_at, expires_at, priority, quiet_hours_override,
    session_id, run_id, hypothesis_id, traceparent, created_by)
VALUES (
    %(org_id)s, %(dossier_id)s, %(channel)s, %(to_recipient)s, %(template_code)s, %(subject)s,
    %(payload)s, %(idempotency_key)s, %(max_attempts)s, %(scheduled_at)s, %(expires_at)s,
    %(priority)s, %(quiet_hours_override)s, %(session_id)s, %(run_id)s, %(hypothesis_id)s,
    %(traceparent)s, %(created_by)s)
ON CONFLICT (idempotency_key) DO UPDATE SET idempotency_key = EXCLUDED.idempotency_key
RETURNING id

-- name: plan_by_index
-- Statistics of a queue are old as soon as they are made. Every statement here has its index, and
-- is written so that no other index gives its order. Each joins a handful of rows to a big table:
-- the arrays of keys hold it to those rows even where it was planned while the table was empty.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
-- A process that freezes between a statement and its commit must not keep everybody's rows locked.
SET idle_in_transaction_session_timeout = '5s'

-- name: order_by_index
-- For the look and the claim alone, until their transaction ends: what they order, one index orders.
-- Elsewhere a missing sort would walk a whole index for the sake of its order.
SELECT set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)

-- name: lanes
-- Every lane that has open messages, with the time of its first: one probe of the index for each,
-- however long it is.
WITH RECURSIVE lane AS (
    SELECT first.*
      FROM unnest(%(channels)s::text[]) AS c (channel)
     CROSS JOIN LATERAL (
           SELECT channel, priority, org_id, due_at FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN' AND channel = c.channel
            ORDER BY priority, org_id, due_at LIMIT 1) AS first
    UNION ALL
    SELECT following.*
      FROM lane AS l
     CROSS JOIN LATERAL (
           SELECT channel, priority, org_id, due_at FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN' AND channel = l.channel
              AND (priority, org_id) > (l.priority, l.org_id)
            ORDER BY priority, org_id, due_at LIMIT 1) AS following
)
SELECT l.channel, l.priority, l.org_id,
       GREATEST(EXTRACT(EPOCH FROM l.due_at - now()), 0)::float8 AS due_in_s,
       GREATEST(
           EXTRACT(EPOCH FROM q.throttle_until - now()),
           CASE WHEN q.messages_sent_count >= q.quota_limit
                THEN EXTRACT(EPOCH FROM q.reset_at - now()) END,
           CASE WHEN NOT p.enabled THEN 'infinity'::float8 END,
           CASE WHEN s.paused
                THEN COALESCE(EXTRACT(EPOCH FROM s.until - now()), 'infinity')::float8 END,
           0)::float8 AS held_s,
       CASE WHEN q.reset_at > now()
            THEN GREATEST(q.quota_limit - q.messages_sent_count, 0) END AS quota_left,
       -- The server's own time: a busy process takes its time to read an answer.
       EXTRACT(EPOCH FROM clock_timestamp() - statement_timestamp())::float8 AS took_s
  FROM lane AS l
  LEFT JOIN outbound_pause AS s ON s.channel = l.channel
  LEFT JOIN whatsapp_rate_limit AS q
    ON l.channel = 'WHATSAPP' AND q.org_id = l.org_id
  LEFT JOIN whatsapp_provider_config AS p
    ON l.channel = 'WHATSAPP' AND p.org_id = l.org_id

-- name: claim
-- Take due messages of the given lanes and those just woken: one attempt row each, and all that
-- the checks before a send need to know. A message behind another one to the same recipient is
-- parked, with a lock on that other, so that its settlement comes after and wakes the message; where
-- the lock is not to be had, it is settling now and the message is left for the next claim.
-- An upper bound that is a row would not end the walk through an index, only filter it (PostgreSQL
-- 15): bounds are columns, equal up to the last. A recipient is given as a range, so that its order
-- means something and one index alone has it.
WITH pause AS MATERIALIZED (
    -- Asked for here, since a look may be older than the switch that somebody has just turned.
    SELECT channel, paused, ended_at FROM outbound_pause
), lane AS MATERIALIZED (
    SELECT *
      FROM jsonb_to_recordset(%(lanes)s::jsonb) AS l (
           channel text, priority smallint, org_id text, share integer,
           after_due timestamptz, after_id bigint)
     WHERE l.channel NOT IN (SELECT channel FROM pause WHERE paused)
), room AS MATERIALIZED (
    SELECT *
      FROM jsonb_to_recordset(%(rooms)s::jsonb) AS r (
           channel text, room integer, urgent integer, held text[])
     WHERE r.channel NOT IN (SELECT channel FROM pause WHERE paused)
), candidate AS MATERIALIZED (
    SELECT woken.*
      FROM room AS r
     CROSS JOIN LATERAL (
           SELECT id, channel, to_recipient, org_id, priority, due_at, turn
             FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'WOKEN'
              AND channel = r.channel AND due_at <= now()
              AND org_id <> ALL (r.held)
              AND COALESCE(expires_at > now(), true)
            ORDER BY channel, due_at, id
            LIMIT r.room
              FOR UPDATE SKIP LOCKED) AS woken
    UNION ALL
    SELECT urgent.*
      FROM room AS r
     CROSS JOIN LATERAL (
           SELECT id, channel, to_recipient, org_id, priority, due_at, turn
             FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN'
              AND channel = r.channel AND priority = 0 AND due_at <= now()
              AND org_id <> ALL (r.held)
              AND COALESCE(expires_at > now(), true)
            ORDER BY channel, priority, org_id, due_at, id
            LIMIT r.urgent
              FOR UPDATE SKIP LOCKED) AS urgent
     WHERE r.urgent > 0
    UNION ALL
    SELECT following.*
      FROM lane AS l
     CROSS JOIN LATERAL (
           SELECT id, channel, to_recipient, org_id, priority, due_at, turn
             FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'OPEN'
              AND channel = l.channel AND priority = l.priority AND org_id = l.org_id
              AND (due_at, id) > (l.after_due, l.after_id) AND due_at <= now()
              AND COALESCE(expires_at > now(), true)
            ORDER BY channel, priority, org_id, due_at, id
            LIMIT l.share
              FOR UPDATE SKIP LOCKED) AS following
), ranked AS MATERIALIZED (
    SELECT c.*,
           row_number() OVER (PARTITION BY c.channel, c.to_recipient
                              ORDER BY c.priority, c.id) AS nth
      FROM candidate AS c
), first AS MATERIALIZED (
    SELECT f.*, COALESCE(flying.id, earlier.id) AS blocker_id
      FROM ranked AS f
      LEFT JOIN LATERAL (
           SELECT b.id FROM outbound_message AS b
            WHERE b.status = 'SENDING'
              AND b.channel = f.channel
              AND b.to_recipient >= f.to_recipient AND b.to_recipient <= f.to_recipient
            ORDER BY b.channel, b.to_recipient
            LIMIT 1) AS flying ON true
      LEFT JOIN LATERAL (
           SELECT e.id FROM outbound_message AS e
            WHERE %(strict)s AND e.status = 'QUEUED' AND e.to_recipient = f.to_recipient
              AND e.channel = f.channel AND e.org_id = f.org_id
              AND (e.priority, e.id) < (f.priority, f.id)
              AND (e.due_at <= now() OR e.attempt_seq > 0)
            ORDER BY e.priority, e.id
            LIMIT 1) AS earlier ON true
     WHERE f.nth = 1
), anchor AS MATERIALIZED (
    SELECT f.channel, f.to_recipient
      FROM first AS f
     CROSS JOIN LATERAL (
           SELECT b.id FROM outbound_message AS b
            WHERE b.id = f.blocker_id AND b.status IN ('QUEUED', 'SENDING')
              FOR SHARE SKIP LOCKED) AS held
), fit AS (
    SELECT f.*,
           row_number() OVER (PARTITION BY f.channel
                              ORDER BY f.turn <> 'WOKEN', f.priority, f.due_at, f.id) AS place
      FROM first AS f
     WHERE f.blocker_id IS NULL
), winner AS MATERIALIZED (
    SELECT f.id, f.channel, f.to_recipient, f.org_id, f.turn
      FROM fit AS f
      JOIN room AS r ON r.channel = f.channel
     WHERE f.place <= r.room
       -- Another claim may be taking a message to the same recipient at this moment.
       AND pg_try_advisory_xact_lock(hashtextextended(f.channel || f.to_recipient, 8377))
), quota AS MATERIALIZED (
    -- Once for each organisation: its row has a version for each settlement that an old snapshot
    -- might still want, and a look walks through all of them.
    SELECT r.org_id, r.messages_sent_count, r.quota_limit, r.reset_at, r.throttle_until, r.freed_at
      FROM whatsapp_rate_limit AS r
     WHERE r.org_id = ANY (ARRAY (SELECT org_id FROM winner WHERE channel = 'WHATSAPP'))
), parked AS (
    UPDATE outbound_message AS m
       SET turn = 'PARKED'
     WHERE m.id = ANY (ARRAY (
           SELECT k.id
             FROM ranked AS k
            WHERE (k.channel, k.to_recipient) IN (SELECT channel, to_recipient FROM anchor)
               OR (k.nth > 1
                   AND (k.channel, k.to_recipient) IN (
                       SELECT channel, to_recipient FROM winner))))
    RETURNING m.id
), taken AS (
    UPDATE outbound_message AS m
       -- The runbooks follow a batch of theirs by updated_by, so that stays.
       SET status = 'SENDING',
           turn = 'OPEN',
           attempt_count = m.attempt_count + 1,
           attempt_seq = GREATEST(m.attempt_seq, (
               SELECT max(a.attempt_no) FROM outbound_attempt AS a
                WHERE a.outbound_message_id = m.id)) + 1,
           -- The wait for a quota, a throttle or the end of a pause is planned (D30).
           due_since = GREATEST(m.due_since, (
               SELECT p.ended_at FROM pause AS p WHERE p.channel = m.channel), (
               SELECT GREATEST(
                      CASE WHEN q.throttle_until <= now() THEN q.throttle_until END, q.freed_at)
                 FROM quota AS q
                WHERE m.channel = 'WHATSAPP' AND q.org_id = m.org_id)),
           next_retry_at = NULL,
           updated_at = now()
     -- A join with winner would look for the whole array once for each of its rows.
     WHERE m.id = ANY (ARRAY (SELECT id FROM winner))
    RETURNING m.*, encode(uuid_send(gen_random_uuid()), 'hex') AS trace_id
), claimed AS MATERIALIZED (
    -- The attempt's trace, and whether the head samples it: the rule of tracing/sampling.py. A
    -- UUID's last 56 bits are random.
    SELECT t.*,
           '00-' || t.trace_id || '-' || left(t.trace_id, 16)
           || CASE WHEN CASE
                  WHEN %(follow)s AND t.traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
                  THEN right(t.traceparent, 1) IN ('1', '3', '5', '7', '9', 'b', 'd', 'f')
                  ELSE %(sample_from)s::bigint = 0
                       OR ('x' || right(t.trace_id, 14))::bit(56)::bigint >= %(sample_from)s::bigint
                  END THEN '-01' ELSE '-00' END AS own_traceparent
      FROM taken AS t
), attempt AS (
    INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, worker, traceparent)
    SELECT id, attempt_seq, channel, %(worker)s, own_traceparent FROM claimed
), abandoned AS (
    -- A message that was reset by hand while its attempt was under way may go out twice.
    UPDATE outbound_attempt AS a
       SET outcome = 'UNKNOWN',
           error_code = COALESCE(a.error_code, %(unknown)s),
           possible_duplicate = true,
           finished_at = COALESCE(a.finished_at, now()),
           updated_at = now()
     WHERE a.id = ANY (ARRAY (
           SELECT open.id
             FROM claimed AS c
            CROSS JOIN LATERAL (
                  SELECT o.id FROM outbound_attempt AS o
                   WHERE o.outbound_message_id = c.id AND o.attempt_no < c.attempt_seq
                     AND o.outcome IN ('IN_FLIGHT', 'UNKNOWN') AND NOT o.possible_duplicate
                   ORDER BY o.outbound_message_id, o.attempt_no) AS open
            WHERE c.attempt_seq > 1))
)
SELECT 'CLAIMED' AS verdict,
       CASE WHEN c.id IN (SELECT id FROM winner WHERE turn = 'WOKEN') THEN 'WOKEN'
            ELSE 'OPEN' END AS turn,
       c.due_at,
       c.id, c.channel, c.priority, c.org_id, c.to_recipient,
       c.template_code, c.subject, c.payload_json,
       c.attempt_seq AS attempt_no, c.attempt_count, c.max_attempts,
       c.session_id, c.run_id, c.hypothesis_id, c.traceparent,
       COALESCE(c.expires_at <= now(), false) AS expired, c.quiet_hours_override,
       o.opted_out AS contact_opted_out, o.quiet_hours_start AS quiet_from,
       o.quiet_hours_end AS quiet_until, o.timezone AS quiet_zone,
       s.status AS consent, w.window_open,
       CASE WHEN q.reset_at > now() AND q.messages_sent_count >= q.quota_limit
            THEN EXTRACT(EPOCH FROM q.reset_at - now())::float8 END AS quota_wait_s,
       CASE WHEN q.throttle_until > now()
            THEN EXTRACT(EPOCH FROM q.throttle_until - now())::float8 END AS throttle_wait_s,
       v.enabled AS provider_enabled, v.phone_number_id,
       last.traceparent AS previous_traceparent, c.own_traceparent
  FROM claimed AS c
  LEFT JOIN LATERAL (
       SELECT k.status FROM consentement AS k
        WHERE k.org_id = c.org_id AND k.recipient = c.to_recipient AND k.channel = c.channel
        LIMIT 1) AS s ON true
  LEFT JOIN LATERAL (
       SELECT p.* FROM contact_preferences AS p WHERE p.wa_id = c.to_recipient
        LIMIT 1) AS o ON true
  LEFT JOIN LATERAL (
       SELECT p.window_expires_at > now() AS window_open FROM whatsapp_session_window AS p
        WHERE c.channel = 'WHATSAPP' AND p.org_id = c.org_id AND p.phone_number = c.to_recipient
        LIMIT 1) AS w ON true
  LEFT JOIN LATERAL (
       SELECT r.* FROM quota AS r
        WHERE c.channel = 'WHATSAPP' AND r.org_id = c.org_id
        LIMIT 1) AS q ON true
  LEFT JOIN LATERAL (
       SELECT p.enabled, p.phone_number_id FROM whatsapp_provider_config AS p
        WHERE c.channel = 'WHATSAPP' AND p.org_id = c.org_id
        LIMIT 1) AS v ON true
  LEFT JOIN LATERAL (
       SELECT a.traceparent FROM outbound_attempt AS a
        WHERE a.outbound_message_id = c.id AND a.attempt_no < c.attempt_seq
        ORDER BY a.attempt_no DESC LIMIT 1) AS last ON true
UNION ALL
SELECT CASE WHEN k.id IN (SELECT id FROM parked) THEN 'PARKED' ELSE 'LEFT' END,
       k.turn, k.due_at, k.id, k.channel, k.priority, k.org_id, k.to_recipient,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM ranked AS k
 WHERE k.id NOT IN (SELECT id FROM claimed)

-- name: wake_forgotten
-- Parked messages with nothing in flight to their recipient any more: a settlement that could not
-- lock them, or an edit in SQL.
WITH RECURSIVE recipient AS (
    (SELECT channel, to_recipient FROM outbound_message
      WHERE status = 'QUEUED' AND turn = 'PARKED'
      ORDER BY channel, to_recipient LIMIT 1)
    UNION ALL
    SELECT following.*
      FROM recipient AS r
     CROSS JOIN LATERAL (
           SELECT channel, to_recipient FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'PARKED'
              AND (channel, to_recipient) > (r.channel, r.to_recipient)
            ORDER BY channel, to_recipient LIMIT 1) AS following
), forgotten AS (
    SELECT first.id
      FROM recipient AS r
     CROSS JOIN LATERAL (
           SELECT id FROM outbound_message
            WHERE status = 'QUEUED' AND turn = 'PARKED'
              AND channel = r.channel AND to_recipient = r.to_recipient
            ORDER BY priority, id LIMIT 1) AS first
      LEFT JOIN LATERAL (
           SELECT true AS found FROM outbound_message AS b
            WHERE b.status = 'SENDING'
              AND b.channel = r.channel
              AND b.to_recipient >= r.to_recipient AND b.to_recipient <= r.to_recipient
            ORDER BY b.channel, b.to_recipient
            LIMIT 1) AS flying ON true
      LEFT JOIN LATERAL (
           SELECT true AS found FROM outbound_message AS b
            WHERE b.status = 'QUEUED' AND b.turn = 'WOKEN'
              AND b.to_recipient = r.to_recipient AND b.channel = r.channel
            LIMIT 1) AS woken ON true
     WHERE flying.found IS NULL AND woken.found IS NULL
     LIMIT %(limit)s
), free AS (
    SELECT id FROM outbound_message
     WHERE id = ANY (ARRAY (SELECT id FROM forgotten)) AND status = 'QUEUED' AND turn = 'PARKED'
       FOR UPDATE SKIP LOCKED
)
UPDATE outbound_message AS m
   SET turn = 'WOKEN'
 WHERE m.id = ANY (ARRAY (SELECT id FROM free))

-- name: sleep
-- Ask to be called: whoever queues a message now notifies.
INSERT INTO outbound_idle_sender (worker, until)
VALUES (%(worker)s, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (worker) DO UPDATE SET until = EXCLUDED.until

-- name: wake
-- Be called no more; senders that died asleep are forgotten with it.
DELETE FROM outbound_idle_sender
 WHERE worker = %(worker)s OR until < clock_timestamp() - interval '1 minute'

-- name: expire
-- Messages that waited until they were of no use. They had no attempt that a rule refused: being late
-- is a failure of ours, and is counted as one.
WITH late AS (
    SELECT id FROM outbound_message
     WHERE status = 'QUEUED' AND expires_at <= now()
     ORDER BY expires_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
UPDATE outbound_message AS m
   SET status = 'FAILED',
       error_code = %(error_code)s,
       error_message = 'It expired before it could be sent',
       attempt_count = GREATEST(m.attempt_count, m.max_attempts),
       updated_at = now()
  FROM late
 WHERE m.id = ANY (ARRAY (SELECT id FROM late))
   AND m.id = late.id
RETURNING m.id

-- name: settle
-- Write what became of attempts. A message is touched only while it is at that very attempt, and
-- one that was reset meanwhile only if the provider has accepted it (D17, D18). Messages are locked
-- in the order of their ids and before their attempts, as where receipts are applied.
WITH told AS MATERIALIZED (
    SELECT *
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (
           message_id bigint, attempt_no integer, outcome text, status text, http_status integer,
           error_code text, error_message text, provider_message_id text, retry_in_s float8,
           defer_s float8, close_budget boolean, give_back boolean, throttle_s float8,
           trace_kept boolean, trace_stages jsonb)
), settled AS MATERIALIZED (
    SELECT t.*
      FROM (SELECT * FROM told ORDER BY message_id) AS t
     CROSS JOIN LATERAL (
           SELECT m.id FROM outbound_message AS m WHERE m.id = t.message_id FOR UPDATE) AS held
), attempt AS (
    UPDATE outbound_attempt AS a
       -- A webhook may have been quicker and have told the outcome already.
       SET outcome = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.outcome ELSE a.outcome END,
           http_status = s.http_status,
           error_code = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.error_code
                             ELSE a.error_code END,
           error_message = CASE WHEN a.outcome = 'IN_FLIGHT' THEN s.error_message
                                ELSE a.error_message END,
           provider_message_id = COALESCE(a.provider_message_id, s.provider_message_id),
           next_retry_at = CASE WHEN a.outcome = 'IN_FLIGHT'
                                THEN now() + s.retry_in_s * interval '1 second' END,
           -- A failure that a receipt told has had it kept already.
           trace_kept = a.trace_kept IS TRUE OR s.trace_kept IS TRUE,
           trace_stages = s.trace_stages,
           finished_at = COALESCE(a.finished_at, now()),
           settled_at = now(),
           updated_at = now()
      FROM settled AS s
     WHERE a.outbound_message_id = s.message_id
       AND a.attempt_no = s.attempt_no
       AND a.settled_at IS NULL
    RETURNING a.outbound_message_id AS id, a.trace_kept AND s.trace_kept IS NOT TRUE AS overruled
), moved AS (
    UPDATE outbound_message AS m
       SET status = s.status,
           provider_message_id = COALESCE(s.provider_message_id, m.provider_message_id),
           sent_at = CASE WHEN s.status = 'SENT' THEN now() ELSE m.sent_at END,
           -- A breaker's refusal says nothing of the message; a wait for quota has to be findable.
           error_code = CASE WHEN s.outcome = 'DEFERRED' AND s.defer_s IS NULL THEN m.error_code
                             ELSE s.error_code END,
           error_message = CASE WHEN s.outcome = 'DEFERRED' AND s.defer_s IS NULL
                                THEN m.error_message ELSE s.error_message END,
           attempt_count = CASE
               WHEN s.close_budget THEN GREATEST(m.attempt_count, m.max_attempts)
               WHEN s.give_back THEN GREATEST(m.attempt_count - 1, 0)
               ELSE m.attempt_count END,
           next_retry_at = now() + s.retry_in_s * interval '1 second',
           scheduled_at = CASE WHEN s.defer_s IS NULL THEN m.scheduled_at
                               ELSE now() + s.defer_s * interval '1 second' END,
           updated_at = now()
      FROM settled AS s
     WHERE m.id = s.message_id
       AND m.attempt_seq = s.attempt_no
       AND s.status IS NOT NULL
       AND (m.status = 'SENDING' OR (m.status = 'QUEUED' AND s.status = 'SENT'))
    RETURNING m.id, m.org_id, m.channel, m.status, s.throttle_s
), spent AS (
    UPDATE whatsapp_rate_limit AS q
       SET messages_sent_count = q.messages_sent_count + o.sent,
           throttle_until = GREATEST(q.throttle_until, now() + o.throttle_s * interval '1 second'),
           last_request_at = now()
      FROM (SELECT org_id,
                   count(*) FILTER (WHERE status = 'SENT') AS sent,
                   max(throttle_s) AS throttle_s
              FROM moved WHERE channel = 'WHATSAPP' GROUP BY org_id) AS o
     WHERE q.org_id = o.org_id
)
SELECT id, true AS moved FROM moved
UNION ALL
SELECT id, false FROM attempt WHERE overruled
UNION ALL
-- Settled before by this very list, whose answer was lost.
SELECT s.message_id, false
  FROM settled AS s
  JOIN outbound_attempt AS a ON a.outbound_message_id = s.message_id AND a.attempt_no = s.attempt_no
 WHERE a.settled_at IS NOT NULL AND a.trace_kept AND s.trace_kept IS NOT TRUE

-- name: recover
-- Messages in SENDING beyond the recovery window (000: 10 minutes). Whether the provider has them
-- is not known, so the attempt says so and may become a duplicate; without budget they end here.
-- While webhooks are silent or refused, nothing is sent again: one of them might tell (D12). Time in
-- which the server was down does not count: nobody could write an answer then.
WITH stale AS (
    SELECT m.id
      FROM outbound_message AS m
     WHERE m.status = 'SENDING'
       AND GREATEST(m.updated_at, pg_postmaster_start_time())
           < now() - %(window_s)s * interval '1 second'
       AND (m.attempt_count >= m.max_attempts
            OR outbound_resend_allowed(m.channel, COALESCE((
                   SELECT a.started_at FROM outbound_attempt AS a
                    WHERE a.outbound_message_id = m.id AND a.attempt_no = m.attempt_seq),
                   m.updated_at), %(silence_s)s * interval '1 second'))
     ORDER BY m.updated_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE outbound_message AS m
       SET status = CASE WHEN m.attempt_count < m.max_attempts THEN 'QUEUED' ELSE 'FAILED' END,
           error_code = %(error_code)s,
           error_message = 'No answer and no webhook within the recovery window',
           updated_at = now()
      FROM stale
     WHERE m.id = ANY (ARRAY (SELECT id FROM stale))
       AND m.id = stale.id
    RETURNING m.id, m.attempt_seq, m.status
), attempt AS (
    UPDATE outbound_attempt AS a
       SET outcome = 'UNKNOWN',
           error_code = COALESCE(a.error_code, %(error_code)s),
           possible_duplicate = moved.status = 'QUEUED',
           finished_at = COALESCE(a.finished_at, now()),
           updated_at = now()
      FROM moved
     WHERE a.outbound_message_id = ANY (ARRAY (SELECT id FROM moved))
       AND a.outbound_message_id = moved.id
       AND a.attempt_no = moved.attempt_seq
       AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN')
)
SELECT id, status FROM moved

-- name: count_held
-- Messages that the recovery would have sent again, were webhooks in order.
SELECT m.channel, count(*)
  FROM outbound_message AS m
 WHERE m.status = 'SENDING'
   AND m.updated_at < now() - %(window_s)s * interval '1 second'
   AND m.attempt_count < m.max_attempts
 GROUP BY m.channel

-- name: renew_quotas
-- Start a new window where the old one has ended.
UPDATE whatsapp_rate_limit
   SET messages_sent_count = 0,
       reset_at = now() + interval '24 hours'
 WHERE reset_at <= now()
