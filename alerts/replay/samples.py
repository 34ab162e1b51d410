"""Where a replay's series come from: a file of OpenMetrics, or a range of a running Prometheus."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alerts.replay.tape import Labels, Series, Tape, sort_labels
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake

DEFAULT_STEP_S: Final = 15
MOST_STEPS: Final = 200_000
"""At 15 seconds about 34 days."""

_SAMPLE: Final = re.compile(
    r"""
    (?P<name> [a-zA-Z_:][\w:]* )
    (?: \{ (?P<labels> (?: [^"}] | "(?:\\.|[^"\\])*" )* ) \} )?
    [ ] (?P<value> \S+ )
    (?: [ ] (?P<at> [^\s#]\S* ) )?
    (?: [ ] \# .* )?
    """,
    re.VERBOSE,
)
_LABEL: Final = re.compile(r'\s*([a-zA-Z_]\w*)="((?:\\.|[^"\\])*)"\s*(?:,|$)')
_ESCAPE: Final = re.compile(r"\\(.)")
_MOST_INSTANTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a file; `at_s` in Unix seconds."""

    name: str
    labels: Labels
    value: float
    at_s: float


def read_file(path: Path, wanted: frozenset[str], step_s: int = DEFAULT_STEP_S) -> Tape:
    """Read a file of OpenMetrics with a timestamp on every sample.

    Args:
        path: The file.
        wanted: Names of the series to keep.
        step_s: Seconds between instants; the last sample before an instant counts at it.

    Raises:
        UserMistake: It can't be read or is no such file; names the line.

    """
    try:
        with path.open(encoding="utf-8") as lines:
            samples = [each for each in parse(lines, str(path)) if each.name in wanted]
    except OSError as error:
        raise UserMistake(f"{path} can't be read: {error.strerror}", "Check the path") from None
    except UnicodeDecodeError:
        raise UserMistake(f"{path} is not UTF-8 text", "Give a file of OpenMetrics") from None
    if not samples:
        raise UserMistake(
            f"{path} has no series that the rules read", "Record what the exporter serves"
        )
    return lay_out(samples, step_s)


def parse(lines: Iterable[str], where: str) -> Iterator[Sample]:
    """Parse lines of OpenMetrics.

    Raises:
        UserMistake: A line is none, a sample has no timestamp, or the text ends without `# EOF`.

    """
    ended = False
    number = 0
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\r\n")
        place = f"{where}, line {number}"
        if ended and line:
            raise UserMistake(f"{place}: there is text after # EOF", "Remove it")
        if line == "# EOF":
            ended = True
        elif line and not line.startswith("#"):
            yield _parse_sample(line, place)
    if not ended:
        raise UserMistake(
            f"{where} ends after line {number} without '# EOF'",
            "The file is cut off, or not OpenMetrics; end it with that line if it is whole",
        )


def _parse_sample(line: str, place: str) -> Sample:
    found = _SAMPLE.fullmatch(line)
    if found is None:
        raise UserMistake(
            f"{place}: {line[:60]!r} is no sample", 'Write name{label="value"} value timestamp'
        )
    if found["at"] is None:
        raise UserMistake(f"{place}: the sample has no timestamp", "Add Unix seconds at its end")
    value = _read_number(found["value"], f"{place}: value")
    at_s = _read_number(found["at"], f"{place}: timestamp")
    if not 0 <= at_s < 1e11:  # noqa: PLR2004 - beyond it, it is in milliseconds
        raise UserMistake(
            f"{place}: timestamp {found['at']} is not in Unix seconds",
            "OpenMetrics counts seconds, not milliseconds",
        )
    labels = _read_labels(found["labels"] or "", place)
    return Sample(found["name"], sort_labels(labels), value, at_s)


def _read_number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserMistake(f"{what} {text!r} is no number", "Correct it") from None


def _read_labels(text: str, place: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _LABEL.match(text, position)
        if found is None:
            raise UserMistake(
                f"{place}: {text[position : position + 40]!r} is no label", 'Write label="value"'
            )
        if found[1] in labels:
            raise UserMistake(f"{place}: the label {found[1]} stands twice", "Keep one of them")
        labels[found[1]] = _ESCAPE.sub(
            lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), found[2]
        )
        position = found.end()
    return labels


def lay_out(samples: Iterable[Sample], step_s: int) -> Tape:
    """Put samples on a grid: at each instant stands the last sample of the step before it.

    Raises:
        UserMistake: They span more instants than a replay can take.

    """
    kept = sorted(samples, key=lambda sample: sample.at_s)
    first = math.ceil(kept[0].at_s / step_s)
    steps = math.ceil(kept[-1].at_s / step_s) - first + 1
    if steps > MOST_STEPS:
        raise UserMistake(
            f"The samples span {steps} steps of {step_s} s, more than {MOST_STEPS}",
            "Take a shorter range, or a longer --step",
        )
    found: dict[tuple[str, Labels], list[float | None]] = {}
    for sample in kept:
        values = found.setdefault((sample.name, sample.labels), [None] * steps)
        values[math.ceil(sample.at_s / step_s) - first] = sample.value
    series = tuple(Series(name, labels, values) for (name, labels), values in found.items())
    return Tape(first * step_s, step_s, steps, series)


def read_range(
    api: PrometheusApi, wanted: frozenset[str], start_s: float, end_s: float, step_s: int
) -> Tape:
    """Read a range of a running Prometheus.

    Args:
        api: Prometheus.
        wanted: Names of the series to ask for.
        start_s: Unix seconds of the beginning.
        end_s: Unix seconds of the end.
        step_s: Seconds between instants; at best the scrape interval.

    Raises:
        UserMistake: The range is empty or too long, or Prometheus has none of the series.

    """
    first, last = math.ceil(start_s / step_s), math.floor(end_s / step_s)
    steps = last - first + 1
    if not 0 < steps <= MOST_STEPS:
        raise UserMistake(
            f"From --start to --end are {max(steps, 0)} steps of {step_s} s",
            f"Give a range of 1 to {MOST_STEPS} steps",
        )
    found: dict[tuple[str, Labels], list[float | None]] = {}
    for name in sorted(wanted):
        for begin in range(0, steps, _MOST_INSTANTS):
            until = min(begin + _MOST_INSTANTS, steps) - 1
            window = ((first + begin) * step_s, (first + until) * step_s)
            for series in api.query_range(name, *window, step_s):
                key = (name, sort_labels(series.labels))
                values = found.setdefault(key, [None] * steps)
                for at, value in series.points:
                    values[round(at / step_s) - first] = value
    if not found:
        raise UserMistake(
            f"Prometheus at {api.url} has none of the series that the rules read in that range",
            "Check --start and --end",
        )
    series_found = tuple(Series(name, labels, values) for (name, labels), values in found.items())
    return Tape(first * step_s, step_s, steps, series_found)
