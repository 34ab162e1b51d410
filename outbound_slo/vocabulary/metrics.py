"""Every metric name, once: what it counts, its labels, who serves it and which runbook asked.

House names are canonical. The runbooks' own names (`alias_of`) are served beside them by the
exporter's compatibility block with the labels that the runbooks' expressions need (D2). Label
values are lower case (D1). Recorded series are made by Prometheus from the house metrics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class MetricKind(StrEnum):
    """Prometheus metric types that this project uses."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class Origin(StrEnum):
    """Which process the series comes from."""

    EXPORTER = "exporter"
    SENDER = "sender"
    RECORDING = "recording"
    MONITORING = "monitoring"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as users see it.

    Attributes:
        name: Name on the page; a counter's ends in `_total`, a histogram's has no suffix.
        kind: Its type.
        help: One line for `# HELP`, with the unit.
        labels: Label names, in order.
        origin: Who serves it.
        source: The runbook or decision that asks for it.
        alias_of: For a runbook's name: the house metric that it repeats.

    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...]
    origin: Origin
    source: str
    alias_of: str | None = None


SEND_LATENCY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Upper edges in seconds; 30 is the SLA's line (000), so it must be an edge."""

DELIVERY_LATENCY_BUCKETS = (
    0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0,
)  # fmt: skip
"""Upper edges in seconds; 30 and 60 are warning lines (002), 120 the SLA's (000)."""

