"""When a repair has worked: the criteria of the runbooks' procedures, each once.

`outbound-slo ops verify` measures them, and the runbook pages print the same list. The lines are in
`thresholds.py`; a sentence names no number, so that none can differ from its line.

Sources: 001's three lists of recovery criteria; where 000 and 002 only say when something is wrong,
the opposite of that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.thresholds import Threshold

_MINUTE_S = 60


class RecoveryName(StrEnum):
    """What `ops verify` can be asked for."""

    RETRY = "retry"
    OUTAGE = "outage"
    QUOTA = "quota"
    WEBHOOKS = "webhooks"
    STUCK = "stuck"
    QUEUE = "queue"
    DLQ = "dlq"
    FAILURE_RATE = "failure-rate"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that must hold.

    Attributes:
        key: Its name in JSON; unique.
        sentence: What must be the case, without numbers.
        line: The number, its unit, and the seconds that are looked at (`hold_s`).
        source: Runbook and section that ask for it.

    """

    key: str
    sentence: str
    line: Threshold
    source: str

    def tell_line(self, window_s: float | None = None) -> str:
        """Write the line for people: `> 80 %, last 30 min`.

        Args:
            window_s: Seconds looked at, where they are not the criterion's own.

        """
        looked_at = self.line.hold_s if window_s is None else window_s
        if not looked_at:
            return self.line.text
        return f"{self.line.text}, last {looked_at / _MINUTE_S:g} min"


@dataclass(frozen=True, slots=True)
class Recovery:
    """The criteria that hold together once a trouble is over.

    Attributes:
        name: What it is asked for by.
        title: What must be over.
        procedure: What came before: the runbook's section.
        criteria: All that must hold.

    """

    name: RecoveryName
    title: str
    procedure: str
    criteria: tuple[Criterion, ...]


_RETRY = '001, "Procedure 1: Manual Retry for Temporary Failures", Recovery Criteria'
_QUOTA = '001, "Procedure 3: Rate Limit Backoff and Management", Recovery Criteria'
_WEBHOOKS = '001, "Webhook Signature Validation Failures", Recovery Criteria'

RETRIED = Criterion("retried", "Retried messages get out", t.RECOVERY_RETRIED, _RETRY)
FAILURES = Criterion("failures", "Few attempts fail", t.RECOVERY_FAILURES, _RETRY)
TREND = Criterion(
    "trend", "The queue does not grow: change of messages due", t.RECOVERY_TREND, _RETRY
)
TEMPORARY = Criterion("temporary_errors", "No new temporary errors", t.RECOVERY_TEMPORARY, _RETRY)
RATE_LIMITED = Criterion(
    "rate_limit_errors", "No rate limit errors", t.RECOVERY_RATE_LIMITED, _QUOTA
)
ACCEPTED = Criterion(
    "accepted", "Messages are accepted by the provider", t.RECOVERY_ACCEPTED, _QUOTA
)
USAGE = Criterion(
    "usage", "Quota usage of the organisation nearest to its limit", t.RECOVERY_QUOTA, _QUOTA
)
THROTTLE = Criterion("throttle", "No organisation is throttled", t.RECOVERY_THROTTLE, _QUOTA)
SIGNATURES = Criterion(
    "signatures", "Webhooks pass their signature check", t.RECOVERY_SIGNATURES, _WEBHOOKS
)
INBOUND = Criterion("inbound", "Inbound messages come in", t.RECOVERY_INBOUND, _WEBHOOKS)
UNPROCESSED = Criterion(
    "unprocessed",
    "Webhooks are processed: age of the oldest that waits",
    t.RECOVERY_UNPROCESSED,
    _WEBHOOKS,
)
REFUSED = Criterion(
    "refused",
    "No webhook was answered 401 after the last accepted one",
    t.RECOVERY_REFUSED,
    _WEBHOOKS,
)
WINDOWS = Criterion("windows", "Session windows are updated", t.RECOVERY_WINDOWS, _WEBHOOKS)
QUIET = Criterion(
    "quiet",
    "No signature failure for long enough: time since the last",
    t.RECOVERY_QUIET,
    _WEBHOOKS,
)
STUCK = Criterion(
    "stuck",
    "No message is stuck",
    t.RECOVERY_STUCK,
    '000, "Recovering Stuck Messages"; 002, "Stuck Messages (High Retry Count)"',
)
DEPTH = Criterion(
    "depth",
    "The queue is below its lowest alert line",
    t.RECOVERY_QUEUE,
    '000, alert rules; 001, "Outbound Queue Backup"; 002, "High Queue Depth"',
)
DEAD = Criterion(
    "dead_letters",
    "The dead-letter queue is below its alert line",
    t.RECOVERY_DEAD,
    '001, "Dead Letter Queue"; 002, "Dead Letter Queue Growth"',
)
DEAD_NEW = Criterion(
    "new_dead_letters",
    "The dead-letter queue does not grow",
    t.RECOVERY_DEAD_NEW,
    '001, "Dead Letter Queue", Symptoms; 002, "Dead Letter Queue Growth"',
)
SUCCESS = Criterion(
    "success", "Attempts succeed", t.RECOVERY_SUCCESS, '002, "High Failure Rate", Symptoms'
)
SEND_P95 = Criterion(
    "send_p95",
    "Messages are sent soon after they are due",
    t.RECOVERY_SEND_P95,
    '000, "Key Dashboard Metrics"',
)
DELIVERY_P95 = Criterion(
    "delivery_p95",
    "Messages are delivered soon after they are sent",
    t.RECOVERY_DELIVERY_P95,
    '002, "High Delivery Latency", Symptoms',
)
DELIVERY_P99 = Criterion(
    "delivery_p99",
    "Nearly all messages are delivered soon after they are sent",
    t.RECOVERY_DELIVERY_P99,
    '002, "High Delivery Latency", Symptoms',
)
BREAKER = Criterion(
    "breaker",
    "No sender's circuit breaker is open",
    t.RECOVERY_BREAKER,
    '000, "Circuit Breaker Opened"; 001, "WhatsApp Provider Outages"',
)

