"""Names of alerts, what their labels mean, and which alert answers a runbook's name for one.

Sources: 000 and 001 name the alerts, 001 the three levels, 002 the priorities; where they
disagree, D24 decides: one table here, and level 1 has 15 minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

_MINUTE = 60
_HOUR = 60 * _MINUTE


class AlertName(StrEnum):
    """Every alert; names of 000 and 001 are kept, what covers all channels starts with Outbound."""

    OUTAGE = "OutboundOutage"
    PROVIDER_DOWN = "WhatsAppProviderDown"
    HIGH_FAILURE_RATE = "WhatsAppHighFailureRate"
    ELEVATED_FAILURE_RATE = "OutboundHighFailureRate"
    PROVIDER_SLOW = "OutboundProviderSlow"
    SUCCESS_RATE_LOW = "OutboundSuccessRateLow"
    SEND_LATENCY_HIGH = "OutboundSendLatencyHigh"
    DELIVERY_LATENCY_HIGH = "OutboundDeliveryLatencyHigh"
    QUEUE_BACKUP = "WhatsAppQueueBackup"
    TOTAL_QUEUE_BACKUP = "OutboundQueueBackup"
    STUCK_IN_SENDING = "WhatsAppMessagesStuckInSending"
    STUCK_IN_QUEUE = "OutboundMessagesStuckInQueue"
    DLQ_OVERFLOW = "WhatsAppDLQOverflow"
    TOTAL_DLQ_OVERFLOW = "OutboundDLQOverflow"
    SIGNATURE_FAILURES = "WhatsAppWebhookSignatureFailures"
    QUOTA_HIGH = "WhatsAppQuotaHigh"
    EXPORTER_STALE = "OutboundExporterStale"
    QUERY_FAILING = "OutboundExporterQueryFailing"
    SERIES_DROPPED = "OutboundExporterSeriesDropped"
    COUNTER_REBASED = "OutboundExporterCounterRebased"
    RELOAD_FAILED = "OutboundExporterReloadFailed"
    ROLLUP_DRIFT = "OutboundRollupDrift"
    ROLLUP_UNCOMPACTED = "OutboundRollupUncompacted"
    NO_DATA = "OutboundNoData"
    NO_TRAFFIC = "OutboundNoTraffic"
    SPANS_DROPPED = "OutboundSpansDropped"
    ERROR_BUDGET_BURN = "OutboundErrorBudgetBurn"
    ERROR_BUDGET_SPENT = "OutboundErrorBudgetSpent"
    FEW_MESSAGES_FAIL = "OutboundFewMessagesFail"
    QUEUE_GROWING = "OutboundQueueGrowing"
    DLQ_GROWING = "OutboundDLQGrowing"
    RETRY_STORM = "OutboundRetryStorm"
    ORGANISATION_THROTTLED = "WhatsAppOrganisationThrottled"
    BREAKER_OPEN = "OutboundBreakerOpen"
    BREAKER_FLAPPING = "OutboundBreakerFlapping"
    WEBHOOK_SILENCE = "OutboundWebhookSilence"
    WEBHOOKS_UNPROCESSED = "OutboundWebhooksUnprocessed"
    SESSION_WINDOW_CLOSED = "WhatsAppSessionWindowClosed"
    WORKER_INACTIVE = "OutboundWorkerInactive"
    PAUSE_LASTING = "OutboundPauseLasting"
    TOKEN_EXPIRING = "WhatsAppTokenExpiring"  # noqa: S105 - an alert's name
    API_VERSION_EXPIRING = "WhatsAppApiVersionExpiring"
    TEMPLATE_PAUSED = "WhatsAppTemplatePaused"
    ACCOUNT_RESTRICTED = "WhatsAppAccountRestricted"
    EXPORTER_DOWN = "OutboundExporterDown"
    RULES_FAILING = "OutboundRulesFailing"
    NOTIFICATIONS_FAILING = "OutboundNotificationsFailing"
    NOTIFICATIONS_DROPPED = "OutboundNotificationsDropped"
    REPLICATION_LAG = "OutboundReplicationLag"
    OLD_SNAPSHOT = "OutboundOldSnapshot"
    AUTOVACUUM_LATE = "OutboundAutovacuumLate"
    DATA_CORRUPTION = "OutboundDataCorruption"
    PAGE_UNRESOLVED = "OutboundPageUnresolved"
    WATCHDOG = "Watchdog"


class Severity(StrEnum):
    """How bad it is; 001's two words, and one for what only proves that paging works."""

    CRITICAL = "critical"
    WARNING = "warning"
    NONE = "none"


