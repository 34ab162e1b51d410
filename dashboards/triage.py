"""The row at the top of every dashboard: is it us, the provider, or one customer?

Each answer is a number that stands for a word. An expression tries the worst first and ends with
"fine", which it gives only where everything is there that it was judged by: what is missing makes
"No data", never a false "fine".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING, step_lines
from dashboards.links import click, link_dashboard, link_runbook
from dashboards.panels import override, say, show_value
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.thresholds import Threshold

FIRST_ID: Final = 101
"""Number of the first answer; they are the same on every dashboard."""

_QUIET: Final = "blue"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One possible answer.

    Attributes:
        code: The number that stands for it.
        words: What the tile says.
        colour: The tile's colour.
        condition: PromQL with a value while it is the case; every label is dropped.
        lines: Thresholds by their placeholder.

    """

    code: int
    words: str
    colour: str
    condition: str
    lines: Mapping[str, Threshold]


US: Final = (
    Verdict(
        5,
        "Exporter blind",
        BAD,
        'time() - max($EXPORTER_SNAPSHOT_AGE) > $line or sum($UP{job="$exporter_job"}) == 0',
        {"line": t.ALERT_SNAPSHOT_AGE},
    ),
    Verdict(4, "Sender dead", BAD, 'max($SENDERS{state="claiming"}) == 0', {}),
    Verdict(
        3,
        "Database slow",
        BAD,
        "max($EXPORTER_REFRESH_DURATION) >= $line or max($OLDEST_SNAPSHOT) > $old"
        " or min(max by (pack, query) ($QUERY_SUCCESS)) == 0",
        {"line": t.PANEL_REFRESH_RED, "old": t.ALERT_SNAPSHOT},
    ),
    Verdict(
        2,
        "Behind",
        WARNING,
        'max($OLDEST_AGE{channel="$channel",state="due"}'
        " unless on (channel) $CHANNEL_PAUSED > 0) > $line"
        ' unless on () max($BREAKER_STATE{name="$channel"}) > 0',
        {"line": t.ALERT_DUE_AGE},
    ),
    Verdict(1, "Paused by hand", WARNING, 'max($CHANNEL_PAUSED{channel="$channel"}) > 0', {}),
)
"""What may be wrong on our side, worst first."""

_US_NEEDS: Final = (
    "max($EXPORTER_SNAPSHOT_AGE)",
    'max($SENDERS{state="claiming"})',
    "max($EXPORTER_REFRESH_DURATION)",
    "min($QUERY_SUCCESS)",
    'max($OLDEST_AGE{channel="$channel",state="due"})',
)

_ENOUGH: Final = ' and $ATTEMPTS_5M{channel="$channel"} >= $minimum'

PROVIDER: Final = (
    Verdict(6, "Breaker open", BAD, 'max($BREAKER_STATE{name="$channel"} == 1)', {}),
    Verdict(
        5,
        "Failing",
        BAD,
        '$FAILURE_RATIO{channel="$channel"} > $line' + _ENOUGH,
        {"line": t.ALERT_FAILURE_HIGH, "minimum": t.MINIMUM_ATTEMPTS},
    ),
    Verdict(4, "Breaker probing", WARNING, 'max($BREAKER_STATE{name="$channel"} == 2)', {}),
    Verdict(
        3,
        "Some attempts fail",
        WARNING,
        '$FAILURE_RATIO{channel="$channel"} > $line' + _ENOUGH,
        {"line": t.ALERT_FAILURE_ELEVATED, "minimum": t.MINIMUM_ATTEMPTS},
    ),
    Verdict(
        2,
        "Slow",
        WARNING,
        '$PROVIDER_CALL_P95{channel="$channel"} > $line'
        ' and $PROVIDER_CALL_5M{channel="$channel"} >= $minimum',
        {"line": t.ALERT_CALL_SLOW, "minimum": t.MINIMUM_CALLS},
    ),
    Verdict(
        1,
        "Fails, but few attempts",
        WARNING,
        '$FAILURE_RATIO{channel="$channel"} > $line',
        {"line": t.ALERT_FAILURE_ELEVATED},
    ),
    Verdict(-1, "No traffic", _QUIET, '$ATTEMPTS_5M{channel="$channel"} == 0', {}),
)
"""What may be wrong with the channel's provider, worst first."""

_PROVIDER_NEEDS: Final = (
    'max($FAILURE_RATIO{channel="$channel"})',
    'max($BREAKER_STATE{name="$channel"})',
)

QUOTA_SPENT: Final = 2
"""Stands for an organisation whose quota is used up; a share of the failures is at most 1."""

NOBODY_WATCHED: Final = -1
"""Stands for counters per organisation that nobody asked for."""

_FAILED: Final = '{channel="$channel",outcome="$failed"}[1h]'

CUSTOMER: Final = f"""
topk(1, clamp_max(
  sum by (org_id) (max by (org_id, channel) (increase($ORGANISATION_FINISHED{_FAILED})))
    / on () group_left () (sum(max by (error_code) (increase($FINISHED{_FAILED}))) >= $few)
    >= $share, 1
))
or on () topk(1,
  {QUOTA_SPENT} * (max by (org_id) ($QUOTA_USED) / (max by (org_id) ($QUOTA_LIMIT) > 0) >= bool 1)
    == {QUOTA_SPENT} and on () $QUEUE_DEPTH{{channel="$channel",channel="$whatsapp"}}
)
or on () label_replace(
  0 * max($ORGANISATION_FINISHED{{channel="$channel"}}) and on () $FINISHED{{channel="$channel"}}
  or {NOBODY_WATCHED} * max($QUERY_SUCCESS{{query="organisations"}} == 1),
  "org_id", "watched organisations", "", ""
)"""
"""The organisation that most failures of the last hour belong to, and its share (0 to 1).

One that has used its quota up comes next. Few failures are nobody's (T3).
"""

