"""Every procedure of runbooks 000 to 002, the command that carries it out, and the SQL without it.

docs/operations.md is written from this catalogue; tests hold each command against the command line,
each statement against the schema, and each name of a test against the tests.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Procedure:
    """One thing that a runbook tells people to do.

    Attributes:
        place: Runbook and line of its heading, as `001:311`.
        title: What it is for.
        commands: What to type after `outbound-slo`, the first one first.
        test: Where the proof is: a module of tests/integration, without `test_` and `.py`.
        sql: A statement that does the same for those who must; empty where there is none.
        note: What is done differently here, or what remains to be done by hand.

    """

    place: str
    title: str
    commands: tuple[str, ...]
    test: str
    sql: str = ""
    note: str = ""


_RELEASE = """UPDATE outbound_message
   SET status = 'QUEUED', updated_at = now(), updated_by = 'ops-stuck-YOUR-TICKET'
 WHERE id IN (
       SELECT id FROM outbound_message
        WHERE status = 'SENDING' AND updated_at < now() - interval '10 minutes'
        ORDER BY id FOR UPDATE);"""

_OVERDUE = """UPDATE outbound_attempt AS a
   SET next_retry_at = NULL, updated_at = now()
  FROM outbound_message AS m
 WHERE m.id = a.outbound_message_id AND m.status = 'QUEUED'
   AND a.next_retry_at < now() - interval '30 minutes';"""

_RETRY = """UPDATE outbound_message
   SET status = 'QUEUED', updated_at = now(), updated_by = 'ops-retry-YOUR-TICKET',
       attempt_count = CASE WHEN attempt_count >= max_attempts THEN 0 ELSE attempt_count END
 WHERE id IN (
       SELECT id FROM outbound_message
        WHERE status = 'FAILED' AND error_code IN ('0', '1', '131016', '131026', '132001')
          AND created_at > now() - interval '4 hours'
        ORDER BY id FOR UPDATE);"""

_DLQ_RETRY = """UPDATE outbound_message
   SET status = 'QUEUED', attempt_count = 0, error_code = NULL, error_message = NULL,
       updated_at = now(), updated_by = 'ops-dlq-retry-YOUR-TICKET'
 WHERE id IN (
       SELECT id FROM outbound_message
        WHERE status = 'FAILED' AND attempt_count >= max_attempts
          AND error_code IN ('0', '1', '131016', '131026', '132001')
          AND updated_at < now() - interval '24 hours'
        ORDER BY id FOR UPDATE);"""

_FALLBACK = """INSERT INTO outbound_message (
       org_id, dossier_id, channel, to_recipient, subject, idempotency_key, created_by)
SELECT org_id, dossier_id, 'SMS', to_recipient, '[WhatsApp Fallback] ' || subject,
       idempotency_key || '-sms-fallback', 'ops-fallback-YOUR-TICKET'
  FROM outbound_message
 WHERE channel = 'WHATSAPP' AND status = 'FAILED' AND subject IS NOT NULL
   AND error_code IN ('0', '1', '131016') AND created_at > now() - interval '2 hours'
   AND template_code IN ('appointment_reminder', 'urgent_notification')
    ON CONFLICT (idempotency_key) DO NOTHING;"""

_RAISE = """UPDATE whatsapp_rate_limit
   SET quota_limit = 5000, updated_at = now(), updated_by = 'ops-quota-YOUR-TICKET'
 WHERE org_id = 'ORG-ID-HERE';"""

_RESET = """UPDATE whatsapp_rate_limit
   SET messages_sent_count = 0, reset_at = now() + interval '24 hours', throttle_until = NULL,
       updated_at = now(), updated_by = 'ops-quota-YOUR-TICKET'
 WHERE org_id = 'ORG-ID-HERE';"""

_DEFER = """UPDATE outbound_message
   SET scheduled_at = now() + interval '4 hours', updated_by = 'ops-defer-YOUR-TICKET'
 WHERE id IN (
       SELECT id FROM outbound_message
        WHERE channel = 'WHATSAPP' AND status = 'QUEUED' AND priority > 0
          AND template_code NOT IN ('urgent_alert', 'appointment_reminder')
          AND COALESCE(scheduled_at < now() + interval '4 hours', true)
          AND COALESCE(expires_at > now() + interval '4 hours', true)
        ORDER BY id FOR UPDATE);"""

_ARCHIVE = """WITH old AS (
    DELETE FROM outbound_message
     WHERE status = 'FAILED' AND attempt_count >= max_attempts
       AND updated_at < now() - interval '7 days'
    RETURNING *)
