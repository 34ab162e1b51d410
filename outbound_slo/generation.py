"""The `generate` command: every generated file, written or compared."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import alerts.artefacts
import alerts.pages
import dashboards.artefacts
import dashboards.lint.report
import operations.artefacts
import sender.artefacts
from outbound_slo.artefacts import Builder, build_all, find_drift, write_all
from outbound_slo.settings_page import build_settings_page
from outbound_slo.states_page import build_states_page
from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.picture import build_picture

BUILDERS: tuple[Builder, ...] = (
    build_settings_page,
    build_states_page,
    alerts.artefacts.build_artefacts,
    dashboards.artefacts.build_artefacts,
    dashboards.lint.report.build_page,
    operations.artefacts.build_operations_page,
    sender.artefacts.build_openapi_page,
    build_picture,
)


def generate_files(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 on drift.")
    ] = False,
    root: Annotated[Path, typer.Option(help="The project's directory.")] = Path(),
) -> None:
    """Write the generated files, or check that the committed ones are up to date."""
    if not (root / "pyproject.toml").is_file():
        raise UserMistake(
            f"{root.resolve()} is no checkout of the project",
            "Run this where pyproject.toml lies, or give --root",
        )
    # The pages of the alerts are partly written by hand: theirs are brought up to date.
    files = build_all((*BUILDERS, partial(alerts.pages.build_pages, root)))
    if not check:
        for path in write_all(root, files):
            typer.echo(f"wrote {path}")
        return
    findings = find_drift(root, files)
    for finding in findings:
        typer.echo(f"{finding.drift.value}: {finding.path}", err=True)
    if findings:
        raise UserMistake(
            f"{len(findings)} generated files differ from what builds them", "Run 'make generate'"
        )
    typer.echo(f"{len(files)} generated files are up to date.")
