"""`outbound-slo alerts slo`: objectives as files, before they are rules."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from alerts.generator import render_rules
from alerts.links import DASHBOARD_BASE_URL, RUNBOOK_BASE_URL, TRACE_BASE_URL, LinkBases
from alerts.objectives.burn import BURN_TIERS
from alerts.objectives.documents import default_files, read_objectives
from alerts.objectives.groups import build_groups
from alerts.objectives.soundness import DEFAULT_RETENTION_S
from alerts.objectives.spec import Objective, metric_of
from alerts.timing import Timing, format_duration, parse_duration
from outbound_slo.vocabulary.mistakes import UserMistake

app = typer.Typer(help="Check objectives and write their rules.", no_args_is_help=True)

_RETENTION: Final = re.compile(r"([1-9][0-9]{0,3})([hdwy])")

FilesArgument = Annotated[
    list[Path] | None, typer.Argument(help="Files of objectives, besides those that are built in.")
]
OnlyOption = Annotated[bool, typer.Option("--only", help="Leave out those that are built in.")]
RetentionOption = Annotated[
    str, typer.Option(help="For how long Prometheus keeps its data: h, d, w or y.")
]


@app.command("check")
def check_objectives(
    files: FilesArgument = None, only: OnlyOption = False, retention: RetentionOption = "35d"
) -> None:
    """Check objectives; what can't work is refused, with what would mend it."""
    objectives = _read(files, only, retention)
    count = "1 objective" if len(objectives) == 1 else f"{len(objectives)} objectives"
    typer.echo(f"{count} can be kept and measured.")


@app.command("list")
def list_objectives(
    files: FilesArgument = None, only: OnlyOption = False, retention: RetentionOption = "35d"
) -> None:
    """List objectives: which share of how many events each tier waits for, and what is measured."""
    table, told = Table(box=None), list[str]()
    table.add_column("Objective", no_wrap=True)
    for heading in ("Percent", "Period", *(tier.name for tier in reversed(BURN_TIERS))):
        table.add_column(heading.replace("-", "\n"), justify="right", no_wrap=True)
    for objective in _read(files, only, retention):
        metrics = (metric_of(indicator).name for indicator in objective.indicators.values())
        table.add_row(
            objective.name,
            f"{objective.percent:.12g}",
            format_duration(objective.period_s),
            *(
                f"{100 * tier.bad_share(objective):.4g} %\nof {tier.minimum(objective)}"
                for tier in reversed(BURN_TIERS)
            ),
        )
        told.append(
            f"{objective.name}: {' and '.join(metrics)}"
            + (f" per {' and '.join(objective.group_by)}" if objective.group_by else "")
        )
    Console().print(table)
    typer.echo("\n" + "\n".join(told))


@app.command("render")
def render_objectives(
    files: FilesArgument = None,
    only: OnlyOption = False,
    retention: RetentionOption = "35d",
    directory: Annotated[
        Path | None, typer.Option(help="Write the rule files there instead of printing them.")
    ] = None,
    runbooks: Annotated[
        str, typer.Option(help="Base URL under which docs/runbooks is published.")
    ] = RUNBOOK_BASE_URL,
    dashboards: Annotated[str, typer.Option(help="Base URL of Grafana.")] = DASHBOARD_BASE_URL,
    traces: Annotated[str, typer.Option(help="Base URL of Jaeger's pages.")] = TRACE_BASE_URL,
    time_scale: Annotated[float, typer.Option(help="Divide every wait by this number.")] = 1.0,
) -> None:
    """Write the rules of the built-in objectives and the given ones, to replace the old ones."""
    groups = build_groups(_read(files, only, retention))
    bases = LinkBases.given(runbooks, dashboards, traces)
    texts = render_rules(Timing(time_scale), groups=groups, bases=bases)
    for name, text in texts.items():
        if directory is None:
            typer.echo(f"# {name}\n{text}", nl=False)
            continue
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserMistake(
                f"{directory / name} can't be written: {error.strerror}", "Name another place"
            ) from None
        typer.echo(f"wrote {directory / name}")


def _read(files: Sequence[Path] | None, only: bool, retention: str) -> tuple[Objective, ...]:
    built_in = () if only else default_files()
    there = {path.resolve() for path in built_in}
    # Who names a built-in file means that file, not another objective of its name.
    paths = [*built_in, *(path for path in files or () if path.resolve() not in there)]
    if not paths:
        raise UserMistake("--only without a file leaves no objective", "Name a file")
    return read_objectives(paths, retention_s=_read_retention(retention))


def _read_retention(text: str) -> float:
    found = _RETENTION.fullmatch(text)
    if found is None:
        raise UserMistake(
            f"--retention: {text} is no time",
            f"Write it as Prometheus does: {format_duration(DEFAULT_RETENTION_S)}, 5w or 1y",
        )
    return parse_duration(text)
