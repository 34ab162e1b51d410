"""How soon rules tell of an outage: `make bench-detection`. Its last line is one JSON object.

Outages of several sizes, lengths and amounts of traffic are played to our rules and to burn rates
in their usual shape (`baselines.ratio_rules`), in one run of the same engine: each outage is a
channel of its own, six hours of health before it. Then days without an outage, on which nobody
should be woken.

Judged is what Prometheus says, `for` included; what Alertmanager waits before it tells, some ten
seconds, comes on top of both. Our rules are those about attempts: those that name WhatsApp are
asked of every channel, as if each were WhatsApp. No breaker holds attempts back. Smaller:

    python -m benchmarks.detection --share 50 --minutes 15
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Final

import typer

from alerts.catalogue import provider
from alerts.generator import render_rules
from alerts.incidents.lane import draw_number, draw_share
from alerts.objectives.burn import BURN_TIERS
from alerts.objectives.documents import default_files, read_objectives
from alerts.objectives.groups import build_part
from alerts.objectives.soundness import DEFAULT_RETENTION_S
from alerts.objectives.spec import Objective
from alerts.replay.evaluation import evaluate_rules
from alerts.replay.pending import Firing
from alerts.replay.tape import Series, Tape, sort_labels
from alerts.rule import Alert
from alerts.rule_files import WrittenRule, read_rules
from alerts.timing import Timing
from benchmarks.baselines.ratio_rules import PAGE, write_rules
from benchmarks.report import Goal, Report
from outbound_slo.embedded.binaries import PROMETHEUS, Tools, find_tools
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import AlertName, Severity, Slo

GOALS: Final = (
    Goal("median_speedup", "delay of burn rates over ours, median of what both find", at_least=1.5),
    Goal("ours_median_s", "our delay, median of what we find"),
    Goal("baseline_median_s", "the same of burn rates alone"),
    Goal("large_outages", "outages of half of the attempts or more"),
    Goal("ours_missed_large", "of these, not told while they lasted"),
    Goal("baseline_missed_large", "the same of burn rates alone"),
    Goal("ours_false_pages", "pages on quiet days", at_most=0),
    Goal("baseline_false_pages", "the same of burn rates alone"),
)

SHARES: Final = (5, 10, 20, 30, 50, 100)
MINUTES: Final = (2, 5, 15, 60, 360)
PER_MINUTE: Final = {"10/s": 600.0, "1/s": 60.0, "1/min": 1.0}
LARGE: Final = 50

_STEP_S: Final = 15
_START_S: Final = 1_767_571_200
_BEFORE_S: Final = 6 * 3600
_AFTER_S: Final = 600
_USUAL: Final = 0.002
_DAY_S: Final = 86_400
_QUIET_STEP_S: Final = 30
_WINDOWS: Final = frozenset({"5m", "30m", "1h", "6h"})
_QUIET_SHARES: Final = (1, 2, 3)
_NIGHTS: Final = 10
_STRICT_PERCENT: Final = 99.9
# The tape ends at the long windows' length: longer ones would hold nothing else.
_PAGING: Final = tuple(tier.name for tier in BURN_TIERS if tier.pages)


@dataclass(frozen=True, slots=True)
class Cell:
    """One outage.

    Attributes:
        share: Percent of the attempts that fail while it lasts.
        minutes: How long it lasts.
        traffic: Key of `PER_MINUTE`.

    """

    share: int
    minutes: int
    traffic: str

    @property
    def channel(self) -> str:
        """The channel that stands for it."""
        return f"{self.share}-{self.minutes}-{self.traffic}"


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds until a cell was paged; None: not while it lasted."""

    cell: Cell
    ours: float | None
    baseline: float | None


