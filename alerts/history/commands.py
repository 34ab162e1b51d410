"""`outbound-slo alerts history`: time to detect and resolve, frequency, false positives (002)."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alerts.history.accuracy import GRACE_S, Accuracy, weigh
from alerts.history.firings import read_firings
from alerts.history.incidents import check_alerts, read_incidents
from alerts.replay.commands import read_instant
from alerts.replay.evaluation import read_duration
from alerts.replay.report import format_instant
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import AlertName, Severity
from outbound_slo.vocabulary.metrics import ALERTS
from outbound_slo.vocabulary.mistakes import UserMistake


def weigh_history(
    prometheus: Annotated[str, typer.Option("--prometheus", help="Base URL of Prometheus.")],
    incidents: Annotated[
        Path, typer.Option("--incidents", help="YAML file of the incidents that there were.")
    ],
    since: Annotated[str, typer.Option(help="How far to look back.")] = "30d",
    until: Annotated[str | None, typer.Option(help="End of that time; now if not given.")] = None,
    step: Annotated[
        int, typer.Option(min=1, max=3600, help="Seconds between looks at the alerts.")
    ] = 60,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds by which an alert may miss its incident.")
    ] = GRACE_S,
    severity: Annotated[
        Severity, typer.Option(help="Alerts of which severity count.")
    ] = Severity.CRITICAL,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare what paged with what happened: MTTD, MTTR, frequency, false positives."""
    try:
        over_s = read_duration(since)
    except UserMistake:
        over_s = 0.0
    if over_s <= 0:
        raise UserMistake(f"--since {since} is no time to look back", "Write it as 30d")
    end_s = time.time() if until is None else read_instant(until, "--until")
    start_s = end_s - over_s
    happened = [
        each for each in read_incidents(incidents) if each.end_s > start_s and each.start_s < end_s
    ]
    source = PrometheusApi(prometheus, 60.0)
    fired = read_firings(source, start_s, end_s, step, severity)
    known = {*AlertName, *source.label_values(ALERTS.name, "alertname", start_s, end_s)}
    known |= {rule.name for rule in source.rules()}
    check_alerts(incidents, happened, frozenset(known))
    accuracy = weigh(happened, fired, over_s, grace)
    if as_json:
        typer.echo(json.dumps(describe(accuracy), indent=2))
        return
    _print(Console(), accuracy)


def describe(accuracy: Accuracy) -> Mapping[str, Any]:
    """Give the numbers for machines; seconds and shares."""
    return {
        "incidents": [
            {
                "what": told.incident.what,
                "start": format_instant(told.incident.start_s),
                "detected_by": told.first.name if told.first else None,
                "detected_after_s": told.detected_after_s,
                "resolved_after_s": told.resolved_after_s,
            }
            for told in accuracy.incidents
        ],
        "missed": accuracy.missed,
        "mttd_s": accuracy.mttd_s,
        "mttr_s": accuracy.mttr_s,
        "incidents_per_week": accuracy.per_week,
        "incidents_per_month": accuracy.per_month,
        "fired": accuracy.fired,
        "false_positives": accuracy.false,
        "false_positive_ratio": accuracy.false_ratio,
        "alerts": {
            name: {"fired": tally.fired, "false_positives": tally.false}
            for name, tally in accuracy.alerts.items()
        },
    }


def _print(console: Console, accuracy: Accuracy) -> None:
    ratio = accuracy.false_ratio
    numbers = (
        ("mean time to detect", _minutes(accuracy.mttd_s)),
        ("mean time to resolve", _minutes(accuracy.mttr_s)),
        ("incidents per week", f"{accuracy.per_week:.2f}"),
        ("incidents per month", f"{accuracy.per_month:.2f}"),
        ("missed incidents", f"{accuracy.missed} of {len(accuracy.incidents)}"),
        (
            "false positives",
            "no alerts" if ratio is None else f"{accuracy.false} of {accuracy.fired} ({ratio:.0%})",
        ),
    )
    summary = Table(box=None, show_header=False, pad_edge=False)
    for row in numbers:
        summary.add_row(*row)
    console.print(summary)
    incidents = Table("incident", "start (UTC)", "detected by", "after", "resolved after", box=None)
    for told in accuracy.incidents:
        incidents.add_row(
            told.incident.what,
            format_instant(told.incident.start_s),
            told.first.name if told.first else "missed",
            _minutes(told.detected_after_s),
            _minutes(told.resolved_after_s),
        )
    alerts = Table("alert", "fired", "false positives", box=None)
    for name, tally in accuracy.alerts.items():
        alerts.add_row(name, str(tally.fired), str(tally.false))
    for table in (incidents, alerts):
        if table.row_count:
            console.print()
            console.print(table)


def _minutes(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds / 60:.1f} min"
