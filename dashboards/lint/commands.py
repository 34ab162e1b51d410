"""`outbound-slo dashboards check`: our lint, of the built-in dashboards or of files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alerts.extra_metrics import read_extra_metrics
from dashboards.lint.document import read_document
from dashboards.lint.linter import lint_documents, read_own
from dashboards.lint.report import describe_rules, tabulate_findings, tabulate_rules

_WIDTH_OF_A_FILE = 140


def check_dashboards(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Dashboards as JSON, or uids of built-in ones; without any, all of these.",
            metavar="FILE",
        ),
    ] = None,
    extra_metrics: Annotated[
        Path | None,
        typer.Option("--extra-metrics", help="YAML file with metrics of your own; docs/alerts.md."),
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="Print every rule with what it found here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check dashboards by our lint and promtool; exits with 1 when something is to mend."""
    extra = read_extra_metrics(extra_metrics) if extra_metrics else {}
    own = {document.uid: document for document in read_own()}
    documents = [own.get(name) or read_document(Path(name)) for name in names or own]
    findings = lint_documents(documents, extra=extra)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_A_FILE)
    if as_json:
        told = describe_rules(findings) if rules else [asdict(each) for each in findings]
        typer.echo(json.dumps(told, indent=2))
    elif rules:
        console.print(tabulate_rules(findings))
    elif findings:
        console.print(tabulate_findings(findings))
    checked = _count(len(documents), "dashboard")
    if findings:
        typer.echo(f"{_count(len(findings), 'finding')} in {checked}.", err=True)
        raise typer.Exit(1)
    if not as_json:
        typer.echo(f"{checked} without a finding.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
