"""`outbound-slo exporter`: serve metrics from SQL, or check what would be served."""

import logging
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from exporter.loader import builtin_packs, load_packs
from exporter.pack import Pack
from exporter.service import Service
from exporter.survey import survey
from outbound_slo.settings import DatabaseSettings, ExporterSettings, ProviderSettings

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


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    pack: PackOption = ["outbound"],  # noqa: B006 - Typer copies the default
    compat: CompatOption = True,
    once: Annotated[bool, typer.Option("--once", help="Print the page once and exit.")] = False,
) -> None:
    """Refresh the packs at an interval and serve /metrics until SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    packs = _load(pack, compat=compat)
    database, settings = DatabaseSettings.read(), ExporterSettings.read()
    service = Service(database.url, packs, settings)
    if once:
        _print_once(service)
        return
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
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


def _print_once(service: Service) -> None:
    try:
        service.connect()
        refresh = service.refresh()
    finally:
        service.close()
    sys.stdout.buffer.write(service.publication.page().text)
    sys.stdout.buffer.flush()
    failed = [run for run in refresh.runs if run.failure is not None]
    if failed:
        raise typer.Exit(1)


def _check_live(packs: tuple[Pack, ...], console: Console) -> bool:
    settings = ExporterSettings.read()
    service = Service(DatabaseSettings.read().url, packs, settings)
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
