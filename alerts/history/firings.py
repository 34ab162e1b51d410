"""What fired, as a Prometheus remembers it: its series ALERTS."""

import math
from collections.abc import Sequence

from alerts.history.accuracy import PastAlert
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import Severity
from outbound_slo.vocabulary.metrics import ALERTS

# Below the 11,000 points that one answer may have.
_MOST_POINTS = 10_000


def read_firings(
    api: PrometheusApi, start_s: float, end_s: float, step_s: int, severity: str = Severity.CRITICAL
) -> Sequence[PastAlert]:
    """Read which alerts fired, by when they began.

    Several label sets of one alert that fire at once are one alert: they were one page.

    Args:
        api: Prometheus.
        start_s: Unix seconds of the beginning.
        end_s: Unix seconds of the end.
        step_s: Seconds between looks; shorter firings may be overseen.
        severity: Only alerts with this label.

    Raises:
        UserMistake: Prometheus can't be asked.

    """
    expression = f'max by (alertname) ({ALERTS.name}{{alertstate="firing",severity="{severity}"}})'
    first, last = math.ceil(start_s / step_s), math.floor(end_s / step_s)
    seen: dict[str, list[int]] = {}
    for begin in range(first, last + 1, _MOST_POINTS):
        until = min(begin + _MOST_POINTS - 1, last)
        for series in api.query_range(expression, begin * step_s, until * step_s, step_s):
            numbers = seen.setdefault(series.labels["alertname"], [])
            numbers += [round(at / step_s) for at, _ in series.points]
    firings = [
        PastAlert(name, begin * step_s, end * step_s)
        for name, numbers in seen.items()
        for begin, end in find_runs(numbers)
    ]
    return sorted(firings, key=lambda alert: (alert.start_s, alert.name))


def find_runs(numbers: Sequence[int]) -> Sequence[tuple[int, int]]:
    """Find first and last of each run of consecutive numbers.

    >>> find_runs([3, 4, 5, 9, 11, 12])
    [(3, 5), (9, 9), (11, 12)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
