"""How far back an alert looks, and whose numbers it reads, through all that is recorded for it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from alerts.catalogue import GROUPS
from alerts.rule import Alert, Recording
from alerts.timing import parse_duration
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.metrics import Metric, Origin

_NAME: Final = re.compile(r"\$\{?([A-Z][A-Z0-9_]*)")
_LOOK: Final = re.compile(r"(?:\[|\boffset\s+)((?:\d+[smhdw])+)")


def find_window_s(alert: Alert) -> float:
    """Find the longest window (range or offset) that an alert looks back over, in seconds.

    Windows of recordings that it reads count, unless the alert says what it judges; 0 where it
    looks at the present only.
    """
    if alert.window_s is not None:
        return alert.window_s
    return max((_measure(text) for text in _expressions_of(alert)), default=0.0)


def reads_database(alert: Alert) -> bool:
    """Tell whether an alert reads numbers that an exporter refreshes from the database."""
    names = (found for text in _expressions_of(alert) for found in _NAME.findall(text))
    read = (getattr(metrics, name, None) for name in names)
    return any(isinstance(each, Metric) and each.origin is Origin.EXPORTER for each in read)


def _expressions_of(alert: Alert) -> tuple[str, ...]:
    """Give the alert's expression and those of the recordings behind it."""
    known = _index_recordings()
    seen: dict[str, None] = {}
    waiting = [alert.expression]
    while waiting:
        text = waiting.pop()
        if text in seen:
            continue
        seen[text] = None
        for name in _NAME.findall(text):
            metric = getattr(metrics, name, None)
            if isinstance(metric, Metric):
                waiting += [each.expression for each in known.get(metric.name, ())]
    return tuple(seen)


@cache
def _index_recordings() -> dict[str, tuple[Recording, ...]]:
    """Give the recordings by the name of what they record; quantiles share one."""
    found: dict[str, tuple[Recording, ...]] = {}
    for recording in (each for group in GROUPS for each in group.recordings):
        name = recording.metric.name
        found[name] = (*found.get(name, ()), recording)
    return found


def _measure(expression: str) -> float:
    return max(_windows_of(expression), default=0.0)


def _windows_of(expression: str) -> Iterator[float]:
    for found in _LOOK.finditer(expression):
        yield parse_duration(found[1])
