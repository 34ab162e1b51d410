"""The incidents, each with the runbook that tells of it and the alerts that must answer."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from alerts.incidents.conditions import HEALTHY, WHATSAPP, Conditions, Provider
from alerts.incidents.incident import NIGHT_S, Incident
from alerts.incidents.traffic import Weather
from alerts.receivers import PAGE_RECEIVERS
from outbound_slo.vocabulary.alerts import AlertName as A
from outbound_slo.vocabulary.alerts import Level
from outbound_slo.vocabulary.notices import NoticeKind

_MINUTE: Final = 60

# What follows when less is accepted than comes in.
_BACKLOG: Final = frozenset({A.QUEUE_BACKUP, A.TOTAL_QUEUE_BACKUP, A.QUEUE_GROWING})
_FAILING: Final = frozenset(
    {A.PROVIDER_DOWN, A.HIGH_FAILURE_RATE, A.ELEVATED_FAILURE_RATE, A.BREAKER_OPEN}
)
# Nobody has answered in time: 001's next level is called.
_LASTING: Final = frozenset({A.PAGE_UNRESOLVED})

# 001 sends these straight to level 2.
_L2: Final = PAGE_RECEIVERS[Level.L2]

_DOWN: Final = Provider(failing=1.0, code="131016")


def _always(conditions: Conditions) -> Weather:
    return lambda _since_s: conditions


def _quota(since_s: float) -> Conditions:
    used = min(0.35 + since_s / (20 * _MINUTE), 0.99)
    return replace(HEALTHY, quota_used=MappingProxyType({"org-a": 0.2, "org-b": used}))


def _burst(since_s: float) -> Conditions:
    return replace(HEALTHY, burst=20_000) if since_s == 0 else HEALTHY


def _trickle(since_s: float) -> Conditions:
    return replace(HEALTHY, demand=0.0, trickle=int(since_s % (5 * _MINUTE) == 0))


def _one_failure(since_s: float) -> Conditions:
    few = _trickle(since_s)
    fails = 10 * _MINUTE <= since_s < 11 * _MINUTE
    refuses = Provider(failing=1.0, code="131026", category="Recipient", final=True)
    return few.with_provider(refuses, WHATSAPP) if fails else few


def _storm(since_s: float) -> Conditions:
    if since_s < 20 * _MINUTE:
        return HEALTHY.with_provider(_DOWN, WHATSAPP)
    throttles = Provider(failing=0.5, code="130429", category="Rate Limit")
    return HEALTHY.with_provider(throttles, WHATSAPP)


INCIDENTS: Final = (
    Incident(
        "full-outage",
        "no provider accepts anything",
        "001, provider outage; 002, P0",
        40 * _MINUTE,
        _always(HEALTHY.with_provider(_DOWN)),
        pages=frozenset({A.OUTAGE}),
        allowed=frozenset({A.TOTAL_QUEUE_BACKUP}) | _LASTING,
        told_to=_L2,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "whatsapp-down",
        "WhatsApp accepts nothing, the other channels do",
        "001, provider outage",
        40 * _MINUTE,
        _always(HEALTHY.with_provider(_DOWN, WHATSAPP)),
        pages=frozenset({A.PROVIDER_DOWN}),
        allowed=_FAILING | _BACKLOG | _LASTING,
        told_to=_L2,
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "one-code",
        "WhatsApp refuses 45 % of the attempts with one code",
        "001, more than 30 % failing",
        40 * _MINUTE,
        _always(HEALTHY.with_provider(Provider(failing=0.45, code="131016"), WHATSAPP)),
        pages=frozenset({A.HIGH_FAILURE_RATE}),
        allowed=frozenset({A.BREAKER_OPEN}) | _LASTING,
        told_to=_L2,
        most_pages=1,
        within_s=10 * _MINUTE,
    ),
    Incident(
        "sms-down",
        "the SMS provider accepts nothing",
        "002, single channel down",
        40 * _MINUTE,
        _always(HEALTHY.with_provider(Provider(failing=1.0, code="30001"), "sms")),
        pages=frozenset({A.ELEVATED_FAILURE_RATE}),
        allowed=frozenset({A.BREAKER_OPEN}) | _LASTING,
        told_to=_L2,
        most_pages=1,
        within_s=10 * _MINUTE,
    ),
    Incident(
        "slow-provider",
        "WhatsApp delivers after three minutes",
        "000, delivery p99 over 120 s",
        40 * _MINUTE,
        _always(HEALTHY.with_provider(Provider(call_s=4.0, delivery_s=180.0), WHATSAPP)),
        pages=frozenset({A.DELIVERY_LATENCY_HIGH}),
        allowed=frozenset({A.ERROR_BUDGET_BURN}) | _LASTING,
        within_s=10 * _MINUTE,
    ),
    Incident(
        "quota",
        "one organisation uses up its quota",
        "000, 002, quota",
        30 * _MINUTE,
        _quota,
        tickets=frozenset({A.QUOTA_HIGH}),
        within_s=20 * _MINUTE,
    ),
    Incident(
        "wrong-secret",
        "webhooks are signed with the new secret, we know the old one",
        "001, signature failures",
        45 * _MINUTE,
        _always(replace(HEALTHY, believed=0.02)),
        tickets=frozenset({A.SIGNATURE_FAILURES}),
        within_s=5 * _MINUTE,
    ),
    Incident(
        "forged-webhooks",
        "a stranger sends webhooks with a wrong signature",
        "001, signature failures",
        30 * _MINUTE,
        _always(replace(HEALTHY, forged=6.0)),
        tickets=frozenset({A.SIGNATURE_FAILURES}),
        within_s=6 * _MINUTE,
    ),
    Incident(
        "template-paused",
        "Meta pauses a template that a sixth of the messages use",
        "000, template errors",
        45 * _MINUTE,
        _always(
            replace(
                HEALTHY.with_provider(
                    Provider(failing=0.16, code="132015", category="Template", final=True), WHATSAPP
                ),
                paused_templates=1,
                notices=MappingProxyType({NoticeKind.TEMPLATE_STATUS.value: 1}),
            )
        ),
        tickets=frozenset({A.TEMPLATE_PAUSED}),
        also=frozenset({A.SUCCESS_RATE_LOW}),
        allowed=frozenset({A.DLQ_OVERFLOW}),
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "poison",
        "40 messages a minute that no provider can take fill the dead letters",
        "001, DLQ overflow",
        60 * _MINUTE,
        _always(replace(HEALTHY, poison=10)),
        pages=frozenset({A.DLQ_OVERFLOW}),
        also=frozenset({A.DLQ_GROWING}),
        allowed=_LASTING,
        most_pages=3,
        within_s=30 * _MINUTE,
    ),
    Incident(
        "worker-dead",
        "no sender runs",
        "002, worker inactive",
        40 * _MINUTE,
        _always(replace(HEALTHY, senders=0)),
        pages=frozenset({A.WORKER_INACTIVE}),
        also=frozenset({A.OUTAGE}),
        allowed=frozenset({A.TOTAL_QUEUE_BACKUP}) | _LASTING,
        most_pages=3,
        within_s=7 * _MINUTE,
    ),
    Incident(
        "database-slow",
        "claims take so long that half of the messages stay",
        "001, queue backup; 002",
        60 * _MINUTE,
        _always(replace(HEALTHY, capacity=0.5, oldest_snapshot_s=4000.0, dead_rows=0.55)),
        tickets=frozenset({A.OLD_SNAPSHOT}),
        also=frozenset({A.SEND_LATENCY_HIGH, A.QUEUE_GROWING}),
        allowed=_BACKLOG,
        within_s=12 * _MINUTE,
    ),
    Incident(
        "webhook-silence",
        "no WhatsApp receipt comes any more",
        "001, webhook silence",
        60 * _MINUTE,
        _always(HEALTHY.with_provider(Provider(tells=False), WHATSAPP)),
        tickets=frozenset({A.WEBHOOK_SILENCE}),
        allowed=frozenset({A.WEBHOOK_SILENCE}),
        most_pages=1,
        within_s=18 * _MINUTE,
    ),
    Incident(
        "campaign",
        "20,000 messages are put on the queue at once",
        "002, high queue depth",
        30 * _MINUTE,
        _burst,
    ),
    Incident(
        "quiet-night",
        "one message every five minutes",
        "house (T2)",
        60 * _MINUTE,
        _trickle,
        starts_at_s=NIGHT_S,
    ),
    Incident(
        "one-failure",
        "of the few messages at night one fails for good",
        "house (T3)",
        60 * _MINUTE,
        _one_failure,
        starts_at_s=NIGHT_S,
    ),
    Incident(
        "retry-storm",
        "WhatsApp comes back after 20 minutes and throttles what was waiting",
        "001, retry after an outage",
        45 * _MINUTE,
        _storm,
        pages=frozenset({A.PROVIDER_DOWN}),
        allowed=_FAILING | _LASTING,
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "exporter-dead",
        "the exporter does not answer",
        "house (no data)",
        30 * _MINUTE,
        _always(replace(HEALTHY, scraped=False)),
        pages=frozenset({A.EXPORTER_DOWN}),
        allowed=_LASTING,
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "exporter-stale",
        "the exporter does not reach the database",
        "house (stale data)",
        30 * _MINUTE,
        _always(replace(HEALTHY, refreshing=False)),
        pages=frozenset({A.EXPORTER_STALE}),
        allowed=_LASTING,
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
    Incident(
        "corruption",
        "rows contradict each other",
        "001, data corruption",
        30 * _MINUTE,
        _always(replace(HEALTHY, violations=3)),
        pages=frozenset({A.DATA_CORRUPTION}),
        allowed=_LASTING,
        told_to=_L2,
        most_pages=1,
        within_s=5 * _MINUTE,
    ),
)
"""All incidents, worst first."""

BY_NAME: Final[Mapping[str, Incident]] = MappingProxyType({each.name: each for each in INCIDENTS})
"""The same by their names."""