_ALL = (
    Recovery(
        RecoveryName.RETRY,
        "Failed messages were sent again",
        '001, "Procedure 1: Manual Retry for Temporary Failures"',
        (RETRIED, FAILURES, TREND, TEMPORARY),
    ),
    Recovery(
        RecoveryName.OUTAGE,
        "The provider takes messages again",
        '001, "WhatsApp Provider Outages"; 002, P0',
        (ACCEPTED, FAILURES, TEMPORARY, BREAKER, STUCK, TREND),
    ),
    Recovery(
        RecoveryName.QUOTA,
        "Quota and rate limits hold nothing up",
        '001, "Procedure 3: Rate Limit Backoff and Management"',
        (RATE_LIMITED, ACCEPTED, USAGE, THROTTLE),
    ),
    Recovery(
        RecoveryName.WEBHOOKS,
        "The provider's webhooks are believed and applied",
        '001, "Webhook Signature Validation Failures"',
        (SIGNATURES, INBOUND, UNPROCESSED, REFUSED, WINDOWS, QUIET),
    ),
    Recovery(
        RecoveryName.STUCK, "No message is stuck", '000, "Recovering Stuck Messages"', (STUCK,)
    ),
    Recovery(
        RecoveryName.QUEUE,
        "The queue is short and falls",
        '001, "Outbound Queue Backup Scenarios"; 002, "High Queue Depth"',
        (DEPTH, TREND, STUCK),
    ),
    Recovery(
        RecoveryName.DLQ,
        "The dead-letter queue is under control",
        '001, "Dead Letter Queue (DLQ) Processing"; 002, "Dead Letter Queue Growth"',
        (DEAD, DEAD_NEW),
    ),
    Recovery(
        RecoveryName.FAILURE_RATE,
        "Attempts succeed again",
        '002, "High Failure Rate"',
        (SUCCESS, TEMPORARY),
    ),
    Recovery(
        RecoveryName.LATENCY,
        "Messages are quick again",
        '002, "High Delivery Latency"',
        (SEND_P95, DELIVERY_P95, DELIVERY_P99),
    ),
)

RECOVERIES: Mapping[RecoveryName, Recovery] = MappingProxyType({each.name: each for each in _ALL})
"""Every recovery by its name."""


_MEASURED: Mapping[RecoveryName, tuple[AlertName, ...]] = {
    RecoveryName.OUTAGE: (
        AlertName.OUTAGE,
        AlertName.PROVIDER_DOWN,
        AlertName.BREAKER_OPEN,
        AlertName.BREAKER_FLAPPING,
        AlertName.ACCOUNT_RESTRICTED,
    ),
    RecoveryName.FAILURE_RATE: (
        AlertName.HIGH_FAILURE_RATE,
        AlertName.ELEVATED_FAILURE_RATE,
        AlertName.SUCCESS_RATE_LOW,
        AlertName.FEW_MESSAGES_FAIL,
        AlertName.RETRY_STORM,
    ),
    RecoveryName.LATENCY: (AlertName.SEND_LATENCY_HIGH, AlertName.DELIVERY_LATENCY_HIGH),
    RecoveryName.QUEUE: (
        AlertName.QUEUE_BACKUP,
        AlertName.TOTAL_QUEUE_BACKUP,
        AlertName.QUEUE_GROWING,
        AlertName.WORKER_INACTIVE,
    ),
    RecoveryName.STUCK: (AlertName.STUCK_IN_SENDING, AlertName.STUCK_IN_QUEUE),
    RecoveryName.DLQ: (
        AlertName.DLQ_OVERFLOW,
        AlertName.TOTAL_DLQ_OVERFLOW,
        AlertName.DLQ_GROWING,
    ),
    RecoveryName.QUOTA: (AlertName.QUOTA_HIGH, AlertName.ORGANISATION_THROTTLED),
    RecoveryName.WEBHOOKS: (
        AlertName.SIGNATURE_FAILURES,
        AlertName.WEBHOOK_SILENCE,
        AlertName.WEBHOOKS_UNPROCESSED,
    ),
}

RECOVERED_BY: Mapping[AlertName, RecoveryName | None] = MappingProxyType(
    dict.fromkeys(AlertName)
    | {alert: recovery for recovery, alerts in _MEASURED.items() for alert in alerts}
)
"""What is measured to say that an alert's trouble is over; None where the outbox can't tell."""


def _index(recoveries: Iterable[Recovery]) -> Mapping[str, Criterion]:
    found = [each for recovery in recoveries for each in recovery.criteria]
    return MappingProxyType({each.key: each for each in found})


CRITERIA: Mapping[str, Criterion] = _index(_ALL)
"""Every criterion by its key."""
