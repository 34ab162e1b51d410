"""`outbound-slo alerts`: checks and tests for a build server, and files for a deployment."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from alerts import slo_commands
from alerts.alertmanager import render_alertmanager
from alerts.amtool import check_alertmanager
from alerts.cases import Case, find_vacuous, read_cases
from alerts.contacts import Contacts, read_contacts
from alerts.detection import Pace, find_late, read_pace
from alerts.drill import drill_paging
from alerts.explanation_commands import register
from alerts.extra_metrics import read_extra_lines, read_extra_metrics
from alerts.finding import Finding
from alerts.generator import render_rules
from alerts.history.commands import weigh_history
from alerts.incidents.commands import play_all
from alerts.junit import write_junit
from alerts.links import (
    DASHBOARD_BASE_URL,
    RUNBOOK_BASE_URL,
    TRACE_BASE_URL,
    TRACED_SERVICE,
    LinkBases,
)
from alerts.lint import lint_rules
from alerts.lint_routes import lint_routes
from alerts.mutate_commands import mutate_alerts
from alerts.notifications import TEMPLATES_FILE, render_templates
from alerts.objectives.declared import known_numbers
from alerts.promtool import CaseResult, check_configuration, check_rules, run_cases
from alerts.replay.commands import replay_samples
from alerts.rule_files import (
    GENERATED,
    TESTS,
    find_rule_files,
    read_mapping,
    read_rules,
)
from alerts.timing import Timing
from outbound_slo.embedded.binaries import ALERTMANAGER, PROMETHEUS, find_tools
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.mistakes import UserMistake

app = typer.Typer(help="Check, test, mutate, replay and write alert rules.", no_args_is_help=True)
app.add_typer(slo_commands.app, name="slo")
app.command("mutate")(mutate_alerts)
app.command("replay")(replay_samples)
app.command("incidents")(play_all)
app.command("history")(weigh_history)
app.command("drill")(drill_paging)
register(app)

RulesOption = Annotated[
    Path,
    typer.Option("--rules", help="Directory of the rule files.", show_default="those built in"),
]
TestsOption = Annotated[
    Path,
    typer.Option(
        "--tests", help="Directory of promtool's test files.", show_default="those built in"
    ),
]

_PROMETHEUS_FILE = "prometheus.yml"
_ALERTMANAGER_FILE = "alertmanager.yml"
_PAGER = "http://pager:9095"


@app.command("check")
def check_alerts(
    rules: RulesOption = GENERATED,
    tests: TestsOption = TESTS,
    extra_metrics: Annotated[
        Path | None,
        typer.Option("--extra-metrics", help="YAML file with metrics and lines of your own."),
    ] = None,
) -> None:
    """Check rules with promtool and our lint, the configurations, and the tests for emptiness."""
    paths = find_rule_files(rules)
    extra = read_extra_metrics(extra_metrics) if extra_metrics else {}
    prometheus = find_tools(PROMETHEUS)
    lines = read_extra_lines(extra_metrics) if extra_metrics else frozenset()
    findings = check_rules(prometheus, paths)
    if not findings:
        written = read_rules(paths)
        findings = lint_rules(written, known_numbers(written), extra=extra, lines=lines)
        findings += find_vacuous(read_cases(tests), [rule.alert for rule in written if rule.alert])
        if (rules / _ALERTMANAGER_FILE).is_file():
            routes = read_mapping(rules / _ALERTMANAGER_FILE)
            findings += lint_routes(_ALERTMANAGER_FILE, routes, written)
    findings += _check_configurations(rules)
    findings += find_late(_read_pace(rules))
    _report(findings, f"{len(paths)} rule files are sound and tested.")


@app.command("test")
def run_tests(
    tests: TestsOption = TESTS,
    rules: RulesOption = GENERATED,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the results there as JUnit XML too.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Cases that name this alert; may be given several times."),
    ] = None,
) -> None:
    """Run the rules' tests through promtool; exits with 1 when one fails or says nothing."""
    cases = read_cases(tests)
    made = [rule.alert for rule in read_rules(find_rule_files(rules)) if rule.alert]
    alerts, cases = _choose(only, made, cases) if only else (made, cases)
    vacuous = find_vacuous(cases, alerts, made)
    progress = Console(stderr=True)
    results = list(
        track(
            run_cases(find_tools(PROMETHEUS), cases),
            "promtool",
            total=len(cases),
            console=progress,
            transient=True,
            disable=not progress.is_terminal,
        )
    )
    if junit is not None:
        _write(junit, write_junit(results))
    failed = [result for result in results if not result.passed]
    for result in failed:
        _print_failure(result)
    _report(vacuous, f"{len(results)} cases, {len(failed)} failed.")
    if failed:
        raise typer.Exit(1)


