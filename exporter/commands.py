"""`outbound-slo exporter`: serve metrics from SQL, or check what would be served."""

import logging
import re
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from exporter.complaint import show
from exporter.loader import builtin_packs, load_packs
from exporter.pack import Pack
from exporter.service import Service
from exporter.survey import survey
from exporter.target import plan_targets
from outbound_slo.settings import DatabaseSettings, ExporterSettings, ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake

_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]*")

app = typer.Typer(help="Serve Prometheus metrics from SQL packs.", no_args_is_help=False)

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
    compat: CompatOption = True,
    live: Annotated[
        bool, typer.Option("--live", help="Also run each query once on DATABASE_URL.")
    ] = False,
) -> None:
    """Validate packs; with --live also say what the database lacks for them."""
    packs = _load(pack, compat=compat)
    console = Console()
    for loaded in packs:
        console.print(
            f"[bold]{loaded.name}[/bold]: {len(loaded.metrics)} metrics from "
            f"{len(loaded.queries)} queries, well formed"
        )
    if live and not _check_live(packs, console):
        raise typer.Exit(1)


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


def _check_live(packs: tuple[Pack, ...], console: Console) -> bool:
    settings = ExporterSettings.read()
    service = Service(lambda: plan_targets(packs, _own_database), settings)
    try:
        findings = survey(service.collector, packs)
    finally:
        service.close()
    table = Table()
    for heading in ("Query", "ms", "Rows", "Trouble", "Mend"):
        # A name that is cut short can neither be searched for nor mended.
        table.add_column(heading, overflow="fold")
    for found in findings:
        table.add_row(
            f"{found.pack}/{found.query}",
            f"{found.duration_s * 1000:.1f}",
            str(found.rows),
            found.trouble or "none",
            found.advice,
        )
    console.print(table)
    return not any(found.trouble for found in findings)
