"""Faults under an exporter, what a page may show during each, and how pages are judged.

A page is right when it shows what is true, or nothing where nobody can know. It is wrong when it
shows another number: an old one, a zero for nothing, a counter that fell.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

SERIES_LIMIT = 1000
"""More series than this from one query are a danger to Prometheus, whatever they say."""

BEFORE: Mapping[str, float] = MappingProxyType({"new": 2.0, "sent": 1.0})
"""What is true before a fault."""

HEALED: Mapping[str, float] = MappingProxyType({"new": 300.0, "sent": 1.0})
"""What is true after it."""

SEEN = 30.0
"""Where the counter stands before rows are purged."""

_TRIAL_LINE = re.compile(r"^(?:sql_)?trial\{", re.MULTILINE)
_NAMES = {
    "trial": "trial",
    "sql_trial": "trial",
    "clock": "clock",
    "sql_clock": "clock",
    "seen_total": "seen",
    "sql_seen": "seen",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and what a page may show while it lasts.

    Attributes:
        name: As the table calls it.
        block: What is run in the database, of `sql/faults.sql`.
        truth: What is true of the query on trial; a state that nobody can know is left out.
        zero_is_true: Whether zeros may be shown where `truth` has nothing.
        stops: Whether the server is down while it lasts.
        restarts: Whether the server is restarted when it begins.

    """

    name: str
    block: str | None = None
    truth: Mapping[str, float] = field(default_factory=dict)
    zero_is_true: bool = False
    stops: bool = False
    restarts: bool = False


_CHANGED = MappingProxyType({"new": 20.0, "sent": 1.0})
_KNOWN = MappingProxyType({"sent": 1.0})

FAULTS: Sequence[Fault] = (
    Fault("database down", stops=True),
    Fault("database restarted", "changed", _CHANGED, restarts=True),
    Fault("database slow", "slow", _CHANGED),
    Fault("permission revoked", "revoked"),
    Fault("column renamed", "renamed"),
    Fault("NULL", "unknown", _KNOWN),
    Fault("zero rows", "empty", zero_is_true=True),
    Fault("duplicate rows", "doubled"),
    Fault("100,000 labels", "exploded"),
    Fault("NaN", "not_a_number", _KNOWN),
    Fault("rows purged", "purged", BEFORE),
    Fault("query never ends", "endless"),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a scrape showed.

    Attributes:
        at: When the page was there, in seconds of the steady clock.
        states: The trial's numbers by label; empty too where there are more than the limit.
        series: How many the trial has.
        seen: The counter, or None.
        clock: The database's time on the page in Unix seconds, or None.
        answered: Whether there was a page at all.

    """

    at: float
    states: Mapping[str, float]
    series: int
    seen: float | None
    clock: float | None
    answered: bool = True


def read_sight(at: float, page: str) -> Sight:
    """Read what is on trial off a page of any of the exporters."""
    series = len(_TRIAL_LINE.findall(page))
    if series > SERIES_LIMIT:
        return Sight(at, {}, series, None, None)
    states: dict[str, float] = {}
    single: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = _NAMES.get(sample.name)
            if name == "trial":
                states[sample.labels["state"]] = sample.value
            elif name is not None:
                single[name] = sample.value
    return Sight(at, states, series, single.get("seen"), single.get("clock"))


def describe(fault: Fault, sight: Sight) -> str:
    """Say in a few words what a page shows during a fault; `right` is right."""
    numbers = sight.states.values()
    harms = {
        "no page": not sight.answered,
        f"{sight.series} series": sight.series > SERIES_LIMIT,
        "NaN": any(math.isnan(number) for number in numbers),
        "counter fell": sight.seen is not None and sight.seen < SEEN,
    }
    return next((text for text, met in harms.items() if met), _compare(fault, sight))


def _compare(fault: Fault, sight: Sight) -> str:
    shown = {
        state: value
        for state, value in sight.states.items()
        if value or not fault.zero_is_true or state in fault.truth
    }
    if shown == fault.truth:
        return "right"
    if not shown:
        return "nothing"
    if all(BEFORE.get(state) == value for state, value in shown.items()):
        return "old numbers"
    return "wrong numbers"


HARMLESS = frozenset({"right", "nothing", "no page"})
"""What misleads nobody."""


@dataclass(frozen=True, slots=True)
class Course:
    """What an exporter showed in the course of a fault.

    Attributes:
        shown: What its page showed, in the order of appearance.
        wrong_s: For how many seconds it was wrong.
        neighbour_age_s: How old the answer of a query that has no fault became, in seconds.
        healed_s: Seconds from the end of the fault until the page was right; None: not seen.

    """

    shown: Sequence[str]
    wrong_s: float
    neighbour_age_s: float | None
    healed_s: float | None


def judge(
    fault: Fault, sights: Sequence[Sight], ages: Sequence[float], began: float, ended: float
) -> Course:
    """Judge what was seen: what stands on a page stands there until the next look.

    Args:
        fault: What was the matter.
        sights: What was seen, in order, from the beginning of the fault on.
        ages: How old the neighbour was at looks during the fault, in seconds.
        began: When the fault began, by the clock of the sights.
        ended: When it ended.

    """
    shown: list[str] = []
    wrong_s, since = 0.0, began
    during = [sight for sight in sights if began <= sight.at < ended]
    for position, sight in enumerate(during):
        until = during[position + 1].at if position + 1 < len(during) else ended
        text = describe(fault, sight)
        if text not in shown:
            shown.append(text)
        if text not in HARMLESS:
            wrong_s += until - max(since, began)
        since = until
    healed = next((sight.at for sight in sights if sight.at >= ended and _is_whole(sight)), None)
    return Course(
        shown=shown,
        wrong_s=wrong_s,
        neighbour_age_s=max(ages, default=None),
        healed_s=None if healed is None else healed - ended,
    )


def _is_whole(sight: Sight) -> bool:
    return dict(sight.states) == dict(HEALED)
