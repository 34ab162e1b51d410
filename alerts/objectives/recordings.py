"""Series that Prometheus records for objectives: what counts, windows of it, and the budget.

Each objective's events are summed into a small family with the labels `slo`, `sli`, the objective's
own and `epoch`. Everything after that reads this family, whatever the objective, so that another
objective adds two or four recordings and no more.

* An exporter's counters come from SQL and only fall where the database's history changes; then the
  epoch changes too. So a window is the newest value less the one at its far end, within one epoch,
  and the epochs' differences are summed.
* An epoch that ended, or that nobody shows for a while, keeps its last value until nothing of it
  is within the longest period. What was spent before a failover stays spent.
* The far end is looked for up to an hour further back, which bridges a gap. Where there is none,
  the series is younger than the window, or the gap was longer: then the first value within the
  window is taken, from a copy of the series that has one sample an hour, and the first one at once.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from alerts.objectives.burn import BRIDGE_S, WINDOWS
from alerts.objectives.spec import (
    BUDGET_SLI,
    Counted,
    Fresh,
    Indicator,
    Objective,
    Selection,
    Timed,
    metric_of,
)
from alerts.rule import Recording
from alerts.timing import DAY, format_duration
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import ALL_CHANNELS
from outbound_slo.vocabulary.metrics import Metric

PERIOD: Final = "period"
"""Name of the window that is as long as an objective's period."""

ALL_WINDOWS: Final = (*(name for name, _ in WINDOWS), PERIOD)
"""Names of all windows."""

_BRIDGE: Final = format_duration(BRIDGE_S)
# What tells two exporters' pages apart, or two databases of one exporter.
_SOURCE: Final = "job, instance, database"

EPOCH_INFO: Final = Recording(
    m.EPOCH_INFO,
    # A page that lacks the number for a while does not begin another epoch. The newest one counts
    # at once: it is no larger than the one before.
    f"""\
count_values by ({_SOURCE}) ("epoch", max by ({_SOURCE}) (
  $ROLLUP_EPOCH or last_over_time($ROLLUP_EPOCH[{_BRIDGE}])
))""",
)
"""Which epoch each exporter's counters belong to."""


def record_events(objective: Objective) -> Iterator[Recording]:
    """Record what an objective counts: two series families for each of its indicators."""
    for sli, indicator in objective.indicators.items():
        labels = {"slo": objective.name, "sli": sli} | fixed_labels(objective)
        total, good = _select(indicator)
        chosen = f'{{slo="{objective.name}",sli="{sli}"}}'
        shown = _sum_events(total, metric_of(indicator), objective)
        good_shown = _sum_events(good, metric_of(indicator), objective)
        yield Recording(m.SLO_EVENTS_SHOWN, shown, labels)
        yield Recording(
            m.SLO_GOOD_SHOWN,
            f"{good_shown}\n  or ignoring ({', '.join(labels)}) 0 * $SLO_EVENTS_SHOWN{chosen}",
            labels,
        )


def fixed_labels(objective: Objective) -> dict[str, str]:
    """Give the label `channel` to an objective that does not tell channels apart."""
    return {} if "channel" in objective.group_by else {"channel": ALL_CHANNELS}


def keep_events(longest_s: float) -> tuple[Recording, ...]:
    """Record the families that outlive their sources, and their hourly copies.

    Args:
        longest_s: The longest period of any objective, in seconds.

    """
    period = format_duration(longest_s)
    kept = [
        Recording(
            metric,
            f"""\
{shown} or (
  last_over_time({name}[{_BRIDGE}])
  unless last_over_time({name}[{_BRIDGE}]) == last_over_time({name}[{_BRIDGE}] offset {period})
)""",
        )
        for metric, name, shown in (
            (m.SLO_EVENTS, "$SLO_EVENTS", "$SLO_EVENTS_SHOWN"),
            (m.SLO_GOOD, "$SLO_GOOD", "$SLO_GOOD_SHOWN"),
        )
    ]
    firsts = [
        Recording(metric, f"{name} unless last_over_time({first}[{_BRIDGE}])")
        for metric, name, first in (
            (m.SLO_EVENTS_FIRST, "$SLO_EVENTS", "$SLO_EVENTS_FIRST"),
            (m.SLO_GOOD_FIRST, "$SLO_GOOD", "$SLO_GOOD_FIRST"),
        )
    ]
    return (*kept, *firsts)


def record_windows(objectives: Sequence[Objective]) -> Iterator[Recording]:
    """Record events and bad events of every window, for objectives whose events are counted."""
    for name, parts in _list_windows(objectives):
        total = "\nor ".join(_difference("$SLO_EVENTS", *part) for part in parts)
        good = "\nor ".join(_difference("$SLO_GOOD", *part) for part in parts)
        yield Recording(recorded("EVENTS", name), total)
        yield Recording(
            recorded("BAD", name),
            f"clamp_min(${recorded_constant('EVENTS', name)} - (\n{good}\n), 0)",
        )


def record_samples(objectives: Sequence[Objective]) -> Iterator[Recording]:
    """Record events and bad events of every window, for objectives whose events are evaluations."""
    for objective in objectives:
        yield _sample(objective)
    for name, parts in _list_windows(objectives):
        ranges = [f"($SLO_FRESH{chosen}[{format_duration(seconds)}])" for seconds, chosen in parts]
        total = "\nor ".join(f"count_over_time{each}" for each in ranges)
        good = " or ".join(f"sum_over_time{each}" for each in ranges)
        yield Recording(recorded("EVENTS", name), total)
        yield Recording(recorded("BAD", name), f"${recorded_constant('EVENTS', name)} - ({good})")


