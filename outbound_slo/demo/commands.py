"""The `demo` command."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from outbound_slo.demo.directory import DataDirectory, open_directory
from outbound_slo.demo.pace import build_pace
from outbound_slo.demo.picture import check_place
from outbound_slo.demo.report import Report, write_json
from outbound_slo.demo.run import Plan, run_demo
from outbound_slo.demo.scenario import SCENARIOS, find_scenario
from outbound_slo.demo.sheet import draw_report
from outbound_slo.demo.timeline import plan_timeline
from outbound_slo.vocabulary.mistakes import UserMistake

DEFAULT_DURATION_S = 180.0
DEFAULT_RATE = 7.0
DEFAULT_SCALE = 20.0
DEFAULT_SEED = 1

NOT_CAUGHT = 1
"""Exit code where the incident was not caught, or a message was lost or sent twice."""

# Piped output has no width of its own; tables and traces need some.
_PIPED_WIDTH = 120


def demonstrate(
    duration: Annotated[
        float, typer.Option(help="Seconds of work after set-up.", metavar="S")
    ] = DEFAULT_DURATION_S,
    rate: Annotated[
        float, typer.Option(min=1, max=100, help="Messages queued per second.")
    ] = DEFAULT_RATE,
    scenario: Annotated[
        str, typer.Option(help=f"What goes wrong: {', '.join(sorted(SCENARIOS))}.")
    ] = "outage",
    time_scale: Annotated[
        float, typer.Option(help="How many times shorter 'for', windows and back-off are.")
    ] = DEFAULT_SCALE,
    seed: Annotated[int, typer.Option(help="Seed of people, messages and delays.")] = DEFAULT_SEED,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="New directory for data, logs and report; a temporary one if not given."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the temporary directory after a good run.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of the live view.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Save the screen at the height of the incident as this SVG file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; all else goes to stderr.")
    ] = False,
) -> None:
    """Run the whole stack on this machine through an incident, then report.

    Exits 1 if the incident was not caught, or a message was lost or sent twice.
    """
    pace = build_pace(time_scale)
    timeline = plan_timeline(duration, pace)
    script = find_scenario(scenario)
    if picture is not None:
        check_place(picture)
    console = _open_console(to_stderr=as_json)
    directory = open_directory(data_dir)
    plan = Plan(timeline, pace, script, rate, seed, plain or as_json, directory.path, picture)
    try:
        report = run_demo(plan, console)
    except (UserMistake, KeyboardInterrupt, SystemExit):
        console.print(f"Everything is stopped. Data and logs: {directory.path}", soft_wrap=True)
        raise
    stays = keep or not directory.is_temporary or not report.is_met
    if as_json:
        typer.echo(json.dumps(write_json(report), indent=2, ensure_ascii=False))
    else:
        for part in draw_report(report, stays=stays):
            console.print(part)
    _leave(report, directory, console, stays=stays)


def _open_console(*, to_stderr: bool) -> Console:
    console = Console(stderr=to_stderr)
    return console if console.is_terminal else Console(stderr=to_stderr, width=_PIPED_WIDTH)


def _leave(report: Report, directory: DataDirectory, console: Console, *, stays: bool) -> None:
    if not stays:
        directory.remove()
        console.print(
            "Everything is stopped and removed; --keep or --data-dir NEW leave the data, a page "
            "and a picture of each dashboard, and what ops status said.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"Everything is stopped. Data, logs and report.json: {directory.path}", soft_wrap=True
        )
    if not report.is_met:
        raise typer.Exit(NOT_CAUGHT)