_PAGED: Final = """
count(group by (alertname, channel, org_id) ($ALERTS{{alertstate="firing",severity="{severity}"}}))
  or 0 * max($ALERTS{{alertname="Watchdog",alertstate="firing"}})"""


def judge(verdicts: Sequence[Verdict], needs: Sequence[str]) -> str:
    """Write the expression that gives the code of the first verdict that holds, or 0 for fine."""
    tried = [
        f"{each.code} * max(({write_promql(each.condition, **each.lines)}) * 0 + 1)"
        for each in verdicts
    ]
    present = " and on () ".join(write_promql(need) for need in needs)
    return "\nor ".join([*tried, f"0 * ({present})"])


def build_triage() -> Section:
    """Build the row; the same on every dashboard."""
    return Section("Where to look first", (_ask_us(), _ask_provider(), _ask_customer(), _called()))


def _say(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    words = {float(each.code): (each.words, each.colour) for each in verdicts}
    return [say(words | {0.0: ("Fine", GOOD)})]


def _explain(question: str, verdicts: Sequence[Verdict]) -> str:
    return f"{question} Worst first: {', '.join(each.words for each in verdicts)}."


def _ask_us() -> core.Stat:
    frame = Frame(
        FIRST_ID,
        "Is it us?",
        (0, 0, 6, 4),
        "none",
        _explain("Our senders, our exporters, our database.", US),
        alerts=(
            AlertName.WORKER_INACTIVE,
            AlertName.EXPORTER_STALE,
            AlertName.QUERY_FAILING,
            AlertName.PAUSE_LASTING,
        ),
    )
    return show_value(
        frame,
        [Query(judge(US, _US_NEEDS), "Us")],
        mappings=_say(US),
        background=True,
        extra=click(
            link_dashboard("Senders, exporters, database", Dashboard.HEALTH),
            link_runbook(AlertName.WORKER_INACTIVE),
        ),
    )


def _ask_provider() -> core.Stat:
    frame = Frame(
        FIRST_ID + 1,
        "Is it the provider?",
        (6, 0, 6, 4),
        "none",
        _explain("The chosen channel's provider, by attempts of 5 minutes.", PROVIDER),
        alerts=(AlertName.PROVIDER_DOWN, AlertName.ELEVATED_FAILURE_RATE, AlertName.BREAKER_OPEN),
    )
    return show_value(
        frame,
        [Query(judge(PROVIDER, _PROVIDER_NEEDS), "Provider")],
        mappings=_say(PROVIDER),
        background=True,
        extra=click(
            link_dashboard("Failures by error code", Dashboard.MESSAGING, Panel.FAILURE_TRENDS),
            link_runbook(AlertName.PROVIDER_DOWN),
        ),
    )


def _ask_customer() -> core.Stat:
    frame = Frame(
        FIRST_ID + 2,
        "Is it one customer?",
        (12, 0, 6, 4),
        "percentunit",
        f"The organisation with {t.PANEL_SHARE_YELLOW.value:g} % or more of the last hour's "
        f"failures, from {t.ALERT_FEW_FAIL.value:g} failures on; else one whose quota is used up. "
        "Counts organisations that `outbound-slo exporter watch` names.",
        lines=(t.PANEL_SHARE_YELLOW, t.PANEL_SHARE_RED),
        alerts=(AlertName.QUOTA_HIGH, AlertName.ORGANISATION_THROTTLED),
    )
    expression = write_promql(CUSTOMER, few=t.ALERT_FEW_FAIL, share=t.PANEL_SHARE_YELLOW)
    words = {
        0.0: ("No one stands out", GOOD),
        float(NOBODY_WATCHED): ("Nobody is watched", _QUIET),
        float(QUOTA_SPENT): ("Quota used up", WARNING),
    }
    return show_value(
        frame,
        [Query(expression, "{{org_id}}, share of failures", instant=True)],
        mappings=[say(words)],
        background=True,
        names=True,
        decimals=0,
        extra=click(
            link_dashboard("One organisation", Dashboard.ORGANISATION),
            link_runbook(AlertName.QUOTA_HIGH),
        ),
    )


def _called() -> core.Stat:
    frame = Frame(
        FIRST_ID + 3,
        "Who is called?",
        (18, 0, 6, 4),
        "none",
        "Alerts that fire now, on all channels: those that wake somebody, and tickets. Without the "
        "Watchdog, which always fires, Prometheus has not loaded the rules.",
        lines=(t.PANEL_PAGES_RED,),
        alerts=(AlertName.WATCHDOG, AlertName.PAGE_UNRESOLVED),
    )
    tickets = [
        {"color": colour, "value": value} for value, colour in step_lines([t.PANEL_TICKETS_YELLOW])
    ]
    return show_value(
        frame,
        [
            Query(write_promql(_PAGED.format(severity="critical")), "Pages"),
            Query(write_promql(_PAGED.format(severity="warning")), "Tickets"),
        ],
        background=True,
        overrides=[override("Tickets", {"thresholds": {"mode": "absolute", "steps": tickets}})],
        nothing="No data: rules not loaded",
        extra=click(
            link_dashboard("What fires now", Dashboard.SLO, Panel.FIRING),
            link_runbook(AlertName.WATCHDOG),
        ),
    )