def record_ratios() -> Iterator[Recording]:
    """Record the share of bad events in every window: 0 without events, and never NaN (T2)."""
    # Where there are no events their number is 0, and so is the share.
    for name in ALL_WINDOWS:
        events, bad = (f"${recorded_constant(kind, name)}" for kind in ("EVENTS", "BAD"))
        yield Recording(recorded("RATIO", name), f"{bad} / ({events} > 0)\n  or {events}")


def record_budget(objectives: Sequence[Objective]) -> Iterator[Recording]:
    """Record what each objective asks for, what is left of its budget, and for how long."""
    for objective in objectives:
        labels = {"slo": objective.name}
        yield Recording(m.SLO_OBJECTIVE, f"vector({objective.percent / 100:.10g})", labels)
        yield Recording(m.SLO_BUDGET, f"vector({objective.allowed:.10g})", labels)
        yield Recording(m.SLO_PERIOD, f"vector(seconds({objective.period_s / DAY:g}d))", labels)
    events = f'$SLO_EVENTS_PERIOD{{sli="{BUDGET_SLI}"}}'
    yield Recording(
        m.SLO_REMAINING,
        f"""\
max without (sli) (
  1 - $SLO_BAD_PERIOD / (({events} > 0) * on (slo) group_left () $SLO_BUDGET)
  or 0 * {events} + 1
)""",
    )
    yield Recording(
        m.SLO_EXHAUSTION,
        f"""\
clamp_min($SLO_REMAINING, 0)
  * on (slo) group_left () $SLO_PERIOD
  * on (slo) group_left () $SLO_BUDGET
  / max without (sli) ($SLO_RATIO_6H{{sli="{BUDGET_SLI}"}} > 0)""",
    )


def recorded_constant(kind: str, window: str) -> str:
    """Name the vocabulary's constant for EVENTS, BAD or RATIO of a window."""
    return f"SLO_{kind}_{window.upper()}"


def recorded(kind: str, window: str) -> Metric:
    """Give the metric for EVENTS, BAD or RATIO of a window."""
    metric = getattr(m, recorded_constant(kind, window))
    assert isinstance(metric, Metric)  # noqa: S101 - the vocabulary's own names
    return metric


def _list_windows(
    objectives: Sequence[Objective],
) -> Iterator[tuple[str, list[tuple[float, str]]]]:
    """List all windows with their seconds and selectors; the period's may be several."""
    for name, seconds in WINDOWS:
        yield name, [(seconds, "")]
    lengths = sorted({objective.period_s for objective in objectives})
    if len(lengths) == 1:
        yield PERIOD, [(lengths[0], "")]
        return
    parts = []
    for length in lengths:
        names = [objective.name for objective in objectives if objective.period_s == length]
        parts.append((length, f'{{slo=~"{"|".join(names)}"}}'))
    yield PERIOD, parts


def _difference(family: str, seconds: float, chosen: str) -> str:
    window = format_duration(seconds)
    bridge = format_duration(min(seconds, BRIDGE_S))
    # The hourly copy may have no sample in a window that is shorter than an hour.
    first = f"{family}_FIRST" if seconds >= BRIDGE_S else family
    return f"""\
sum without (epoch) (clamp_min(
  {family}{chosen} - (
    last_over_time({family}{chosen}[{bridge}] offset {window})
    or min_over_time({first}{chosen}[{window}])
  ), 0))"""


def _sample(objective: Objective) -> Recording:
    indicator = objective.budget
    assert isinstance(indicator, Fresh)  # noqa: S101 - chosen by `is_sampled`
    age = f"age({indicator.younger_than_s:g}s)"
    period = format_duration(objective.period_s)
    labels = {"slo": objective.name, "sli": BUDGET_SLI} | fixed_labels(objective)
    # Absence is bad only where there was something, and for no longer than the period.
    return Recording(
        m.SLO_FRESH,
        f"""\
(time() - max({indicator.timestamp.name})) <= bool {age}
  or on () 0 * (max_over_time($SLO_FRESH{{slo="{objective.name}"}}[{period}]) > 0)""",
        labels,
    )


def _select(indicator: Indicator) -> tuple[str, str]:
    """Write the selectors of all events and of the good ones."""
    match indicator:
        case Counted():
            name = indicator.counter.name
            return (
                name + _write_selection(indicator.of),
                name + _write_selection({**indicator.of, **indicator.good}),
            )
        case Timed():
            name = indicator.histogram.name
            edge = f"{indicator.within_s:g}"
            # Pages write whole edges as 30.0, other exporters as 30.
            edges = edge if "." in edge else f"{edge}|{edge}[.]0"
            return f"{name}_count", f'{name}_bucket{{le=~"{edges}"}}'
        case Fresh():
            raise ValueError("a timestamp has no events to select")


def _write_selection(selection: Selection) -> str:
    if not selection:
        return ""
    parts = [
        f'{label}="{values[0]}"' if len(values) == 1 else f'{label}=~"{"|".join(values)}"'
        for label, values in selection.items()
    ]
    return f"{{{','.join(parts)}}}"


def _sum_events(selector: str, metric: Metric, objective: Objective) -> str:
    """Sum over everything but the objective's labels and the epoch; two exporters count once."""
    kept = ", ".join((*objective.group_by, "epoch"))
    every = ", ".join(("database", *metric.labels, "epoch"))
    return f"""\
sum by ({kept}) (max by ({every}) (
  {selector} * on ({_SOURCE}) group_left (epoch) $EPOCH_INFO
  or ignoring (epoch) {selector}
))"""