def run_benchmark(
    share: Annotated[list[int] | None, typer.Option(help="Percent that fail; several.")] = None,
    minutes: Annotated[list[int] | None, typer.Option(help="How long; several.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 1,
) -> None:
    """Play outages to our rules and to burn rates alone, then quiet days."""
    report = Report(GOALS)
    tools = find_tools(PROMETHEUS)
    cells = [
        Cell(each, lasts, traffic)
        for each in share or SHARES
        for lasts in minutes or MINUTES
        for traffic in PER_MINUTE
    ]
    report.tell(f"{len(cells)} outages")
    _judge_outages(report, play_outages(tools, cells, seed))
    report.tell("quiet days")
    quiet = play_quiet_days(tools, seed)
    report.show_rows("Pages on quiet days", [asdict(each) for each in quiet])
    report.note("ours_false_pages", sum(each.ours for each in quiet))
    report.note("baseline_false_pages", sum(each.burn_rates for each in quiet))
    report.finish()


def play_outages(tools: Tools, cells: Sequence[Cell], seed: int) -> Sequence[Delays]:
    """Play all cells at once and find when each was paged first."""
    longest_s = max(cell.minutes for cell in cells) * 60
    steps = (_BEFORE_S + longest_s + _AFTER_S) // _STEP_S
    outages = [(cell.channel, PER_MINUTE[cell.traffic], _outage(cell)) for cell in cells]
    tape = _record(outages, steps, _STEP_S, seed)
    objective = _send_success()
    ours = _page_times(tools, our_rules(objective), tape)
    baseline = _page_times(tools, baseline_rules(objective), tape)
    return [Delays(cell, _delay(ours, cell), _delay(baseline, cell)) for cell in cells]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Pages on days of one kind: ours, and those of burn rates alone."""

    day: str
    days: int
    ours: int
    burn_rates: int


def play_quiet_days(tools: Tools, seed: int) -> Sequence[Quiet]:
    """Play days on which few attempts fail at random, and count pages."""
    objective = _send_success()
    strict = replace(objective, percent=_STRICT_PERCENT)
    rows = []
    random_failures = [
        (f"{share}-{traffic}", pace, _always(share / 100))
        for share in _QUIET_SHARES
        for traffic, pace in PER_MINUTE.items()
    ]
    # One failure among sixty messages of an hour (T3): at 99.9 % that is 17 times the budget.
    one_of_sixty = [(f"night-{number}", 1.0, _always(1 / 60)) for number in range(_NIGHTS)]
    for day, judged, channels in (
        ("1 to 3 % fail, 95 % promised", objective, random_failures),
        ("1 of 60 an hour fails, 99.9 % promised", strict, one_of_sixty),
    ):
        tape = _record(channels, _DAY_S // _QUIET_STEP_S, _QUIET_STEP_S, seed)
        rows.append(
            Quiet(
                day,
                len(channels),
                _count(_page_times(tools, our_rules(judged), tape)),
                _count(_page_times(tools, baseline_rules(judged), tape)),
            )
        )
    return rows


def our_rules(objective: Objective) -> Sequence[WrittenRule]:
    """Give our rules about attempts, those for WhatsApp turned to every channel."""

    def pages(alert: Alert) -> bool:
        return alert.labels.get("burn_tier") in _PAGING

    burn = build_part(objective, "outbound-burn", _WINDOWS, pages)
    # An outage of all channels needs all of them, which here are one outage each.
    single = tuple(each for each in provider.GROUP.alerts if each.name is not AlertName.OUTAGE)
    texts = render_rules(Timing(), groups=(replace(provider.GROUP, alerts=single), burn))
    whatsapp = {
        '{channel="whatsapp"}': "",
        '{channel!="whatsapp"}': '{channel=""}',
    }
    written = "\n".join(texts.values())
    for found in whatsapp:
        if found not in written:
            raise ValueError(f"no rule selects by {found} any more")
    rules = _read_texts({name: _replace_all(text, whatsapp) for name, text in texts.items()})
    return [_keep_channel(rule) for rule in rules]


def _keep_channel(rule: WrittenRule) -> WrittenRule:
    """Leave a channel's name to the series, where the rule names WhatsApp."""
    labels = {key: value for key, value in rule.labels.items() if key != "channel"}
    return replace(rule, document={**rule.document, "labels": labels})


def baseline_rules(objective: Objective) -> Sequence[WrittenRule]:
    """Give burn rates in their usual shape, about the same attempts."""
    name = m.ATTEMPTS.name
    document = write_rules(
        f'{name}{{outcome=~"failed|unknown"}}',
        f'{name}{{outcome=~"sent|failed|unknown"}}',
        objective.percent / 100,
    )
    (group,) = document["groups"]
    # Half a day holds nothing for the windows of the tickets, and nobody is woken by them.
    used = [
        rule
        for rule in group["rules"]
        if rule.get("alert", PAGE) == PAGE and not str(rule.get("record")).endswith(("d", "2h"))
    ]
    return [WrittenRule("baseline.yml", rule) for rule in used]


def _judge_outages(report: Report, delays: Sequence[Delays]) -> None:
    for traffic in PER_MINUTE:
        report.show_rows(f"Delay at {traffic}: ours / burn rates", list(_rows(delays, traffic)))
    both = [(each.ours, each.baseline) for each in delays if each.ours and each.baseline]
    if both:
        report.note("median_speedup", statistics.median(late / soon for soon, late in both))
    for key, found in (
        ("ours_median_s", [each.ours for each in delays if each.ours]),
        ("baseline_median_s", [each.baseline for each in delays if each.baseline]),
    ):
        if found:
            report.note(key, statistics.median(found))
    large = [each for each in delays if each.cell.share >= LARGE]
    report.note("large_outages", len(large))
    report.note("ours_missed_large", sum(each.ours is None for each in large))
    report.note("baseline_missed_large", sum(each.baseline is None for each in large))


def _rows(delays: Sequence[Delays], traffic: str) -> Iterator[Mapping[str, object]]:
    chosen = [each for each in delays if each.cell.traffic == traffic]
    for share in sorted({each.cell.share for each in chosen}):
        row: dict[str, object] = {"fails": f"{share} %"}
        for each in chosen:
            if each.cell.share == share:
                told = f"{_write(each.ours)} / {_write(each.baseline)}"
                row[f"{each.cell.minutes} min"] = told
        yield row


def _write(delay_s: float | None) -> str:
    return "-" if delay_s is None else f"{delay_s / 60:.1f}"


def _delay(times: Mapping[str, Sequence[int]], cell: Cell) -> float | None:
    """Seconds from a cell's beginning to its first page, if that came while it lasted."""
    began = _START_S + _BEFORE_S
    found = [at - began for at in times.get(cell.channel, ()) if at >= began]
    return min(found) if found and min(found) <= cell.minutes * 60 else None


def _count(times: Mapping[str, Sequence[int]]) -> int:
    return sum(len(found) for found in times.values())


def _page_times(
    tools: Tools, rules: Sequence[WrittenRule], tape: Tape
) -> Mapping[str, Sequence[int]]:
    """Find when pages began, by channel."""
    found: dict[str, list[int]] = {}
    for firing in evaluate_rules(tools, rules, tape):
        if _pages(firing):
            found.setdefault(firing.label("channel"), []).append(firing.start_s)
    return found


def _pages(firing: Firing) -> bool:
    return firing.alert == PAGE or firing.label("severity") == Severity.CRITICAL


Failing = Callable[[int], float]
"""Share (0 to 1) of the attempts that fail, by seconds since the beginning."""


def _outage(cell: Cell) -> Failing:
    ends_s = _BEFORE_S + cell.minutes * 60
    return lambda at_s: cell.share / 100 if _BEFORE_S <= at_s < ends_s else _USUAL


def _always(share: float) -> Failing:
    return lambda _at_s: share


def _record(
    channels: Sequence[tuple[str, float, Failing]], steps: int, step_s: int, seed: int
) -> Tape:
    """Record what the exporter would have shown of these channels' attempts."""
    series = []
    for channel, per_minute, failing in channels:
        random = Random(f"{seed} {channel}")  # noqa: S311 - noise, no secrets
        sent: list[float | None] = []
        failed: list[float | None] = []
        good = bad = 0
        for index in range(steps):
            new = draw_number(random, per_minute / 60 * step_s)
            lost = draw_share(random, new, failing(index * step_s))
            good, bad = good + new - lost, bad + lost
            sent.append(float(good))
            failed.append(float(bad))
        for outcome, code, values in (("sent", "", sent), ("failed", "131016", failed)):
            labels = {"channel": channel, "outcome": outcome, "error_code": code}
            series.append(Series(m.ATTEMPTS.name, sort_labels(labels), values))
    return Tape(_START_S, step_s, steps, tuple(series))


def _send_success() -> Objective:
    objectives = read_objectives(default_files(), retention_s=DEFAULT_RETENTION_S)
    return next(each for each in objectives if each.name == Slo.SEND_SUCCESS)


def _replace_all(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def _read_texts(texts: Mapping[str, str]) -> Sequence[WrittenRule]:
    with tempfile.TemporaryDirectory(prefix="outbound-slo-bench-") as directory:
        paths = [Path(directory) / name for name in texts]
        for path in paths:
            path.write_text(texts[path.name], encoding="utf-8")
        return read_rules(paths)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(run_benchmark)
    app()
