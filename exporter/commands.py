"""`outbound-slo exporter`: serve metrics from SQL, or check what would be served."""

import logging
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exporter.complaint import show
from exporter.loader import builtin_packs, load_packs
from exporter.pack import Pack
from exporter.rollup.commands import app as rollup_app
from exporter.rollup.watching import (
    list_organisations,
    unwatch_organisations,
    watch_organisations,
)
from exporter.scaffolding import write_scaffold
from exporter.service import Service
from exporter.survey import survey
from exporter.survey_report import show_packs, show_report, write_json
from exporter.target import plan_targets
from outbound_slo.settings import DatabaseSettings, ExporterSettings, ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake

_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]*")

app = typer.Typer(help="Serve Prometheus metrics from SQL packs.", no_args_is_help=False)
app.add_typer(rollup_app, name="rollup", no_args_is_help=True)
app.command("watch")(watch_organisations)
app.command("unwatch")(unwatch_organisations)
app.command("watched")(list_organisations)

PackOption = Annotated[
    list[str],
    typer.Option(
        "--pack",
        metavar="NAME|DIR",
        help=f"Pack to serve, may stand several times. Built in: {', '.join(builtin_packs())}.",
    ),
]
CompatOption = Annotated[
    bool,
    typer.Option("--compat/--no-compat", help="Serve the runbooks' own names too."),
]


DatabaseOption = Annotated[
    list[str],
    typer.Option(
        "--database",
        metavar="NAME=URL",
        help="Database to ask instead of DATABASE_URL, as the label 'database' names it; may stand "
        "several times. ${NAME} and ${file:/path} are looked up.",
    ),
]


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    pack: PackOption = ["outbound"],  # noqa: B006 - Typer copies the default
    database: DatabaseOption = [],  # noqa: B006 - Typer copies the default
    compat: CompatOption = True,
    once: Annotated[bool, typer.Option("--once", help="Print the page once and exit.")] = False,
) -> None:
    """Refresh the packs at an interval and serve /metrics until SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    settings = ExporterSettings.read()
    service = Service(
        lambda: plan_targets(_load(pack, compat=compat), _own_database, _parse_databases(database)),
        settings,
        elects=settings.election and not once,
    )
    if once:
        _print_once(service)
        return
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    signal.signal(signal.SIGHUP, lambda *_: service.ask_to_reload())
    service.run()


@app.command()
def check(
    pack: PackOption = ["outbound"],  # noqa: B006 - Typer copies the default
    database: DatabaseOption = [],  # noqa: B006 - the same
    compat: CompatOption = True,
    live: Annotated[
        bool, typer.Option("--live", help="Also plan each query on its databases; runs none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON for machines.")] = False,
) -> None:
    """Validate packs; with --live also say what the databases lack for them and what they cost."""
    packs = _load(pack, compat=compat)
    targets = plan_targets(packs, _own_database, _parse_databases(database)) if live else ()
    reports = [survey(target) for target in targets]
    if as_json:
        typer.echo(write_json(packs, reports))
    else:
        show_packs(packs, Console())
        for report in reports:
            show_report(report, Console())
    if any(finding.troubles for report in reports for finding in report.findings):
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The pack's name: lower case, digits, underscores.")],
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where to put it; ./NAME unless given.")
    ] = None,
) -> None:
    """Make a pack of your own to begin with: pack.yml, its SQL, and the schema for your editor."""
    made = write_scaffold(name, folder or Path(name))
    for path in made:
        typer.echo(f"wrote {path}")
    typer.echo(f"Next: outbound-slo exporter --once --pack {made[0].parent}")


def _load(references: list[str], *, compat: bool) -> tuple[Pack, ...]:
    policy = ProviderSettings.read().whatsapp_error_policy
    return load_packs(references, policy, compat=compat)


def _own_database() -> str:
    return DatabaseSettings.read().url


def _parse_databases(given: list[str]) -> dict[str, str]:
    """Read `NAME=URL` options.

    Raises:
        UserMistake: One has another form, or a name stands twice.

    """
    databases: dict[str, str] = {}
    for entry in given:
        name, mark, url = entry.partition("=")
        if not mark or not url or not _DATABASE_NAME.fullmatch(name):
            raise UserMistake(
                f"--database begins with {show(name)}, which is no NAME=URL",
                "Write a name of lower-case letters, digits and underscores, =, and the address",
            )
        if name in databases:
            raise UserMistake(f"--database {name} stands twice", "Choose another name")
        databases[name] = url
    return databases


def _print_once(service: Service) -> None:
    try:
        service.connect()
        refreshes = service.refresh()
    finally:
        service.close()
    sys.stdout.buffer.write(service.publication.page().text.plain)
    sys.stdout.buffer.flush()
    if any(run.failure for refresh in refreshes for run in refresh.runs):
        raise typer.Exit(1)
