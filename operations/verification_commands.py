"""`ops verify`: whether a trouble is over."""

import math
import re
from typing import Annotated

import typer

from operations.output import AsJson, build_table, open_console, print_json, show_age
from operations.ranges import LARGEST_ID
from operations.reading import open_reading
from operations.retry_commands import ChannelOption, Org, read_channel
from operations.verification import Finding, Scope, Verdict, verify
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.recoveries import RECOVERIES, Recovery, RecoveryName
from outbound_slo.vocabulary.thresholds import Unit

_SPAN = re.compile(r"(\d+)(s|m|h)")
_SPAN_UNITS_S = {"s": 1, "m": 60, "h": 3600}
_IN_SECONDS_BELOW = 120.0
_WORDS = {Verdict.MET: "met", Verdict.NOT_MET: "NOT MET", Verdict.NO_DATA: "NO DATA"}


def register(app: typer.Typer) -> None:
    """Add `verify` to the table."""
    app.command("verify")(verify_recovery)


def verify_recovery(
    recovery: Annotated[
        str | None, typer.Argument(help="Which trouble; without it, the list of all.")
    ] = None,
    org: Org = None,
    channel: ChannelOption = None,
    since: Annotated[
        str | None,
        typer.Option(help="Look back 90s, 10m or 2h, in place of each criterion's own time."),
    ] = None,
    operation: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST_ID, help="Judge the messages of this operation (with 'retry')."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether a trouble is over, by the runbooks' recovery criteria.

    Exits with 0 when every criterion is met, and with 1 when one is not or can't be judged.
    """
    if recovery is None:
        _list_recoveries(as_json=as_json)
        return
    chosen = _find_recovery(recovery)
    scope = Scope(org, read_channel(channel), _read_span(since), operation)
    policy = ProviderSettings.read().whatsapp_error_policy
    with open_reading() as connection:
        findings = verify(connection, chosen, scope, policy)
    met = all(finding.verdict is Verdict.MET for finding in findings)
    if as_json:
        print_json(
            {
                "recovery": chosen.name,
                "met": met,
                "criteria": [_to_json(finding) for finding in findings],
            }
        )
    else:
        _print_findings(chosen, findings, met=met)
    if not met:
        raise typer.Exit(1)


def show_measured(finding: Finding) -> str:
    """Write a value with its unit and what it rests on: `2.5 % (40 attempts, 1 failed)`."""
    if finding.measured is None:
        return "no data"
    behind = ", ".join(f"{count:,} {name}" for name, count in finding.behind.items())
    rests = f" ({behind})" if behind else ""
    return f"{_show_value(finding.measured, finding.criterion.line.unit)}{rests}"


def _show_value(measured: float, unit: Unit) -> str:
    if math.isinf(measured):
        return "never one"
    if unit is Unit.PERCENT:
        # Never rounded over the line.
        return f"{math.floor(measured * 100) / 100:,g} %"
    if unit is Unit.SECONDS:
        return f"{measured:.1f} s" if measured < _IN_SECONDS_BELOW else show_age(measured)
    return f"{measured:,.0f} {unit}"


def _print_findings(recovery: Recovery, findings: tuple[Finding, ...], *, met: bool) -> None:
    rows = [
        (
            _WORDS[finding.verdict],
            finding.criterion.sentence,
            show_measured(finding),
            finding.criterion.tell_line(finding.window_s),
        )
        for finding in findings
    ]
    console = open_console()
    console.print(
        build_table(
            f"{recovery.title} ({recovery.name})",
            ("Verdict", "Criterion", "Measured", "Wanted"),
            rows,
        )
    )
    missed = sum(finding.verdict is not Verdict.MET for finding in findings)
    console.print(
        "Over: every criterion is met."
        if met
        else f"Not over: {missed} of {len(findings)} criteria are not met, or nothing tells."
    )


def _list_recoveries(*, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "recovery": each.name,
                    "title": each.title,
                    "procedure": each.procedure,
                    "criteria": [
                        {
                            "key": criterion.key,
                            "sentence": criterion.sentence,
                            "line": criterion.tell_line(),
                            "source": criterion.source,
                        }
                        for criterion in each.criteria
                    ],
                }
                for each in RECOVERIES.values()
            ]
        )
        return
    open_console().print(
        build_table(
            "What 'outbound-slo ops verify' can judge",
            ("Recovery", "Holds when", "After (runbook)"),
            [(each.name, each.title, each.procedure) for each in RECOVERIES.values()],
        )
    )


def _to_json(finding: Finding) -> dict[str, object]:
    criterion = finding.criterion
    finite = finding.measured is not None and math.isfinite(finding.measured)
    return {
        "key": criterion.key,
        "sentence": criterion.sentence,
        "verdict": finding.verdict,
        "measured": finding.measured if finite else None,
        "unit": criterion.line.unit,
        "comparison": criterion.line.comparison,
        "line": criterion.line.value,
        "window_s": finding.window_s,
        "behind": dict(finding.behind),
        "source": criterion.source,
    }


def _find_recovery(text: str) -> Recovery:
    try:
        return RECOVERIES[RecoveryName(text)]
    except ValueError:
        raise UserMistake(
            f"There is no recovery '{text}'", f"Give one of {', '.join(RecoveryName)}"
        ) from None


def _read_span(text: str | None) -> float | None:
    if text is None:
        return None
    match = _SPAN.fullmatch(text)
    if match is None or not int(match[1]):
        raise UserMistake(f"--since {text!r} is not a span of time", "Write 90s, 10m or 2h")
    return float(int(match[1]) * _SPAN_UNITS_S[match[2]])