PROVIDER_CALL_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper edges in seconds of one HTTP call; 000 calls 0.1 to 0.5 s normal, over 1 s slow."""

BUCKETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "outbound_send_latency_seconds": SEND_LATENCY_BUCKETS,
        "outbound_delivery_latency_seconds": DELIVERY_LATENCY_BUCKETS,
        "outbound_judged_delivery_latency_seconds": DELIVERY_LATENCY_BUCKETS,
    }
)
"""Upper edges in seconds by histogram, of those that an objective can be about."""

_G, _C, _H = MetricKind.GAUGE, MetricKind.COUNTER, MetricKind.HISTOGRAM
_EXP, _SND, _REC = Origin.EXPORTER, Origin.SENDER, Origin.RECORDING
_MON = Origin.MONITORING


# --- house metrics from the database ------------------------------------------------------------
QUEUE_DEPTH = Metric(
    "outbound_message_queue_depth", _G, "Messages by channel and status.",
    ("channel", "status"), _EXP, "000, 001, 002",
)  # fmt: skip
DEAD_LETTERS = Metric(
    "outbound_dead_letters", _G, "Failed messages whose attempts are used up.",
    ("channel", "error_code", "category"), _EXP, "000, 001, 002; D2, D7",
)  # fmt: skip
STUCK = Metric(
    "outbound_messages_stuck", _G,
    "Messages that should have moved on, one reason per rule; planned waits are left out.",
    ("channel", "status", "reason"), _EXP, "000, 001, 002; D9, D23",
)  # fmt: skip
RETRY_COUNT = Metric(
    "outbound_message_retry_count", _G, "Queued messages that wait for another attempt.",
    ("channel",), _EXP, "000",
)  # fmt: skip
OLDEST_AGE = Metric(
    "outbound_oldest_message_age_seconds", _G,
    "Age in seconds of the oldest message per state: queued (since created), due, sending.",
    ("channel", "state"), _EXP, "house",
)  # fmt: skip
BLOCKED = Metric(
    "outbound_messages_blocked", _G,
    "Due messages that wait for another one to their recipient to settle.",
    ("channel",), _EXP, "D19",
)  # fmt: skip
OLDEST_BLOCKED = Metric(
    "outbound_oldest_blocked_age_seconds", _G,
    "Seconds since the first message that waits for another one was due.",
    ("channel",), _EXP, "D19",
)  # fmt: skip
CHANNEL_PAUSED = Metric(
    "outbound_channel_paused", _G,
    "1 while somebody has paused the channel, by its own switch or by that of all, else 0.",
    ("channel",), _EXP, "002",
)  # fmt: skip
QUOTA_USED = Metric(
    "whatsapp_quota_used", _G, "Messages counted against the configured quota.",
    ("org_id",), _EXP, "000, 002; D39",
)  # fmt: skip
QUOTA_LIMIT = Metric(
    "whatsapp_quota_limit", _G, "Configured quota in messages per window.",
    ("org_id",), _EXP, "000, 002; D39",
)  # fmt: skip
QUOTA_REMAINING = Metric(
    "whatsapp_quota_remaining", _G, "Configured quota less what is used, in messages.",
    ("org_id",), _EXP, "002; D39",
)  # fmt: skip
UNIQUE_RECIPIENTS = Metric(
    "whatsapp_unique_recipients", _G,
    "Recipients of messages sent outside their service window in the last 24 hours.",
    ("org_id",), _EXP, "D39",
)  # fmt: skip
THROTTLE_REMAINING = Metric(
    "whatsapp_throttle_remaining_seconds", _G,
    "Seconds until the organisation may send again; 0 where it is not throttled.",
    ("org_id",), _EXP, "001, 002",
)  # fmt: skip
THROTTLED_ORGS = Metric(
    "whatsapp_throttled_organisations", _G, "Organisations with throttle_until in the future.",
    (), _EXP, "001, 002",
)  # fmt: skip
SESSION_EXPIRATION = Metric(
    "whatsapp_session_window_expiration_seconds", _G,
    "Seconds until the next active 24-hour window closes; absent when none is open.",
    ("channel",), _EXP, "000",
)  # fmt: skip
SESSION_ACTIVE = Metric(
    "whatsapp_session_windows_active", _G, "Open 24-hour service windows.",
    ("channel",), _EXP, "000",
)  # fmt: skip
ATTEMPTS = Metric(
    "outbound_attempts_total", _C,
    "Attempts by outcome: sent, failed, unknown, refused, deferred, or corrected (stands twice).",
    ("channel", "outcome", "error_code"), _EXP, "D3",
)  # fmt: skip
FINISHED = Metric(
    "outbound_messages_finished_total", _C,
    "Messages that reached an end of sending, by outcome (sent, failed, refused).",
    ("channel", "outcome", "error_code"), _EXP, "D3",
)  # fmt: skip
SEND_LATENCY = Metric(
    "outbound_send_latency_seconds", _H,
    "Seconds from when a message was due until the provider accepted it; planned waits left out.",
    ("channel",), _EXP, "000; D4, D30",
)  # fmt: skip
DELIVERY_LATENCY = Metric(
    "outbound_delivery_latency_seconds", _H,
    "Seconds from the provider's acceptance until the recipient's device had the message.",
    ("channel",), _EXP, "000, 001, 002; D4, D5",
)  # fmt: skip
RATE_LIMIT_HITS = Metric(
    "whatsapp_rate_limit_hits_total", _C, "Attempts that the provider refused for a rate limit.",
    (), _EXP, "000, 001",
)  # fmt: skip

JUDGED_DELIVERY = Metric(
    "outbound_judged_delivery_latency_seconds", _H,
    "Delivery latency in seconds of messages sent long enough ago to be judged by 120 s.",
    ("channel",), _EXP, "000; D5, DESIGN 4 (maturity)",
)  # fmt: skip
JUDGED_SENT = Metric(
    "outbound_judged_messages_sent_total", _C,
    "Messages sent long enough ago to be judged by whether they arrive within a day.",
    ("channel",), _EXP, "DESIGN 4 (maturity)",
)  # fmt: skip
JUDGED_REACHED = Metric(
    "outbound_judged_messages_reached_total", _C,
    "Of the judged messages those that arrived within a day.",
    ("channel",), _EXP, "DESIGN 4 (maturity)",
)  # fmt: skip
ATTEMPT_DURATION = Metric(
    "outbound_attempt_duration_seconds", _H,
    "Seconds from the claim of an attempt until its outcome; only those that asked a provider.",
    ("channel",), _EXP, "000 (provider latency)",
)  # fmt: skip
WEBHOOKS_OPEN = Metric(
    "outbound_webhooks_open", _G,
    "Stored webhooks that are not applied, by state (waiting, given_up).",
    ("provider", "state"), _EXP, "D25",
)  # fmt: skip
OLDEST_WEBHOOK = Metric(
    "outbound_oldest_webhook_age_seconds", _G,
    "Seconds since the oldest webhook that is not applied was received, by state.",
    ("provider", "state"), _EXP, "D25",
)  # fmt: skip
WEBHOOK_ACCEPTED_AT = Metric(
    "outbound_webhook_last_accepted_timestamp_seconds", _G,
    "Unix time in seconds when a provider's webhook was last accepted; absent before the first.",
    ("provider",), _EXP, "001; D25",
)  # fmt: skip
WEBHOOK_REJECTED_AT = Metric(
    "outbound_webhook_last_rejected_timestamp_seconds", _G,
    "Unix time in seconds when a webhook was last refused for its signature.",
    ("provider",), _EXP, "001; D25",
)  # fmt: skip
RECENT_NOTICES = Metric(
    "outbound_provider_notices_recent", _G,
    "Notices of the last 24 hours about accounts, numbers and templates.",
    ("provider", "kind", "severity"), _EXP, "house",
)  # fmt: skip
TEMPLATES = Metric(
    "whatsapp_templates", _G, "Templates by the state and the quality that Meta last told.",
    ("status", "quality"), _EXP, "000 (template errors)",
)  # fmt: skip

SENDERS = Metric(
    "outbound_senders", _G,
    "Sender processes that gave a sign of life lately, by state: claiming, or idle (told not to).",
    ("state",), _EXP, "002 (worker inactivity)",
)  # fmt: skip
SENDER_SEEN_AT = Metric(
    "outbound_sender_last_seen_timestamp_seconds", _G,
    "Unix time in seconds of the newest sign of life of any sender; absent before the first.",
    (), _EXP, "002 (worker inactivity)",
)  # fmt: skip
PAUSED_SINCE = Metric(
    "outbound_channel_paused_seconds", _G,
    "Seconds for which the channel has been paused; 0 where it is not.",
    ("channel",), _EXP, "002",
)  # fmt: skip
INTEGRITY = Metric(
    "outbound_integrity_violations", _G,
    "Rows that contradict themselves or each other, by check; checksum failures of the database.",
    ("check",), _EXP, "001 (data corruption)",
)  # fmt: skip
OLDEST_SNAPSHOT = Metric(
    "outbound_database_oldest_snapshot_seconds", _G,
    "Age in seconds of the oldest snapshot that keeps dead rows, by holder: transaction, prepared.",
    ("holder",), _EXP, "house (vacuum)",
)  # fmt: skip
AUTOVACUUM_AGE = Metric(
    "outbound_table_autovacuum_age_seconds", _G,
    "Seconds since a queue table was last vacuumed, by hand or by itself; absent before the first.",
    ("table",), _EXP, "house (vacuum)",
)  # fmt: skip
DEAD_ROWS = Metric(
    "outbound_table_dead_rows", _G, "Dead rows of a queue table, as PostgreSQL estimates them.",
    ("table",), _EXP, "house (vacuum)",
)  # fmt: skip
DEAD_ROWS_RATIO = Metric(
    "outbound_table_dead_rows_ratio", _G, "Share (0 to 1) of a queue table's rows that are dead.",
    ("table",), _EXP, "house (vacuum)",
)  # fmt: skip
FROZEN_AGE_RATIO = Metric(
    "outbound_table_frozen_age_ratio", _G,
    "Age of a queue table's oldest transaction or multixact over the age that forces a vacuum.",
    ("table",), _EXP, "house (vacuum)",
)  # fmt: skip
REPLICA_LAG = Metric(
    "outbound_replica_lag_seconds", _G,
    "Seconds by which a replica's replay lags behind, as the primary sees it, by its name.",
    ("replica",), _EXP, "house (replication)",
)  # fmt: skip
SLOT_RETAINED = Metric(
    "outbound_replication_slot_retained_bytes", _G,
    "Bytes of write-ahead log that a replication slot keeps the primary from removing.",
    ("slot", "active"), _EXP, "house (replication)",
)  # fmt: skip
ORGANISATION_FINISHED = Metric(
    "outbound_organisation_messages_finished_total", _C,
    "Messages of the organisations that are watched which reached an end of sending, by outcome.",
    ("org_id", "channel", "outcome"), _EXP, "house (objectives per organisation)",
)  # fmt: skip
ORGANISATION_QUEUE_DEPTH = Metric(
    "outbound_organisation_queue_depth", _G,
    "Messages of the organisations that are watched which are queued or being sent.",
    ("org_id", "channel", "status"), _EXP, "house (one organisation)",
)  # fmt: skip
ORGANISATION_STUCK = Metric(
    "outbound_organisation_messages_stuck", _G,
    "Messages of the organisations that are watched which should have moved on, each once.",
    ("org_id", "channel"), _EXP, "house (one organisation); D9, D23",
)  # fmt: skip
ORGANISATION_WINDOWS = Metric(
    "whatsapp_organisation_session_windows_active", _G,
    "Open 24-hour service windows of the organisations that are watched.",
    ("org_id",), _EXP, "house (one organisation); 000",
)  # fmt: skip
ORGANISATION_WINDOW_EXPIRATION = Metric(
    "whatsapp_organisation_session_window_expiration_seconds", _G,
    "Seconds until the organisation's next open window closes; absent when it has none.",
    ("org_id",), _EXP, "house (one organisation); 000",
)  # fmt: skip

# --- the rollup about itself --------------------------------------------------------------------
ROLLUP_READY = Metric(
    "outbound_rollup_ready", _G,
    "1 when the rollup has counted the messages; 0 while every refresh counts them.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip
ROLLUP_DRIFT = Metric(
    "outbound_rollup_drift_messages", _G,
    "Messages that stood in the wrong state when the rollup was last verified.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip
ROLLUP_VERIFIED = Metric(
    "outbound_rollup_verified_timestamp_seconds", _G,
    "Unix time in seconds when the rollup was last verified; absent before the first time.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip
ROLLUP_DELTAS = Metric(
    "outbound_rollup_deltas", _G,
    "Rows that wait for compaction; reading takes longer the more there are.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip
ROLLUP_MISSING_TRIGGERS = Metric(
    "outbound_rollup_missing_triggers", _G,
    "Triggers of the rollup that are missing or switched off; changes escape them.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip
ROLLUP_EPOCH = Metric(
    "outbound_rollup_epoch", _G,
    "A number for the database's history; where it changes, counters cannot be compared.",
    (), _EXP, "DESIGN 4",
)  # fmt: skip

# --- the runbooks' names for the same things (D2) -----------------------------------------------
QUEUE_DEPTH_BY_CHANNEL = Metric(
    "outbound_message_queue_depth_by_channel", _G, "Messages by channel and status.",
    ("channel", "status"), _EXP, "000", QUEUE_DEPTH.name,
)  # fmt: skip
DLQ_SIZE_002 = Metric(
    "outbound_message_dead_letter_queue_size", _G, "Failed messages whose attempts are used up.",
    (), _EXP, "000, 002", DEAD_LETTERS.name,
)  # fmt: skip
DLQ_SIZE_001 = Metric(
    "outbound_message_dlq_size", _G, "Failed messages whose attempts are used up.",
    (), _EXP, "000, 001", DEAD_LETTERS.name,
)  # fmt: skip
DLQ_MESSAGES = Metric(
    "outbound_message_dlq_messages", _G, "Failed messages whose attempts are used up.",
    ("channel",), _EXP, "001", DEAD_LETTERS.name,
)  # fmt: skip
STUCK_TOTAL = Metric(
    "outbound_message_stuck_total", _G, "Messages that should have moved on (a gauge; D4).",
    ("status",), _EXP, "000, 001", STUCK.name,
)  # fmt: skip
STUCK_ALERT = Metric(
    "whatsapp_message_stuck_alert", _G, "WhatsApp messages in SENDING for over 5 minutes (D23).",
    (), _EXP, "000", STUCK.name,
)  # fmt: skip
FAILURES_TOTAL = Metric(
    "outbound_message_failures_total", _C, "Attempts that failed.",
    ("channel", "error_code"), _EXP, "000, 001", ATTEMPTS.name,
)  # fmt: skip
SEND_FAILURE_TOTAL = Metric(
    "outbound_message_send_failure_total", _C, "Attempts that failed.",
    ("channel", "error_code"), _EXP, "002", ATTEMPTS.name,
)  # fmt: skip
SEND_SUCCESS_TOTAL = Metric(
    "outbound_message_send_success_total", _C, "Attempts that the provider accepted.",
    ("channel",), _EXP, "002", ATTEMPTS.name,
)  # fmt: skip
SENT_TOTAL = Metric(
    "outbound_message_sent_total", _C, "Messages that the provider accepted.",
    ("channel",), _EXP, "000, 001", FINISHED.name,
)  # fmt: skip
MESSAGE_TOTAL = Metric(
    "outbound_message_total", _C, "Messages that reached an end of sending.",
    ("channel",), _EXP, "000, 001", FINISHED.name,
)  # fmt: skip
DELIVERY_DURATION = Metric(
    "outbound_message_delivery_duration_seconds", _H, DELIVERY_LATENCY.help,
    ("channel",), _EXP, "000, 001", DELIVERY_LATENCY.name,
)  # fmt: skip
DELIVERY_LATENCY_002 = Metric(
    "outbound_message_delivery_latency_seconds", _H, DELIVERY_LATENCY.help,
    ("channel",), _EXP, "002", DELIVERY_LATENCY.name,
)  # fmt: skip

# --- the exporter about itself ------------------------------------------------------------------
# Where databases have names, each of these but the first and those of the configuration has the
# label `database` too.
EXPORTER_INFO = Metric(
    "outbound_exporter_build_info", _G, "Always 1; the version is a label.",
    ("version",), _EXP, "house",
)  # fmt: skip
EXPORTER_UP = Metric(
    "outbound_exporter_database_up", _G, "1 when the last refresh reached the database.",
    (), _EXP, "house",
)  # fmt: skip
EXPORTER_SNAPSHOT_AGE = Metric(
    "outbound_exporter_snapshot_timestamp_seconds", _G,
    "Unix time in seconds of the snapshot that this page shows; 0 before the first.",
    (), _EXP, "house",
)  # fmt: skip
EXPORTER_REFRESH_DURATION = Metric(
    "outbound_exporter_refresh_duration_seconds", _G, "Seconds that the last refresh took.",
    (), _EXP, "house",
)  # fmt: skip
QUERY_SUCCESS = Metric(
    "outbound_exporter_query_success", _G, "1 when the query's last run worked.",
    ("pack", "query"), _EXP, "house",
)  # fmt: skip
QUERY_DURATION = Metric(
    "outbound_exporter_query_duration_seconds", _G, "Seconds of the query's last run.",
    ("pack", "query"), _EXP, "house",
)  # fmt: skip
QUERY_ROWS = Metric(
    "outbound_exporter_query_rows", _G, "Rows of the query's last good run.",
    ("pack", "query"), _EXP, "house",
)  # fmt: skip
QUERY_LAST_SUCCESS = Metric(
    "outbound_exporter_query_last_success_timestamp_seconds", _G,
    "Unix time in seconds of the query's last good run; 0 before the first.",
    ("pack", "query"), _EXP, "house",
)  # fmt: skip
QUERY_ERRORS = Metric(
    "outbound_exporter_query_errors_total", _C,
    "Failed runs by reason: timeout, permission, schema, connection, cardinality, data, "
    "corruption.",
    ("pack", "query", "reason"), _EXP, "house",
)  # fmt: skip
QUERY_DROPPED_SERIES = Metric(
    "outbound_exporter_query_dropped_series", _G,
    "Label sets beyond max_series that the query's last good run left out.",
    ("pack", "query"), _EXP, "house",
)  # fmt: skip
COUNTER_REBASES = Metric(
    "outbound_exporter_counter_rebases_total", _C,
    "Times that a counter's source fell and the page kept its height.",
    (), _EXP, "house; D3",
)  # fmt: skip
EXPORTER_LEADER = Metric(
    "outbound_exporter_leader", _G,
    "1 on the replica of the exporter that asks the database and shows its numbers.",
    (), _EXP, "house",
)  # fmt: skip
DATABASE_IN_RECOVERY = Metric(
    "outbound_exporter_database_in_recovery", _G,
    "1 when the database is a replica; absent while it does not answer.",
    (), _EXP, "house",
)  # fmt: skip
REPLICATION_LAG = Metric(
    "outbound_exporter_replication_lag_seconds", _G,
    "Seconds by which a replica lags behind its primary; 0 on a primary.",
    (), _EXP, "house",
)  # fmt: skip
CONFIG_RELOAD_SUCCESS = Metric(
    "outbound_exporter_config_last_reload_successful", _G,
    "1 when the packs' files were fit to be served at the last reload.",
    (), _EXP, "house",
)  # fmt: skip
CONFIG_RELOAD_TIME = Metric(
    "outbound_exporter_config_last_reload_success_timestamp_seconds", _G,
    "Unix time in seconds at which the packs' files were last fit to be served.",
    (), _EXP, "house",
)  # fmt: skip

# --- the sender about itself --------------------------------------------------------------------
SENDER_STARTED = Metric(
    "outbound_sender_start_timestamp_seconds", _G,
    "Unix time in seconds when this process started; its version is a label.",
    ("version",), _SND, "house (deployments on dashboards)",
)  # fmt: skip
BREAKER_STATE = Metric(
    "resilience4j_circuitbreaker_state", _G,
    "Circuit breaker: 0 closed, 1 open, 2 half-open (000's dashboard).",
    ("name",), _SND, "000",
)  # fmt: skip
BREAKER_FAILURE_RATE = Metric(
    "resilience4j_circuitbreaker_failure_rate", _G,
    "Share in percent of failed calls in the breaker's window; -1 while it has too few.",
    ("name",), _SND, "000",
)  # fmt: skip
BREAKER_SLOW_CALL_RATE = Metric(
    "resilience4j_circuitbreaker_slow_call_rate", _G,
    "Share in percent of slow calls in the breaker's window; -1 while it has too few.",
    ("name",), _SND, "000",
)  # fmt: skip
BREAKER_BUFFERED_CALLS = Metric(
    "resilience4j_circuitbreaker_buffered_calls", _G,
    "Calls in the breaker's window, by kind: failed or successful.",
    ("name", "kind"), _SND, "000 (resilience4j)",
)  # fmt: skip
BREAKER_NOT_PERMITTED = Metric(
    "resilience4j_circuitbreaker_not_permitted_calls_total", _C,
    "Attempts put back because the breaker let no call through.",
    ("name",), _SND, "000 (resilience4j); D31",
)  # fmt: skip
WEBHOOKS = Metric(
    "outbound_webhooks_total", _C, "Webhook requests by result (accepted, rejected, malformed).",
    ("provider", "result"), _SND, "D25",
)  # fmt: skip
SIGNATURE_FAILURES = Metric(
    "whatsapp_webhook_signature_failures_total", _C, "Webhooks whose signature did not match.",
    (), _SND, "001",
)  # fmt: skip
RECEIPTS = Metric(
    "outbound_receipts_total", _C,
    "Receipts in webhooks by effect: moved a message, confirmed, repeated, late, unmatched.",
    ("provider", "effect"), _SND, "house; D12, D17",
)  # fmt: skip
PROVIDER_NOTICES = Metric(
    "outbound_provider_notices_total", _C,
    "Notices by webhook about accounts, numbers and templates; a repeated one counts once.",
    ("provider", "kind", "severity"), _SND, "house",
)  # fmt: skip
RECIPIENT_WISHES = Metric(
    "outbound_recipient_wishes_total", _C,
    "Recipients who asked through the provider to stop or to resume messages.",
    ("channel", "wish"), _SND, "003; D35",
)  # fmt: skip
PROVIDER_CALL = Metric(
    "outbound_provider_call_duration_seconds", _H, "Seconds of one HTTP call to the provider.",
    ("channel",), _SND, "002",
)  # fmt: skip
IN_FLIGHT = Metric(
    "outbound_sender_in_flight", _G, "Messages claimed by this process and not settled yet.",
    (), _SND, "house",
)  # fmt: skip
CLAIMED = Metric(
    "outbound_sender_claimed_total", _C, "Messages that this process claimed.",
    ("channel",), _SND, "house",
)  # fmt: skip
LAST_PROCESSED = Metric(
    "outbound_sender_last_settled_timestamp_seconds", _G,
    "Unix time in seconds when this process last settled a message; 0 before the first.",
    (), _SND, "000 (worker health)",
)  # fmt: skip
RECOVERED = Metric(
    "outbound_sender_recovered_total", _C,
    "Messages taken out of SENDING by the sweep, by what became of them (requeued, failed).",
    ("result",), _SND, "000; D9, D12",
)  # fmt: skip
RESENDS_HELD = Metric(
    "outbound_sender_resends_held", _G,
    "Messages of unknown outcome that are not sent again while webhooks are silent or refused.",
    ("channel",), _SND, "D12",
)  # fmt: skip
DROPPED_SPANS = Metric(
    "outbound_dropped_spans_total", _C, "Spans lost because the trace collector was not there.",
    (), _SND, "DESIGN 6",
)  # fmt: skip
REFUSALS = Metric(
    "outbound_sender_refusals_total", _C,
    "Messages that this process did not send because a rule of ours forbids it, by its code.",
    ("channel", "error_code"), _SND, "000, 003, 004; D35",
)  # fmt: skip
DEFERRALS = Metric(
    "outbound_sender_deferrals_total", _C,
    "Messages that this process put off because a rule of ours asks for it, by its code.",
    ("channel", "error_code"), _SND, "003; D30, D31",
)  # fmt: skip
LIMITED_CLAIMS = Metric(
    "outbound_sender_limited_claims_total", _C,
    "Claims of this process that left a channel out: its limit of messages per second was reached.",
    ("channel",), _SND, "002 (Redis, for rate limiting)",
)  # fmt: skip
SHARED_LIMIT_UP = Metric(
    "outbound_sender_shared_limit_up", _G,
    "1: limits per second are shared through this store; 0: it is gone, and this process keeps to "
    "its part of them. Absent where none is configured.",
    ("store",), _SND, "002 (Redis, for rate limiting)",
)  # fmt: skip
API_VERSION_DAYS = Metric(
    "whatsapp_api_version_expires_days", _G, "Days until the configured Graph API version ends.",
    ("version",), _SND, "D13",
)  # fmt: skip

TOKEN_DAYS = Metric(
    "whatsapp_access_token_expires_days", _G,
    "Days until the access token ends; absent where WHATSAPP_ACCESS_TOKEN_EXPIRES_AT is not set.",
    (), _SND, "001, 002 (token expired)",
)  # fmt: skip

# --- Prometheus and Alertmanager about themselves -----------------------------------------------
UP = Metric(
    "up", _G, "1 when Prometheus could scrape the target.", ("job", "instance"), _MON, "Prometheus",
)  # fmt: skip
RULE_FAILURES = Metric(
    "prometheus_rule_evaluation_failures_total", _C, "Rules that could not be evaluated.",
    ("rule_group",), _MON, "Prometheus",
)  # fmt: skip
RULE_ITERATIONS_MISSED = Metric(
    "prometheus_rule_group_iterations_missed_total", _C,
    "Evaluations that were left out because the one before still ran.",
    ("rule_group",), _MON, "Prometheus",
)  # fmt: skip
ALERTS_DROPPED = Metric(
    "prometheus_notifications_dropped_total", _C,
    "Alerts that Prometheus could not hand to any Alertmanager.", (), _MON, "Prometheus",
)  # fmt: skip
ALERTMANAGERS_FOUND = Metric(
    "prometheus_notifications_alertmanagers_discovered", _G,
    "Alertmanagers that Prometheus knows of.", (), _MON, "Prometheus",
)  # fmt: skip
NOTIFICATIONS_FAILED = Metric(
    "alertmanager_notifications_failed_total", _C, "Notifications that a receiver did not take.",
    ("integration",), _MON, "Alertmanager",
)  # fmt: skip
NOTIFICATIONS = Metric(
    "alertmanager_notifications_total", _C, "Notifications that Alertmanager tried to send.",
    ("integration",), _MON, "Alertmanager",
)  # fmt: skip
CONFIG_RELOADED = Metric(
    "alertmanager_config_last_reload_successful", _G,
    "1 when Alertmanager took its configuration at the last reload.", (), _MON, "Alertmanager",
)  # fmt: skip
ALERTS = Metric(
    "ALERTS", _G, "1 for each alert that is pending or firing.",
    ("alertname", "alertstate", "severity", "level", "family", "channel", "org_id"),
    _MON, "Prometheus",
)  # fmt: skip

# --- recorded by Prometheus ---------------------------------------------------------------------
SEND_LATENCY_QUANTILE = Metric(
    "outbound_message_send_latency_seconds", _G,
    "Send latency by quantile, in seconds (000's panel and SLA table).",
    ("channel", "quantile"), _REC, "000; D4", SEND_LATENCY.name,
)  # fmt: skip
DELIVERY_LATENCY_QUANTILE = Metric(
    "outbound_message_delivered_latency_seconds", _G,
    "Delivery latency by quantile, in seconds (000's panel and SLA table).",
    ("channel", "quantile"), _REC, "000; D4", DELIVERY_LATENCY.name,
)  # fmt: skip

# Recorded names are level:metric:operation. A window in a name is production's; a demonstration's
# clock shortens the window and keeps the name.
ATTEMPTS_SUM = Metric(
    "channel:outbound_attempts:sum", _G, "Attempts that ended, whatever their outcome.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
ACCEPTED_SUM = Metric(
    "channel:outbound_attempts_accepted:sum", _G, "Attempts that the provider accepted.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
ATTEMPTS_1M = Metric(
    "channel:outbound_attempts:increase1m", _G, "Attempts that ended within a minute.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
ACCEPTED_1M = Metric(
    "channel:outbound_attempts_accepted:increase1m", _G, "Attempts accepted within a minute.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
ATTEMPTS_5M = Metric(
    "channel:outbound_attempts:increase5m", _G, "Attempts that ended within 5 minutes.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
ACCEPTED_5M = Metric(
    "channel:outbound_attempts_accepted:increase5m", _G, "Attempts accepted within 5 minutes.",
    ("channel",), _REC, "D3", ATTEMPTS.name,
)  # fmt: skip
FAILURE_RATIO = Metric(
    "channel:outbound_attempts_failed:ratio5m", _G,
    "Share (0 to 1) of the attempts of 5 minutes that were not accepted; 0 without attempts.",
    ("channel",), _REC, "001, 002; D3", ATTEMPTS.name,
)  # fmt: skip
FINISHED_SUM = Metric(
    "channel:outbound_messages_finished:sum", _G, "Messages that reached an end of sending.",
    ("channel",), _REC, "D3", FINISHED.name,
)  # fmt: skip
SENT_SUM = Metric(
    "channel:outbound_messages_sent:sum", _G, "Messages that the provider accepted.",
    ("channel",), _REC, "D3", FINISHED.name,
)  # fmt: skip
FINISHED_5M = Metric(
    "channel:outbound_messages_finished:increase5m", _G, "Messages that ended within 5 minutes.",
    ("channel",), _REC, "D3", FINISHED.name,
)  # fmt: skip
SENT_5M = Metric(
    "channel:outbound_messages_sent:increase5m", _G, "Messages accepted within 5 minutes.",
    ("channel",), _REC, "D3", FINISHED.name,
)  # fmt: skip
SUCCESS_RATIO = Metric(
    "channel:outbound_messages_success:ratio5m", _G,
    "Share (0 to 1) of the messages ended within 5 minutes that were sent; 1 if none ended.",
    ("channel",), _REC, "000; D3", FINISHED.name,
)  # fmt: skip
SEND_LATENCY_5M = Metric(
    "channel:outbound_send_latency:count5m", _G, "Messages timed for send latency in 5 minutes.",
    ("channel",), _REC, "000; D4", SEND_LATENCY.name,
)  # fmt: skip
DELIVERY_LATENCY_5M = Metric(
    "channel:outbound_delivery_latency:count5m", _G,
    "Messages timed for delivery latency in 5 minutes.",
    ("channel",), _REC, "000; D4", DELIVERY_LATENCY.name,
)  # fmt: skip
QUEUED_SUM = Metric(
    "channel:outbound_messages_queued:sum", _G, "Queued messages per channel.",
    ("channel",), _REC, "D22", QUEUE_DEPTH.name,
)  # fmt: skip
QUEUED_TOTAL = Metric(
    "outbound:messages_queued:sum", _G, "Queued messages on all channels together.",
    (), _REC, "D22", QUEUE_DEPTH.name,
)  # fmt: skip
DEAD_UNWANTED = Metric(
    "channel:outbound_dead_letters_unwanted:sum", _G,
    "Dead letters per channel but those of recipients who want no messages.",
    ("channel",), _REC, "001, 002; D2, D3", DEAD_LETTERS.name,
)  # fmt: skip
DEAD_TOTAL = Metric(
    "outbound:dead_letters_unwanted:sum", _G,
    "Dead letters on all channels but those of recipients who want no messages.",
    (), _REC, "001, 002; D2, D3", DEAD_LETTERS.name,
)  # fmt: skip
BREAKER_HOLDS = Metric(
    "instance:outbound_breaker_not_closed:bool", _G,
    "1 while a sender's breaker is open or half-open, else 0.",
    ("instance", "channel"), _REC, "000", BREAKER_STATE.name,
)  # fmt: skip
RECEIPT_SILENCE = Metric(
    "channel:outbound_webhook_accepted:age_seconds", _G,
    "Seconds since a webhook of the channel's provider was last accepted.",
    ("channel",), _REC, "001; D25", WEBHOOK_ACCEPTED_AT.name,
)  # fmt: skip
WEBHOOKS_WAITING = Metric(
    "channel:outbound_webhooks_waiting:age_seconds", _G,
    "Seconds since the oldest webhook was received that waits to be applied.",
    ("channel",), _REC, "001; D25", OLDEST_WEBHOOK.name,
)  # fmt: skip
WEBHOOKS_GIVEN_UP = Metric(
    "channel:outbound_webhooks_given_up:sum", _G, "Webhooks that nobody tries to apply any more.",
    ("channel",), _REC, "001; D25", WEBHOOKS_OPEN.name,
)  # fmt: skip
WINDOW_REFUSALS = Metric(
    "channel:outbound_window_refusals:sum", _G,
    "Attempts that a closed 24-hour window forbade, by our own check or the provider's.",
    ("channel",), _REC, "000", ATTEMPTS.name,
)  # fmt: skip
TEMPLATES_STOPPED = Metric(
    "outbound:whatsapp_templates_stopped:sum", _G, "Templates that Meta has paused or disabled.",
    (), _REC, "000 (template errors)", TEMPLATES.name,
)  # fmt: skip
PROVIDER_CALL_5M = Metric(
    "channel:outbound_provider_call:count5m", _G, "Calls to the provider within 5 minutes.",
    ("channel",), _REC, "002", PROVIDER_CALL.name,
)  # fmt: skip
PROVIDER_CALL_P95 = Metric(
    "channel:outbound_provider_call:p95_5m", _G,
    "95th percentile of the seconds of a call to the provider within 5 minutes; 0 without calls.",
    ("channel",), _REC, "002", PROVIDER_CALL.name,
)  # fmt: skip
QUOTA_RATIO = Metric(
    "org:whatsapp_quota_used:ratio", _G, "Share (0 to 1) of its quota that an organisation used.",
    ("org_id",), _REC, "000, 002", QUOTA_USED.name,
)  # fmt: skip
SNAPSHOT_AGE = Metric(
    "outbound:exporter_snapshot:age_seconds", _G,
    "Seconds since the newest snapshot that any exporter shows.",
    (), _REC, "house", EXPORTER_SNAPSHOT_AGE.name,
)  # fmt: skip
PAGES_FIRING = Metric(
    "page:outbound_alerts_critical:group", _G,
    "1 for each page that fires, by the level that it calls.",
    ("page", "page_family", "level", "channel", "org_id"), _REC, "001", ALERTS.name,
)  # fmt: skip
PAGE_SINCE = Metric(
    "page:outbound_alerts_critical:since_seconds", _G,
    "Since when each page fires, in seconds since 1970; short gaps do not count as an end.",
    ("page", "page_family", "channel", "org_id"), _REC, "001", ALERTS.name,
)  # fmt: skip

# --- objectives: alerts/slos; a label that an objective does not group by is left out ------------
_SLO = ("slo", "sli", "channel", "org_id")
_SLO_BUDGET = ("slo", "channel", "org_id")
EPOCH_INFO = Metric(
    "instance:outbound_rollup_epoch:info", _G,
    "Always 1; the epoch that an exporter's counters belong to is a label.",
    ("job", "instance", "database", "epoch"), _REC, "DESIGN 7", ROLLUP_EPOCH.name,
)  # fmt: skip
SLO_EVENTS_SHOWN = Metric(
    "slo:events:shown", _G, "Events that an objective judges, as exporters show them now.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_GOOD_SHOWN = Metric(
    "slo:good_events:shown", _G, "Of them the good ones; zero-filled.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS = Metric(
    "slo:events:sum", _G, "Events of an objective; kept while nobody shows them, ended epochs too.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_GOOD = Metric(
    "slo:good_events:sum", _G, "Good events of an objective, kept in the same way.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_FIRST = Metric(
    "slo:events:first", _G, "Events of an objective once an hour, and first of all.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_GOOD_FIRST = Metric(
    "slo:good_events:first", _G, "Good events of an objective once an hour, and first of all.",
    (*_SLO, "epoch"), _REC, "DESIGN 7",
)  # fmt: skip
SLO_FRESH = Metric(
    "slo:snapshot_fresh:bool", _G, "1 where the newest snapshot was young enough, else 0.",
    _SLO, _REC, "DESIGN 7", EXPORTER_SNAPSHOT_AGE.name,
)  # fmt: skip
SLO_EVENTS_5M = Metric(
    "slo:events:increase5m", _G, "Events of an objective within 5 minutes.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_30M = Metric(
    "slo:events:increase30m", _G, "Events of an objective within 30 minutes.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_1H = Metric(
    "slo:events:increase1h", _G, "Events of an objective within an hour.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_2H = Metric(
    "slo:events:increase2h", _G, "Events of an objective within 2 hours.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_6H = Metric(
    "slo:events:increase6h", _G, "Events of an objective within 6 hours.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_1D = Metric(
    "slo:events:increase1d", _G, "Events of an objective within a day.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_3D = Metric(
    "slo:events:increase3d", _G, "Events of an objective within 3 days.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EVENTS_PERIOD = Metric(
    "slo:events:increase_period", _G, "Events of an objective within its period.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_5M = Metric(
    "slo:bad_events:increase5m", _G, "Bad events of an objective within 5 minutes.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_30M = Metric(
    "slo:bad_events:increase30m", _G, "Bad events of an objective within 30 minutes.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_1H = Metric(
    "slo:bad_events:increase1h", _G, "Bad events of an objective within an hour.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_2H = Metric(
    "slo:bad_events:increase2h", _G, "Bad events of an objective within 2 hours.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_6H = Metric(
    "slo:bad_events:increase6h", _G, "Bad events of an objective within 6 hours.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_1D = Metric(
    "slo:bad_events:increase1d", _G, "Bad events of an objective within a day.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_3D = Metric(
    "slo:bad_events:increase3d", _G, "Bad events of an objective within 3 days.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_BAD_PERIOD = Metric(
    "slo:bad_events:increase_period", _G, "Bad events of an objective within its period.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_5M = Metric(
    "slo:bad_events:ratio5m", _G,
    "Share (0 to 1) of the events within 5 minutes that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_30M = Metric(
    "slo:bad_events:ratio30m", _G,
    "Share (0 to 1) of the events within 30 minutes that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_1H = Metric(
    "slo:bad_events:ratio1h", _G,
    "Share (0 to 1) of the events within an hour that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_2H = Metric(
    "slo:bad_events:ratio2h", _G,
    "Share (0 to 1) of the events within 2 hours that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_6H = Metric(
    "slo:bad_events:ratio6h", _G,
    "Share (0 to 1) of the events within 6 hours that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_1D = Metric(
    "slo:bad_events:ratio1d", _G,
    "Share (0 to 1) of the events within a day that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_3D = Metric(
    "slo:bad_events:ratio3d", _G,
    "Share (0 to 1) of the events within 3 days that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_RATIO_PERIOD = Metric(
    "slo:bad_events:ratio_period", _G,
    "Share (0 to 1) of the events within its period that were bad; 0 without events.",
    _SLO, _REC, "DESIGN 7",
)  # fmt: skip
SLO_OBJECTIVE = Metric(
    "slo:objective:ratio", _G, "Share (0 to 1) of events that have to be good.",
    ("slo",), _REC, "DESIGN 7",
)  # fmt: skip
SLO_BUDGET = Metric(
    "slo:error_budget:ratio", _G, "Share (0 to 1) of events that may be bad.",
    ("slo",), _REC, "DESIGN 7",
)  # fmt: skip
SLO_PERIOD = Metric(
    "slo:period:seconds", _G, "Seconds over which an objective judges.",
    ("slo",), _REC, "DESIGN 7",
)  # fmt: skip
SLO_REMAINING = Metric(
    "slo:error_budget:remaining", _G,
    "Share of the period's budget that is left: 1 when untouched, below 0 when overspent.",
    _SLO_BUDGET, _REC, "DESIGN 7",
)  # fmt: skip
SLO_EXHAUSTION = Metric(
    "slo:error_budget:exhaustion_seconds", _G,
    "Seconds until the budget is spent at the pace of the last 6 hours; absent if nothing fails.",
    _SLO_BUDGET, _REC, "DESIGN 7",
)  # fmt: skip


def _index(candidates: Iterable[object]) -> Mapping[str, Metric]:
    found = [metric for metric in candidates if isinstance(metric, Metric)]
    return MappingProxyType({metric.name: metric for metric in found})


METRICS: Mapping[str, Metric] = _index(list(globals().values()))
"""Every metric above by its name."""
