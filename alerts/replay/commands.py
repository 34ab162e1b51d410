"""`outbound-slo alerts replay`: what would have been paged, when, to whom."""

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer
from rich.console import Console

from alerts.replay.delivery import DEFAULT_SPEED, Delivery, Hurry, deliver, find_edges
from alerts.replay.evaluation import evaluate_rules, metrics_read
from alerts.replay.pages import SILENT_RECEIVERS
from alerts.replay.pending import Firing
from alerts.replay.report import list_told, print_told
from alerts.replay.samples import DEFAULT_STEP_S, read_file, read_range
from alerts.replay.tape import Tape
from alerts.rule_files import GENERATED, find_rule_files, read_mapping, read_rules
from outbound_slo.embedded.binaries import ALERTMANAGER, PROMETHEUS, find_tools
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake

ALERTMANAGER_FILE = "alertmanager.yml"
_WORTH_TELLING_S = 60.0

SpeedOption = Annotated[
    float, typer.Option("--speed", help="How many times faster than life Alertmanager is driven.")
]
ConfigurationOption = Annotated[
    Path | None,
    typer.Option(
        "--alertmanager-config", help="Alertmanager's configuration; else the one beside the rules."
    ),
]


def replay_samples(
    file: Annotated[
        Path | None,
        typer.Argument(help="OpenMetrics with a timestamp on every sample.", show_default=False),
    ] = None,
    from_prometheus: Annotated[
        str | None, typer.Option("--from-prometheus", help="Base URL of a running Prometheus.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Beginning of the range: ISO 8601 or Unix seconds.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="End of the range.")] = None,
    step: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds between evaluations.")
    ] = DEFAULT_STEP_S,
    rules: Annotated[
        Path,
        typer.Option("--rules", help="Directory of the rule files.", show_default="those built in"),
    ] = GENERATED,
    alertmanager_config: ConfigurationOption = None,
    speed: SpeedOption = DEFAULT_SPEED,
    notify: Annotated[
        bool, typer.Option("--notify/--no-notify", help="Ask a real Alertmanager who is told.")
    ] = True,
    quiet: Annotated[
        list[str] | None,
        typer.Option("--ticket-receiver", help="A receiver that wakes nobody; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay recorded samples: which pages would have gone out, when, to whom."""
    written = read_rules(find_rule_files(rules))
    wanted = metrics_read(written)
    configuration = read_configuration(rules, alertmanager_config) if notify else {}
    hurry = choose_speed(speed)
    tape = _read_tape(file, from_prometheus, start, end, step, wanted)
    missing = sorted(wanted - tape.names())
    firings = evaluate_rules(find_tools(PROMETHEUS), written, tape)
    if notify:
        _announce(firings, hurry)
    delivery = _deliver(configuration, firings, hurry, alertmanager_config) if notify else None
    silent = frozenset(quiet) if quiet else SILENT_RECEIVERS
    rows = list_told(firings, delivery, silent)
    if as_json:
        document = {
            "rows": [row.as_json() for row in rows],
            "missing": missing,
            "resolution_s": delivery.resolution_s if delivery else step,
            "left_out": list(delivery.left_out) if delivery else [],
        }
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console()
    print_told(console, rows)
    if delivery is not None:
        told = Console(stderr=True)
        told.print(f"Times are exact to {delivery.resolution_s:.0f} s.", highlight=False)
        for key in delivery.left_out:
            told.print(f"{key} follows the wall clock and was left out.", highlight=False)
    if missing:
        listed = fill(", ".join(missing), console.width, break_on_hyphens=False)
        typer.echo(f"Not in the samples, so their alerts stay silent:\n{listed}", err=True)


def read_configuration(rules: Path, named: Path | None) -> Mapping[str, Any]:
    """Read Alertmanager's configuration: the one named, that beside the rules, or our own.

    Raises:
        UserMistake: The one named can't be read.

    """
    if named is not None:
        return read_mapping(named)
    beside = rules / ALERTMANAGER_FILE
    return read_mapping(beside if beside.is_file() else GENERATED / ALERTMANAGER_FILE)


def choose_speed(speed: float) -> Hurry:
    """Check a speed from the command line.

    Raises:
        UserMistake: It is below 1, or so high that no order would be kept.

    """
    if not 1 <= speed <= 1000:  # noqa: PLR2004 - ten seconds of grouping become 10 ms
        raise UserMistake(f"--speed {speed:g} can't be used", "Give a number from 1 to 1000")
    return Hurry(speed)


def read_instant(text: str, option: str) -> float:
    """Read an instant from the command line; without a zone it is UTC.

    Raises:
        UserMistake: It is none; names the option.

    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserMistake(
            f"{option} {text!r} is no time", "Write 2026-01-05T09:00:00Z or Unix seconds"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _read_tape(
    file: Path | None,
    url: str | None,
    start: str | None,
    end: str | None,
    step: int,
    wanted: frozenset[str],
) -> Tape:
    if (file is None) == (url is None):
        raise UserMistake(
            "A replay needs either FILE or --from-prometheus", "Name one place for the samples"
        )
    if file is not None:
        return read_file(file, wanted, step)
    if start is None or end is None:
        raise UserMistake("--from-prometheus needs --start and --end", "Say which range")
    window = read_instant(start, "--start"), read_instant(end, "--end")
    return read_range(PrometheusApi(str(url), timeout=60.0), wanted, *window, step)


def _announce(firings: Sequence[Firing], hurry: Hurry) -> None:
    """Say beforehand where the second stage takes its time."""
    edges = find_edges(firings)
    seconds = (edges[-1].at_s - edges[0].at_s) / hurry.speed if edges else 0.0
    if seconds > _WORTH_TELLING_S:
        typer.echo(
            f"Alertmanager's part takes {seconds / 60:.0f} min at speed {hurry.speed:g}; "
            "--no-notify leaves it out.",
            err=True,
        )


def _deliver(
    configuration: Mapping[str, Any],
    firings: Sequence[Firing],
    hurry: Hurry,
    named: Path | None,
) -> Delivery:
    with tempfile.TemporaryDirectory(prefix="outbound-slo-replay-") as workshop:
        return deliver(
            find_tools(ALERTMANAGER),
            Path(workshop),
            configuration,
            firings,
            hurry,
            where=str(named or ALERTMANAGER_FILE),
        )
