"""Series at random, and what promtool's own clock says of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import yaml

from alerts.replay.tape import Series, Tape, Values, sort_labels, write_number
from outbound_slo.embedded.binaries import Tools

_GOT = re.compile(r"time: (\S+),\s+exp: nil\s+got: (.*)")
_SAMPLE = re.compile(r"\{([^}]*)\} ([^,\s]+)(?:, |$)")
_LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')
_PART = re.compile(r"(\d+)([hms])")

FIRING = 'ALERTS{alertstate="firing"}'


def ask_promtool(
    tools: Tools,
    directory: Path,
    rule_files: Sequence[Path],
    tape: Tape,
    expression: str = FIRING,
    *,
    order: Sequence[str] = (),
) -> dict[tuple[tuple[str, str], ...], list[int]]:
    """Ask promtool at which instants an expression has which series, by making it complain.

    Its clock starts at zero, so must the tape. Series that end are marked as stale. `order` names
    the groups in the order in which they are evaluated at each instant.
    """
    assert tape.start_s == 0
    step = f"{tape.step_s}s"
    document = {
        "rule_files": [str(path) for path in rule_files],
        "evaluation_interval": step,
        "group_eval_order": list(order),
        "tests": [
            {
                "interval": step,
                "input_series": [
                    {"series": _write_name(each), "values": _write_values(each.values)}
                    for each in tape.series
                ],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": f"{tape.instant(n)}s", "exp_samples": []}
                    for n in range(tape.steps)
                ],
            }
        ],
    }
    path = directory / "ask.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    told = tools.run("promtool", "test", "rules", str(path))
    said = told.stdout + told.stderr
    assert "got:" in said, said[-2000:]
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for moment, samples in _GOT.findall(said):
        for labels, _ in _SAMPLE.findall(samples):
            pairs: Mapping[str, str] = dict(_LABEL.findall(labels))
            found.setdefault(sort_labels(pairs), []).append(_seconds(moment))
    return found


def _seconds(moment: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in _PART.findall(moment))


def _write_name(series: Series) -> str:
    return series.name + "{" + ",".join(f'{k}="{v}"' for k, v in series.labels) + "}"


def _write_values(values: Values) -> str:
    written: list[str] = []
    for number, value in enumerate(values):
        ended = value is None and number > 0 and values[number - 1] is not None
        written.append("stale" if ended else "_" if value is None else write_number(value))
    return " ".join(written)


def wander(random: Random, steps: int, *, gaps: float = 0.02, high: int = 6) -> list[float | None]:
    """Make a gauge that stays for a while, then jumps, and now and then is not there."""
    values: list[float | None] = []
    value: float | None = float(random.randrange(high))
    while len(values) < steps:
        values += [value] * random.randrange(1, 9)
        value = None if random.random() < gaps * 5 else float(random.randrange(high))
    return values[:steps]


def count_up(random: Random, steps: int, fastest: int = 5) -> list[float | None]:
    """Make a counter with quiet hours, gaps and a fall now and then."""
    values: list[float | None] = []
    total, pace = 0, fastest
    for _ in range(steps):
        if random.random() < 0.05:
            pace = random.randrange(fastest + 1)
        if random.random() < 0.003:
            total = total // 2
        total += random.randrange(pace + 1)
        values.append(None if random.random() < 0.01 else float(total))
    return values