@app.command("write")
def write_files(
    directory: Annotated[Path, typer.Argument(help="Where the files go; made if absent.")],
    runbooks: Annotated[
        str, typer.Option(help="Base URL under which docs/runbooks is published.")
    ] = RUNBOOK_BASE_URL,
    dashboards: Annotated[str, typer.Option(help="Base URL of Grafana.")] = DASHBOARD_BASE_URL,
    traces: Annotated[str, typer.Option(help="Base URL of Jaeger's pages.")] = TRACE_BASE_URL,
    service: Annotated[
        str, typer.Option(help="Service name of the sender's traces.")
    ] = TRACED_SERVICE,
    pager: Annotated[
        str | None,
        typer.Option(
            help="Base URL of the webhooks l1, l2, l3, l4, tickets, dead-mans-switch;"
            " http://pager:9095 if neither this nor --paging is given."
        ),
    ] = None,
    paging: Annotated[
        Path | None, typer.Option(help="File that says who is told and how: docs/paging.md.")
    ] = None,
    time_scale: Annotated[float, typer.Option(help="Divide every wait by this number.")] = 1.0,
) -> None:
    """Write rules and Alertmanager's configuration with a deployment's own addresses."""
    timing = Timing(time_scale)
    bases = LinkBases.given(runbooks, dashboards, traces, service)
    files = dict(render_rules(timing, bases=bases))
    files[_ALERTMANAGER_FILE] = render_alertmanager(timing, _choose_contacts(pager, paging))
    files[TEMPLATES_FILE] = render_templates()
    for name, text in files.items():
        _write(directory / name, text)
        typer.echo(f"wrote {directory / name}")


def _choose(
    only: Sequence[str], alerts: Sequence[str], cases: Sequence[Case]
) -> tuple[list[str], list[Case]]:
    """Keep some alerts, and the cases that name one of them.

    Raises:
        UserMistake: No rule makes such an alert, or no case names any of them.

    """
    for name in only:
        if name not in alerts:
            raise UserMistake(f"No rule makes the alert {name}", "See its spelling in the rules")
    kept = [case for case in cases if set(only) & (case.firing() | case.silent())]
    if not kept:
        raise UserMistake(f"No case names {', '.join(only)}", "Write its test, or leave it out")
    return [alert for alert in alerts if alert in only], kept


def _choose_contacts(pager: str | None, paging: Path | None) -> Contacts:
    if paging is None:
        return Contacts.at(_PAGER if pager is None else pager)
    if pager is not None:
        raise UserMistake("--pager and --paging both say who is told", "Give one of them")
    return read_contacts(paging)


def _check_configurations(directory: Path) -> list[Finding]:
    """Check the configurations that lie beside the rules, if they do."""
    findings: list[Finding] = []
    if (directory / _PROMETHEUS_FILE).is_file():
        findings += check_configuration(find_tools(PROMETHEUS), directory / _PROMETHEUS_FILE)
    if (directory / _ALERTMANAGER_FILE).is_file():
        findings += check_alertmanager(find_tools(ALERTMANAGER), directory / _ALERTMANAGER_FILE)
    return findings


def _read_pace(directory: Path) -> Pace:
    """Read the intervals of the configuration beside the rules, and the exporter's from here."""
    refresh_s = ExporterSettings.read().refresh_interval_ms / 1000
    path = directory / _PROMETHEUS_FILE
    if path.is_file():
        return read_pace(path, refresh_s)
    return replace(Pace.production(), refresh_s=refresh_s)


def _report(findings: list[Finding], success: str) -> None:
    for finding in findings:
        typer.echo(str(finding), err=True)
    if findings:
        raise typer.Exit(1)
    typer.echo(success)


def _print_failure(result: CaseResult) -> None:
    Console(stderr=True).print(
        f"[red]failed[/red] {escape(result.case.file.name)}: {escape(result.case.name)}\n"
        f"{escape(result.output)}"
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserMistake(
            f"{path} can't be written: {error.strerror}", "Name another place"
        ) from None