INSERT INTO outbound_message_archive SELECT * FROM old;"""

_PURGE = """DELETE FROM outbound_message_archive
 WHERE updated_at < now() - interval '30 days';"""

_PAUSE = """UPDATE outbound_switch
   SET paused = true, until = NULL, reason = 'YOUR-TICKET', updated_at = now(),
       updated_by = 'ops-YOUR-NAME'
 WHERE channel = 'WHATSAPP';"""

_STOP = """UPDATE outbound_switch
   SET paused = true, until = NULL, reason = 'YOUR-TICKET', updated_at = now(),
       updated_by = 'ops-YOUR-NAME'
 WHERE channel = 'ALL';"""

_RESUME = "UPDATE outbound_switch SET paused = false, updated_at = now() WHERE channel = 'ALL';"

_ROTATE = """UPDATE whatsapp_provider_config
   SET webhook_secret_encrypted = pgp_sym_encrypt('NEW-SECRET-HERE', 'ENCRYPTION-KEY'),
       updated_at = now(), updated_by = 'ops-webhook-rotation-YOUR-TICKET'
 WHERE org_id = 'ORG-ID-HERE';"""

PROCEDURES: tuple[Procedure, ...] = (
    Procedure(
        "000:116",
        "Quick health checks",
        ("ops status",),
        "ops_status",
    ),
    Procedure("000:702", "Stuck messages: which", ("ops stuck list",), "ops_stuck"),
    Procedure(
        "000:766",
        "Stuck messages: release what is in SENDING",
        ("ops stuck release",),
        "ops_requeue",
        _RELEASE,
        "Leaves alone what may have reached the provider, for ten minutes and while webhooks are "
        "silent; `--force` does not.",
    ),
    Procedure(
        "000:793",
        "Stuck messages: retry times that have passed",
        ("ops stuck release --what overdue",),
        "ops_beside_sql",
        _OVERDUE,
    ),
    Procedure(
        "000:826",
        "Stuck messages: force a retry",
        ("ops retry 12345 --force",),
        "ops_requeue",
        note="The HTTP route of 000 calls the same function: `POST "
        "/api/v1/outbound/messages/{id}/retry`, with 409 while an outcome is unknown.",
    ),
    Procedure(
        "000:882",
        "Stuck messages: the cause",
        ("ops stuck explain", "ops stuck explain 12345"),
        "ops_stuck",
    ),
    Procedure(
        "001:86",
        "Quick health checks",
        ("ops status",),
        "ops_status",
        note="Also 001's verification of an outage; what is asked of providers: `ops providers`.",
    ),
    Procedure(
        "001:234",
        "Outage: send again what failed for a passing reason",
        ("ops retry", "ops verify retry"),
        "ops_requeue",
        _RETRY,
        "001's scripts for one message, for many, and to watch are this one command.",
    ),
    Procedure(
        "001:441",
        "Outage: SMS for urgent WhatsApp messages",
        ("ops fallback --critical",),
        "ops_fallback",
        _FALLBACK,
        "Safe to repeat, unlike 001's. `--waiting` takes what still waits for a retry, too. 001's "
        "own INSERT makes keys with the time in them, which neither `ops fallback` nor `ops retry` "
        "knows: do not mix the two, or one message goes out several times.",
    ),
    Procedure(
        "001:456",
        "Outage: export failed urgent messages",
        ("ops dlq export --critical --to critical.csv",),
        "ops_dlq",
    ),
    Procedure(
        "001:532",
        "Rate limits: the state, and a larger quota",
        ("ops quota show", "ops quota raise ORG-ID-HERE 5000", "ops verify quota"),
        "ops_quota",
        _RAISE,
    ),
    Procedure(
        "001:636",
        "Webhook signatures: look",
        ("ops secret status",),
        "ops_secret",
    ),
    Procedure(
        "001:678",
        "Webhook signatures: rotate the secret",
        ("ops secret rotate ORG-ID-HERE --to-file secret.txt", "ops verify webhooks"),
        "ops_secret",
        _ROTATE,
        "Meta is told by hand: Business Manager, WhatsApp, Settings, Webhooks.",
    ),
    Procedure("001:814", "Dead letters: what and why", ("ops dlq report",), "ops_dlq"),
    Procedure(
        "001:900",
        "Dead letters: export for review",
        ("ops dlq export --to dlq.csv",),
        "ops_dlq",
    ),
    Procedure(
        "001:1016",
        "Dead letters: send again after a day",
        ("ops retry --mode dlq", "ops verify retry"),
        "ops_beside_sql",
        _DLQ_RETRY,
        "Also `ops dlq retry`. The table that 001 makes first is not needed: `ops undo`.",
    ),
    Procedure(
        "001:1124",
        "Dead letters: archive, then purge",
        ("ops dlq archive", "ops dlq purge --to purged.csv"),
        "ops_archive",
        f"{_ARCHIVE}\n{_PURGE}",
        "Archived at 7 days, purged from the archive at 30 (D33).",
    ),
    Procedure(
        "001:1231",
        "Queue: backup",
        ("ops backup create --to /backup",),
        "ops_backup",
        note="Takes no CHECKPOINT, which a dump does not need. How to restore one is below.",
    ),
    Procedure(
        "001:1258",
        "Queue: more processing power",
        ("ops status --watch 5",),
        "ops_status",
        note="Raise `OUTBOUND_WORKER_BATCH_SIZE` or start more senders; nothing else is needed.",
    ),
    Procedure(
        "001:1284",
        "Script retry-messages.sh",
        ("ops retry --mode dlq --codes 0,1,131016 --limit 100 --age-hours 24 --dry-run",),
        "ops_requeue",
        note="001's script looks for attempts left after a day's rest: no message has that (D32).",
    ),
    Procedure(
        "001:1414", "Script analyze-dlq.sh", ("ops dlq report --to dlq_analysis.txt",), "ops_dlq"
    ),
    Procedure(
        "001:1571",
        "Escalation",
        ("ops status",),
        "ops_status",
        note="What is crossed is printed with the level to call (D22, D24).",
    ),
    Procedure(
        "001:1653",
        "Issue 1: stuck in SENDING for half an hour",
        ("ops stuck release --minutes 30",),
        "ops_beside_sql",
        _RELEASE,
    ),
    Procedure("001:1682", "Issue 2: template not found", ("ops templates",), "ops_templates"),
    Procedure(
        "001:1699",
        "Issue 3: rate limit does not reset",
        ("ops quota reset ORG-ID-HERE",),
        "ops_quota",
        _RESET,
    ),
    Procedure(
        "001:1721",
        "Maintenance, weekly",
        ("ops maintenance bloat", "ops maintenance vacuum"),
        "ops_maintenance",
        "VACUUM (ANALYZE) outbound_message;",
    ),
    Procedure(
        "001:1739",
        "Maintenance, monthly",
        ("ops maintenance indexes", "ops maintenance reindex"),
        "ops_maintenance",
        "REINDEX TABLE CONCURRENTLY outbound_message;",
        "001's REINDEX without CONCURRENTLY stops all sending; its list of indexes names columns "
        "that PostgreSQL does not have.",
    ),
    Procedure(
        "002:83",
        "Scenario 1: long queue",
        ("ops status", "ops channel pause email", "ops verify queue"),
        "ops_channel",
        _PAUSE,
    ),
    Procedure(
        "002:130",
        "Scenario 2: dead letters grow",
        ("ops dlq report", "ops retry --codes 131016", "ops dlq archive", "ops verify dlq"),
        "ops_dlq",
    ),
    Procedure(
        "002:217",
        "Scenario 3: many failures",
        ("ops status", "ops providers", "ops channel pause whatsapp", "ops verify failure-rate"),
        "ops_providers",
    ),
    Procedure(
        "002:283",
        "Scenario 4: quota used up",
        ("ops quota show", "ops quota lower ORG-ID-HERE --factor 0.5", "ops quota defer --hours 4"),
        "ops_quota",
        _DEFER,
    ),
    Procedure(
        "002:360",
        "Scenario 5: stuck with many retries",
        (
            "ops stuck list",
            "ops stuck release",
            "ops stuck release --what waiting",
            "ops verify stuck",
        ),
        "ops_requeue",
        _RELEASE,
    ),
    Procedure(
        "002:455",
        "Scenario 6: slow deliveries",
        ("ops providers", "ops stuck explain", "ops verify latency"),
        "ops_verify",
    ),
    Procedure(
        "002:648",
        "Circuit breaker by hand",
        ("ops channel pause whatsapp --for 2h", "ops channel resume whatsapp"),
        "ops_channel",
        _PAUSE,
        "A row in the database, which all senders heed at once; no restart (decision 22).",
    ),
    Procedure(
        "002:655",
        "Emergency: stop everything, and restore",
        ("ops stop", "ops resume"),
        "ops_channel",
        f"{_STOP}\n{_RESUME}",
    ),
)
"""All procedures, in the order of the runbooks."""
