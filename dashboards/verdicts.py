"""What may be wrong with us, with the provider, with one customer: conditions and words.

Each answer is a number that stands for a word. An expression tries the worst first and ends with
"fine", which it gives only where everything is there that it was judged by: what is missing makes
"No data", never a false "fine".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboards.lines import BAD, WARNING
from dashboards.promql import write_promql
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.thresholds import Threshold

QUIET: Final = "blue"
"""Colour of what is neither good nor bad."""


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

US_NEEDS: Final = (
    "max($EXPORTER_SNAPSHOT_AGE)",
    'max($SENDERS{state="claiming"})',
    "max($EXPORTER_REFRESH_DURATION)",
    "min($QUERY_SUCCESS)",
    'max($OLDEST_AGE{channel="$channel",state="due"})',
)
"""What must be there for us to be fine."""

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
    Verdict(-1, "No traffic", QUIET, '$ATTEMPTS_5M{channel="$channel"} == 0', {}),
)
"""What may be wrong with the channel's provider, worst first."""

PROVIDER_NEEDS: Final = (
    'max($FAILURE_RATIO{channel="$channel"})',
    'max($BREAKER_STATE{name="$channel"})',
)
"""What must be there for the provider to be fine."""

QUOTA_SPENT: Final = 2
"""Stands for an organisation whose quota is used up; a share of the failures is at most 1."""

NOBODY_WATCHED: Final = -1
"""Stands for counters per organisation that nobody asked for."""

_FAILED: Final = '{channel="$channel",outcome="$failed"}[1h]'

NO_ORGANISATION: Final = "watched organisations"
"""What stands in the place of an organisation where none stands out."""

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
  "org_id", "{NO_ORGANISATION}", "", ""
)"""
"""The organisation that most failures of the last hour belong to, and its share (0 to 1).

One that has used its quota up comes next. Few failures are nobody's (T3).
"""

FIRING: Final = """
count(group by (alertname, channel, org_id) ($ALERTS{{alertstate="firing",severity="{severity}"}}))
  or 0 * max($ALERTS{{alertname="Watchdog",alertstate="firing"}})"""
"""How many alerts of a severity fire; 0 only where the Watchdog says that rules are loaded."""


def judge(verdicts: Sequence[Verdict], needs: Sequence[str]) -> str:
    """Write the expression that gives the code of the first verdict that holds, or 0 for fine."""
    tried = [
        f"{each.code} * max(({write_promql(each.condition, **each.lines)}) * 0 + 1)"
        for each in verdicts
    ]
    present = " and on () ".join(write_promql(need) for need in needs)
    return "\nor ".join([*tried, f"0 * ({present})"])
