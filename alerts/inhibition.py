"""What keeps quiet while something else explains it.

Two families never keep quiet: data corruption, and pages about the observers. An alert that is
silenced fires in Prometheus all the same, so the page that would follow from its lasting
(`OutboundPageUnresolved`) is silenced by the same cause: the cause lasts too, and calls by itself.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from alerts.catalogue import GROUPS
from alerts.objectives.inhibitions import burn_inhibitions
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    PAGE_FAMILY_LABEL,
    PAGE_LABEL,
    AlertName,
    Family,
    Level,
    Severity,
    Slo,
)
from outbound_slo.vocabulary.statuses import Channel

SYMPTOMS: Final = (Family.SUCCESS, Family.LATENCY, Family.QUEUE, Family.STUCK, Family.BUDGET)
"""Families that follow from a provider that accepts nothing.

Not the dead letters: messages fail for good only after an hour of retries (D8), and they stay when
the outage is over, with a procedure of their own (001).
"""

# Tiers of one alert about one thing: the labels that tell things apart.
_SAME_THING: Final = (
    "alertname",
    PAGE_LABEL,
    "channel",
    "org_id",
    "reason",
    "slo",
    "integration",
    "replica",
    "slot",
    "table",
    "holder",
    "check",
    "rule_group",
)
# The observers silence nothing; budgets have rules of their own between their tiers. What Meta says
# of the account, its templates and its token are troubles of their own, and a restriction is told
# for a day. A wrong signature is why webhooks stay away, not what follows.
_NO_EXCUSE: Final = (
    Family.OBSERVATION,
    Family.BUDGET,
    Family.ESCALATION,
    Family.CORRUPTION,
    Family.ACCOUNT,
    Family.WEBHOOKS,
)

_TOTALS: Final = (
    (AlertName.QUEUE_BACKUP, AlertName.TOTAL_QUEUE_BACKUP),
    (AlertName.DLQ_OVERFLOW, AlertName.TOTAL_DLQ_OVERFLOW),
)


def write_inhibitions() -> list[dict[str, Any]]:
    """Write the rules that silence."""
    return [
        *_silence_lower_tiers(),
        _silence_tickets_of_family(),
        *_silence_symptoms(),
        *_silence_single_providers(),
        *_silence_totals(),
        _silence_missing_data(),
        *burn_inhibitions(),
    ]


def _silence_missing_data() -> dict[str, Any]:
    """Without an exporter there is no data: one page for both, and it names the cause."""
    return {
        "source_matchers": [equals("alertname", AlertName.EXPORTER_DOWN), equals("tier", "2")],
        "target_matchers": [any_of("alertname", (AlertName.NO_DATA, AlertName.EXPORTER_STALE))],
    }


def equals(label: str, value: str) -> str:
    """Write a matcher for one value."""
    return f'{label}="{value}"'


def any_of(label: str, values: Sequence[str]) -> str:
    """Write a matcher for some values."""
    return f'{label}=~"{"|".join(values)}"'


def none_of(label: str, values: Sequence[str]) -> str:
    """Write a matcher for all but some values."""
    return f'{label}!~"{"|".join(values)}"'


def _silence_lower_tiers() -> Iterator[dict[str, Any]]:
    tiers = sorted({alert.tier for group in GROUPS for alert in group.alerts})
    for _, tier in pairwise(tiers):
        lower = [str(each) for each in tiers if each < tier]
        yield {
            "source_matchers": [equals("tier", str(tier))],
            "target_matchers": [any_of("tier", lower), none_of("family", [Family.CORRUPTION])],
            "equal": list(_SAME_THING),
        }


def _silence_tickets_of_family() -> dict[str, Any]:
    return {
        "source_matchers": [
            equals("severity", Severity.CRITICAL),
            none_of("family", _NO_EXCUSE),
        ],
        "target_matchers": [equals("severity", Severity.WARNING)],
        "equal": ["family", "slo", "channel", "org_id"],
    }


def _silence_symptoms() -> Iterator[dict[str, Any]]:
    whatsapp = any_of("channel", [Channel.WHATSAPP.label, ALL_CHANNELS])
    # What is large enough for level 2 or 3 asks for decisions of its own and comes through.
    symptoms = [
        any_of("family", [each for each in SYMPTOMS if each is not Family.BUDGET]),
        equals("level", Level.L1),
    ]
    # A budget is spent all the same: its tickets come through. The exporter's is nobody's symptom.
    burning = [
        equals("family", Family.BUDGET),
        equals("severity", Severity.CRITICAL),
        equals("level", Level.L1),
        f'slo!="{Slo.EXPORTER_AVAILABILITY}"',
    ]
    lasting = [equals("alertname", AlertName.PAGE_UNRESOLVED), any_of(PAGE_FAMILY_LABEL, SYMPTOMS)]
    for cause, scope in (
        (AlertName.PROVIDER_DOWN, [whatsapp]),
        (AlertName.OUTAGE, []),
        (AlertName.WORKER_INACTIVE, []),
    ):
        source = [equals("alertname", cause), equals("severity", Severity.CRITICAL)]
        for targets in (symptoms, burning, lasting):
            yield {"source_matchers": [*source], "target_matchers": [*targets, *scope]}


def _silence_single_providers() -> Iterator[dict[str, Any]]:
    """Let an outage of all channels speak for each of them."""
    source = [equals("alertname", AlertName.OUTAGE)]
    family = [equals("family", Family.PROVIDER), f'alertname!="{AlertName.OUTAGE}"']
    lasting = [
        equals("alertname", AlertName.PAGE_UNRESOLVED),
        equals(PAGE_FAMILY_LABEL, Family.PROVIDER),
        f'{PAGE_LABEL}!="{AlertName.OUTAGE}"',
    ]
    # Level 2 has been called by the outage; that no sender works is its cause.
    worker = [
        equals("alertname", AlertName.PAGE_UNRESOLVED),
        equals(PAGE_LABEL, AlertName.WORKER_INACTIVE),
        equals("level", Level.L2),
    ]
    for targets in (family, lasting, worker):
        yield {"source_matchers": [*source], "target_matchers": targets}


def _silence_totals() -> Iterator[dict[str, Any]]:
    for part, total in _TOTALS:
        yield {
            "source_matchers": [equals("alertname", part)],
            "target_matchers": [equals("alertname", total)],
            "equal": ["tier"],
        }
        yield {
            "source_matchers": [
                equals("alertname", part),
                equals("severity", Severity.CRITICAL),
            ],
            "target_matchers": [
                equals("alertname", AlertName.PAGE_UNRESOLVED),
                equals(PAGE_LABEL, total),
            ],
        }
