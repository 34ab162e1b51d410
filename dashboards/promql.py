"""Writes PromQL from templates, so that no metric and no line is named twice.

`$FAILURE_RATIO` is the metric of that constant in `vocabulary.metrics` (`${SEND_LATENCY}_bucket`
for a part of a histogram), `$line` a threshold that is handed in, as a number in the base unit
that metrics have: ratios, seconds, bytes. Grafana's variables stay as they are.
"""

from string import Template
from typing import Final

from alerts.rule import LABEL_VALUES
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.alerts import SENDER_JOB
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.thresholds import Threshold, Unit

GRAFANAS: Final = ("channel", "org_id", "__rate_interval", "__range")
"""Grafana's variables that expressions may hold."""

_NAMES: Final = {
    constant: metric.name
    for constant, metric in vars(metrics).items()
    if isinstance(metric, Metric)
}
_FIXED: Final = (
    _NAMES
    | dict(LABEL_VALUES)
    | {"sender_job": SENDER_JOB}
    | {name: f"${name}" for name in GRAFANAS}
)
_PER_UNIT: Final = {Unit.PERCENT: 0.01, Unit.DAYS: 86_400.0, Unit.GIGABYTES: 1e9}


def write_promql(expression: str, **lines: Threshold) -> str:
    """Fill a template's placeholders in.

    Raises:
        KeyError: A placeholder is no metric, no label value, no line and no variable of Grafana's.

    """
    numbers = {name: f"{measure_line(line):.10g}" for name, line in lines.items()}
    return Template(expression.strip()).substitute(_FIXED | numbers)


def measure_line(line: Threshold) -> float:
    """Give a line's value in the base unit of metrics: ratio, seconds, bytes, plain number."""
    # 83 % is 0.83, and not what floats make of a hundredth of it.
    return round(line.value * _PER_UNIT.get(line.unit, 1.0), 10)
