"""The panels that alerts lead to: where each alert is seen first.

A panel's number is stable within its dashboard, as the dashboard's uid is: links in old pages and
in people's notes name both.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from outbound_slo.vocabulary.alerts import AlertName, Dashboard


class Panel(Enum):
    """A panel: its dashboard, and its number there; 1 to 12 of the first are runbook 000's."""

    SEND_LATENCY = (Dashboard.SLA, 1)
    DELIVERY_LATENCY = (Dashboard.SLA, 2)
    SUCCESS_RATE = (Dashboard.SLA, 3)
    STUCK = (Dashboard.SLA, 5)
    SESSION_WINDOW = (Dashboard.SLA, 7)
    VOLUME = (Dashboard.SLA, 9)
    RETRIES = (Dashboard.SLA, 10)

    QUEUE_BY_STATUS = (Dashboard.MESSAGING, 1)
    DELIVERY_PERCENTILES = (Dashboard.MESSAGING, 2)
    FAILURE_TRENDS = (Dashboard.MESSAGING, 3)
    DEAD_LETTERS = (Dashboard.MESSAGING, 4)
    QUOTA_CONSUMPTION = (Dashboard.MESSAGING, 5)

    FIRING = (Dashboard.SLO, 1)
    BUDGETS = (Dashboard.SLO, 2)
    BURN_RATES = (Dashboard.SLO, 3)
    BAD_EVENTS = (Dashboard.SLO, 4)

    SENDERS = (Dashboard.HEALTH, 1)
    DUE_AGE = (Dashboard.HEALTH, 2)
    CLAIMS = (Dashboard.HEALTH, 3)
    IN_FLIGHT = (Dashboard.HEALTH, 4)
    BREAKER = (Dashboard.HEALTH, 5)
    BREAKER_RATES = (Dashboard.HEALTH, 6)
    PROVIDER_CALLS = (Dashboard.HEALTH, 7)
    ATTEMPTS = (Dashboard.HEALTH, 8)
    RETRIES_AND_HOLDS = (Dashboard.HEALTH, 9)
    STUCK_BY_REASON = (Dashboard.HEALTH, 10)
    QUEUED_BY_CHANNEL = (Dashboard.HEALTH, 11)
    DEAD_BY_CHANNEL = (Dashboard.HEALTH, 12)
    PAUSES = (Dashboard.HEALTH, 13)
    WEBHOOKS = (Dashboard.HEALTH, 14)
    WEBHOOK_AGES = (Dashboard.HEALTH, 15)
    NOTICES = (Dashboard.HEALTH, 16)
    EXPIRIES = (Dashboard.HEALTH, 17)
    EXPORTERS = (Dashboard.HEALTH, 18)
    FRESHNESS = (Dashboard.HEALTH, 19)
    REFRESHES = (Dashboard.HEALTH, 20)
    QUERY_FAILURES = (Dashboard.HEALTH, 21)
    ROLLUP = (Dashboard.HEALTH, 22)
    QUERY_TIME = (Dashboard.HEALTH, 23)
    TABLES = (Dashboard.HEALTH, 24)
    SNAPSHOTS = (Dashboard.HEALTH, 25)
    VACUUM = (Dashboard.HEALTH, 26)
    REPLICAS = (Dashboard.HEALTH, 27)
    INTEGRITY = (Dashboard.HEALTH, 28)
    NOTIFICATIONS = (Dashboard.HEALTH, 29)
    RULES = (Dashboard.HEALTH, 30)
    ATTEMPTS_BY_CHANNEL = (Dashboard.HEALTH, 34)

    QUOTA = (Dashboard.ORGANISATION, 1)
    QUOTA_MESSAGES = (Dashboard.ORGANISATION, 2)
    SESSION_WINDOWS = (Dashboard.ORGANISATION, 10)

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard that it is on."""
        return self.value[0]

    @property
    def id(self) -> int:
        """Its number on that dashboard."""
        return self.value[1]


_A = AlertName

PANELS: Mapping[AlertName, Panel] = MappingProxyType(
    {
        _A.OUTAGE: Panel.ATTEMPTS_BY_CHANNEL,
        _A.PROVIDER_DOWN: Panel.FAILURE_TRENDS,
        _A.HIGH_FAILURE_RATE: Panel.FAILURE_TRENDS,
        _A.ELEVATED_FAILURE_RATE: Panel.FAILURE_TRENDS,
        _A.PROVIDER_SLOW: Panel.PROVIDER_CALLS,
        _A.SUCCESS_RATE_LOW: Panel.SUCCESS_RATE,
        _A.SEND_LATENCY_HIGH: Panel.SEND_LATENCY,
        _A.DELIVERY_LATENCY_HIGH: Panel.DELIVERY_LATENCY,
        _A.QUEUE_BACKUP: Panel.QUEUE_BY_STATUS,
        _A.TOTAL_QUEUE_BACKUP: Panel.QUEUED_BY_CHANNEL,
        _A.STUCK_IN_SENDING: Panel.STUCK,
        _A.STUCK_IN_QUEUE: Panel.STUCK_BY_REASON,
        _A.DLQ_OVERFLOW: Panel.DEAD_LETTERS,
        _A.TOTAL_DLQ_OVERFLOW: Panel.DEAD_BY_CHANNEL,
        _A.SIGNATURE_FAILURES: Panel.WEBHOOKS,
        _A.QUOTA_HIGH: Panel.QUOTA,
        _A.EXPORTER_STALE: Panel.FRESHNESS,
        _A.QUERY_FAILING: Panel.QUERY_FAILURES,
        _A.SERIES_DROPPED: Panel.QUERY_FAILURES,
        _A.COUNTER_REBASED: Panel.EXPORTERS,
        _A.RELOAD_FAILED: Panel.EXPORTERS,
        _A.ROLLUP_DRIFT: Panel.ROLLUP,
        _A.ROLLUP_UNCOMPACTED: Panel.ROLLUP,
        _A.NO_DATA: Panel.FRESHNESS,
        _A.NO_TRAFFIC: Panel.ATTEMPTS_BY_CHANNEL,
        _A.SPANS_DROPPED: Panel.IN_FLIGHT,
        _A.ERROR_BUDGET_BURN: Panel.BURN_RATES,
        _A.ERROR_BUDGET_SPENT: Panel.BUDGETS,
        _A.FEW_MESSAGES_FAIL: Panel.BAD_EVENTS,
        _A.QUEUE_GROWING: Panel.QUEUE_BY_STATUS,
        _A.DLQ_GROWING: Panel.DEAD_LETTERS,
        _A.RETRY_STORM: Panel.RETRIES,
        _A.ORGANISATION_THROTTLED: Panel.QUOTA_CONSUMPTION,
        _A.BREAKER_OPEN: Panel.BREAKER,
        _A.BREAKER_FLAPPING: Panel.BREAKER,
        _A.WEBHOOK_SILENCE: Panel.WEBHOOK_AGES,
        _A.WEBHOOKS_UNPROCESSED: Panel.WEBHOOK_AGES,
        _A.SESSION_WINDOW_CLOSED: Panel.SESSION_WINDOWS,
        _A.WORKER_INACTIVE: Panel.SENDERS,
        _A.PAUSE_LASTING: Panel.PAUSES,
        _A.TOKEN_EXPIRING: Panel.EXPIRIES,
        _A.API_VERSION_EXPIRING: Panel.EXPIRIES,
        _A.TEMPLATE_PAUSED: Panel.NOTICES,
        _A.ACCOUNT_RESTRICTED: Panel.NOTICES,
        _A.EXPORTER_DOWN: Panel.EXPORTERS,
        _A.RULES_FAILING: Panel.RULES,
        _A.NOTIFICATIONS_FAILING: Panel.NOTIFICATIONS,
        _A.NOTIFICATIONS_DROPPED: Panel.RULES,
        _A.REPLICATION_LAG: Panel.REPLICAS,
        _A.OLD_SNAPSHOT: Panel.SNAPSHOTS,
        _A.AUTOVACUUM_LATE: Panel.VACUUM,
        _A.DATA_CORRUPTION: Panel.INTEGRITY,
        _A.PAGE_UNRESOLVED: Panel.FIRING,
        _A.WATCHDOG: Panel.NOTIFICATIONS,
    }
)
"""Where each alert is seen first."""