class Priority(StrEnum):
    """How soon somebody must act (002)."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Level(StrEnum):
    """Who is called (001); a higher level is called together with those below it.

    L4 is the support of the message provider (002): told, never woken.
    """

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"


class Family(StrEnum):
    """What kind of trouble; alerts of one family and channel arrive as one page."""

    PROVIDER = "provider"
    SUCCESS = "success"
    LATENCY = "latency"
    QUEUE = "queue"
    STUCK = "stuck"
    DEAD_LETTERS = "dead_letters"
    WEBHOOKS = "webhooks"
    QUOTA = "quota"
    BUDGET = "budget"
    ACCOUNT = "account"
    WORKER = "worker"
    DATABASE = "database"
    CORRUPTION = "corruption"
    ESCALATION = "escalation"
    OBSERVATION = "observation"
    WATCHDOG = "watchdog"


class Slo(StrEnum):
    """The objectives, by the names of their files in alerts/slos; value of the label `slo`."""

    SEND_SUCCESS = "send-success"
    SEND_LATENCY = "send-latency"
    DELIVERY_LATENCY = "delivery-latency"
    EXPORTER_AVAILABILITY = "exporter-availability"
    NONE = "none"


class Dashboard(StrEnum):
    """Stable uids of the dashboards; `vocabulary.panels` says which alert leads to which."""

    SLA = "whatsapp-sla"
    MESSAGING = "outbound-messaging"
    SLO = "outbound-slo"
    HEALTH = "outbound-health"
    ORGANISATION = "outbound-organisation"


ALL_CHANNELS = "all"
"""Value of the `channel` label where an alert looks at the sum of the channels."""

TEAM = "platform"
"""Value of the `team` label: 001's level 1 is Platform Engineering."""

EXPORTER_JOB = "outbound-exporter"
"""Value of the label `job` under which Prometheus scrapes the exporters."""

SENDER_JOB = "outbound-sender"
"""Value of the label `job` under which Prometheus scrapes the senders."""

RULE_GROUPS = "outbound-.+"
"""Names of our groups of rules, as a regular expression."""

REQUIRED_LABELS = ("severity", "priority", "level", "family", "tier", "channel", "team", "slo")
"""Labels that every alert has; `tier` counts from 1, the mildest line of an alert."""

PAGE_LABEL = "page"
"""Label of an alert in Alertmanager: the page that it belongs to, which is the alert's own name, or
for `OutboundPageUnresolved` the name of the page that goes on."""

PAGE_FAMILY_LABEL = "page_family"
"""Label of `OutboundPageUnresolved`: the family of the page that goes on."""

REQUIRED_ANNOTATIONS = ("summary", "description", "runbook_url", "dashboard_url")
"""Annotations that every alert has."""


@dataclass(frozen=True, slots=True)
class Urgency:
    """What a priority asks for.

    Attributes:
        severity: The severity that goes with it.
        respond_within_s: Seconds until somebody must be on it.
        pages: True where it wakes people; False where it makes a ticket.
        meaning: Typical cases.

    """

    severity: Severity
    respond_within_s: int
    pages: bool
    meaning: str


PRIORITIES: Mapping[Priority, Urgency] = MappingProxyType(
    {
        Priority.P0: Urgency(
            Severity.CRITICAL, 5 * _MINUTE, True, "nothing gets out on any channel"
        ),
        Priority.P1: Urgency(
            Severity.CRITICAL, 15 * _MINUTE, True, "one channel is down, dead letters overflow"
        ),
        Priority.P2: Urgency(
            Severity.WARNING, _HOUR, False, "long queue, raised failure rate, stuck messages"
        ),
        Priority.P3: Urgency(
            Severity.WARNING, 4 * _HOUR, False, "quota running low, slightly slow deliveries"
        ),
    }
)
"""Response times of 002; its severities follow from the priority (D24)."""


DETECTED_WITHIN_S: Mapping[AlertName, int] = MappingProxyType(
    {AlertName.OUTAGE: 3 * _MINUTE, AlertName.PROVIDER_DOWN: 3 * _MINUTE}
)
"""Seconds within which a full outage at one message per second has to page (house)."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """What a level is.

    Attributes:
        who: The role that is called.
        respond_within_s: Seconds until the role must have answered; None where that is up to a
            contract of others.
        hands_over_after_s: Seconds without a solution until the next level is called; None for
            the last one.

    """

    who: str
    respond_within_s: int | None
    hands_over_after_s: int | None


LEVELS: Mapping[Level, Escalation] = MappingProxyType(
    {
        Level.L1: Escalation("platform engineer on call", 15 * _MINUTE, 15 * _MINUTE),
        Level.L2: Escalation("tech lead or senior backend engineer", 30 * _MINUTE, 30 * _MINUTE),
        Level.L3: Escalation("engineering manager", _HOUR, _HOUR),
        Level.L4: Escalation("message provider's support", None, None),
    }
)
"""Levels of 001 and 002; 001 lets level 1 try for 30 minutes, 002 for 15, and 15 it is (D24).

Level 4 is 002's: people ask the provider once level 3 has decided so, and an outage of the provider
that lasts asks by itself.
"""

INSTRUCTIONS: Mapping[Family, str] = MappingProxyType(
    {
        Family.CORRUPTION: (
            "Do not attempt fixes. Level 2 assesses the impact and prepares a restore; level 3 "
            "authorises it."
        ),
    }
)
"""What must or must not be done before anything else (001's tree); in every notification."""

DRILL_ALERT = "OutboundPagingDrill"
"""An alert that no rule makes: `outbound-slo alerts drill` posts it."""
