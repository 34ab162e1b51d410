"""Refuses objectives that can be written and can't work, saying why and what would mend them."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Final

from alerts.objectives.burn import BRIDGE_S, BURN_TIERS
from alerts.objectives.spec import Counted, Fresh, Indicator, Objective, Timed, metric_of
from alerts.timing import DAY, format_duration
from outbound_slo.vocabulary.metrics import BUCKETS, METRICS, Metric, MetricKind, Origin
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel

DEFAULT_RETENTION_S: Final = 35 * DAY
"""For how long the compose file's Prometheus keeps its data; by its own default it is 15 days."""

SHORTEST_PERIOD_S: Final = 7 * DAY
"""Traffic has the rhythm of a week; less than one compares Mondays with Sundays."""

LONGEST_PERIOD_S: Final = 90 * DAY
"""What happened longer ago than a quarter is no reason to hold a release back."""

_KNOWN_VALUES: Final = {
    "outcome": frozenset(outcome.label for outcome in AttemptOutcome),
    "channel": frozenset(channel.label for channel in Channel),
}


def find_metric(name: str, kind: MetricKind, where: str) -> Metric:
    """Find a metric that an objective may be about.

    Raises:
        UserMistake: There is none of that name, it is of another kind, or it is not the exporter's.

    """
    metric = METRICS.get(name)
    served = [
        each.name
        for each in METRICS.values()
        if each.kind is kind and each.origin is Origin.EXPORTER and each.alias_of is None
    ]
    if metric is None:
        raise UserMistake(f"{where}: there is no metric {name}", _suggest(name, served))
    if metric.alias_of is not None:
        raise UserMistake(
            f"{where}: {name} is a runbook's name", f"Write {metric.alias_of}, its source"
        )
    if metric.kind is not kind:
        raise UserMistake(f"{where}: {name} is a {metric.kind}", f"Name a {kind}")
    if metric.origin is not Origin.EXPORTER:
        raise UserMistake(
            f"{where}: {name} is counted by a process and ends with it",
            "Name a metric of the exporter, whose numbers outlive processes",
        )
    return metric


def refuse_unsound(objective: Objective, retention_s: float) -> None:
    """Refuse an objective that can't work.

    Args:
        objective: What was read.
        retention_s: For how many seconds Prometheus keeps its data.

    Raises:
        UserMistake: Names the file, the key and what would mend it.

    """
    for what, mend in _find_faults(objective, retention_s):
        raise UserMistake(f"{objective.place}: {what}", mend)


def _find_faults(objective: Objective, retention_s: float) -> Iterator[tuple[str, str]]:
    if not objective.allowed > 0:  # also where it is NaN, which YAML has as a number
        yield f"objective: {objective.percent:.14g} leaves no budget", "Ask for 99.9999 at most"
    yield from _check_period(objective, retention_s)
    yield from _check_reach(objective)
    for key, indicator in (("budget", objective.budget), ("fast", objective.fast)):
        if indicator is not None:
            yield from _check_indicator(objective, key, indicator)
    if objective.fast is not None and (
        isinstance(objective.fast, Fresh) or isinstance(objective.budget, Fresh)
    ):
        yield "fast: a timestamp shows trouble at once", "Remove fast"


def _check_period(objective: Objective, retention_s: float) -> Iterator[tuple[str, str]]:
    period = format_duration(objective.period_s)
    if not SHORTEST_PERIOD_S <= objective.period_s <= LONGEST_PERIOD_S:
        allowed = f"{format_duration(SHORTEST_PERIOD_S)} to {format_duration(LONGEST_PERIOD_S)}"
        yield f"period: {period} is none that a budget can be weighed over", f"Take {allowed}"
    needed = objective.period_s + BRIDGE_S
    if needed > retention_s:
        yield (
            (
                f"period: Prometheus keeps {format_duration(retention_s)}, and {period} take "
                f"{format_duration(needed)}"
            ),
            (
                "Take a shorter period, or set --storage.tsdb.retention.time and say so with "
                "--retention"
            ),
        )


def _check_reach(objective: Objective) -> Iterator[tuple[str, str]]:
    """Refuse an objective that not even the failure of everything could endanger (T17)."""
    fastest = max(BURN_TIERS, key=lambda tier: tier.factor(objective))
    factor = fastest.factor(objective)
    if fastest.bad_share(objective) >= 1:
        least = 100 * (1 - 1 / factor)
        yield (
            (
                f"objective: at {objective.percent:g} % over {format_duration(objective.period_s)} "
                f"the tier {fastest.name} waits for {fastest.bad_share(objective):.0%} bad events, "
                "and there are never more than 100%"
            ),
            f"Ask for more than {least:.2f} %, or over a shorter period",
        )


def _check_indicator(
    objective: Objective, key: str, indicator: Indicator
) -> Iterator[tuple[str, str]]:
    metric = metric_of(indicator)
    for label in objective.group_by:
        if isinstance(indicator, Fresh) or label not in metric.labels:
            yield (
                f"group_by: {metric.name} ({key}) can't be told apart by {label}",
                f"It has the labels {', '.join(metric.labels) or 'none'}",
            )
    match indicator:
        case Counted():
            yield from _check_selections(key, indicator)
        case Timed():
            yield from _check_edge(key, indicator)
        case Fresh():
            pass


def _check_selections(key: str, indicator: Counted) -> Iterator[tuple[str, str]]:
    labels = indicator.counter.labels
    for part, selection in (("of", indicator.of), ("good", indicator.good)):
        for label, values in selection.items():
            if label not in labels:
                yield (
                    f"{key}.{part}: {indicator.counter.name} has no label {label}",
                    _suggest(label, labels),
                )
            for value in values:
                known = _KNOWN_VALUES.get(label)
                if known is not None and value not in known:
                    yield f"{key}.{part}.{label}: {value} is never a value", _suggest(value, known)
    for label, values in indicator.good.items():
        outside = set(values) - set(indicator.of.get(label, values))
        if outside:
            yield (
                (
                    f"{key}.good.{label}: {', '.join(sorted(outside))} is not in {key}.of, so that "
                    "more events would be good than there are"
                ),
                f"Add it to {key}.of, or leave it out",
            )
    if {**indicator.of, **indicator.good} == dict(indicator.of):
        yield f"{key}.good selects all of {key}.of: nothing could be bad", "Leave failures out"


def _check_edge(key: str, indicator: Timed) -> Iterator[tuple[str, str]]:
    edges = BUCKETS.get(indicator.histogram.name)
    if edges is None:
        yield (
            f"{key}.histogram: {indicator.histogram.name} has no edges that a promise could be on",
            f"Name one of {', '.join(BUCKETS)}",
        )
    elif indicator.within_s not in edges:
        yield (
            (
                f"{key}.within: {indicator.within_s:g} s is no edge of {indicator.histogram.name}, "
                "and what lies between two edges is not counted"
            ),
            f"Take one of {', '.join(f'{edge:g}' for edge in edges)} s",
        )


def _suggest(given: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    near = difflib.get_close_matches(given, choices, n=1)
    return f"Did you mean {near[0]}?" if near else f"Take one of {', '.join(choices) or 'none'}"
