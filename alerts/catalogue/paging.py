"""Does anybody hear of it, and does anybody mend it? Paging that fails, and pages that go on.

What is told here is told over the way that is ill: the dead man's switch, which misses the
Watchdog, is the answer where Alertmanager is gone altogether (docs/paging.md).
"""

from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import (
    ALL_CHANNELS,
    AlertName,
    Family,
    Level,
    Priority,
)

_RECORDINGS = (
    # Prometheus keeps the labels `alertname` and `family` for the alert that is made of this.
    # Rules of others, without our labels, have no level that could be followed by another.
    Recording(
        m.PAGES_FIRING,
        """\
group by (page, page_family, level, channel, org_id) (
  label_replace(
    label_replace(
      $ALERTS{alertstate="firing",severity="$critical",family!~"$escalation_family|"},
      "page", "$$1", "alertname", "(.+)"
    ),
    "page_family", "$$1", "family", "(.+)"
  )
)""",
    ),
    # Reads what it wrote before: a page that is back within five minutes is still the same one.
    Recording(
        m.PAGE_SINCE,
        """\
last_over_time($PAGE_SINCE[5m])
  and on (page, page_family, channel, org_id) $PAGES_FIRING
or on (page, page_family, channel, org_id)
  group by (page, page_family, channel, org_id) ($PAGES_FIRING) * time()""",
    ),
)

_SUMMARY = (
    "{{ $labels.page }} ({{ $labels.channel }}) goes on after {{ $value | humanizeDuration }}"
)

# Who was called by the page itself is not called again.
_TO_LEVEL_2 = Alert(
    name=AlertName.PAGE_UNRESOLVED,
    family=Family.ESCALATION,
    priority=Priority.P1,
    level=Level.L2,
    lines={"line": t.ESCALATE_OUTAGE_L2},
    expression="""\
time() - $PAGE_SINCE > $line
  unless on (page, page_family, channel, org_id) $PAGES_FIRING{level=~"$second_level"}""",
    summary=_SUMMARY,
    description=(
        "Level 1 has had this page for half an hour. Level 2 takes over: ask level 1 what has been "
        "tried, then go on with the page's own runbook."
    ),
)

_TO_LEVEL_3 = Alert(
    name=AlertName.PAGE_UNRESOLVED,
    family=Family.ESCALATION,
    priority=Priority.P1,
    level=Level.L3,
    tier=2,
    lines={"line": t.ESCALATE_OUTAGE_L3},
    expression="""\
time() - $PAGE_SINCE{page_family!="$provider_family"} > $line
  unless on (page, page_family, channel, org_id) $PAGES_FIRING{level=~"$third_level"}""",
    summary=_SUMMARY,
    description=(
        "Two hours without a solution. Level 3 decides what is given up, who else is called, and "
        "what customers are told."
    ),
)

_TO_PROVIDER = Alert(
    name=AlertName.PAGE_UNRESOLVED,
    family=Family.ESCALATION,
    priority=Priority.P1,
    level=Level.L4,
    tier=3,
    lines={"line": t.ESCALATE_OUTAGE_L3},
    expression='time() - $PAGE_SINCE{page_family="$provider_family"} > $line',
    summary=_SUMMARY,
    description=(
        "The provider has not taken messages as it should for two hours. Level 3 is called, and "
        "the provider's support is told."
    ),
)

_RELOAD_REFUSED = Alert(
    name=AlertName.NOTIFICATIONS_FAILING,
    family=Family.OBSERVATION,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_RELOAD_REFUSED},
    expression="min($CONFIG_RELOADED) == $line",
    summary=(
        'Alertmanager goes on with its old configuration: reload = {{ $value | printf "%.0f" }}'
    ),
    description=(
        "The configuration on disk is not fit to be used. Whoever was added to it is not told; "
        "after a restart nobody would be."
    ),
)

# Both windows hold the same notifications, so that a restart of Alertmanager does not part them.
_NOTIFICATIONS_LOST = Alert(
    name=AlertName.NOTIFICATIONS_FAILING,
    family=Family.OBSERVATION,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_NOTIFICATIONS_LOST},
    expression="sum by (integration) (increase($NOTIFICATIONS_FAILED[10m])) > $line",
    summary=(
        '{{ $value | printf "%.0f" }} notifications by {{ $labels.integration }} '
        "lost in ten minutes"
    ),
    description=(
        "Alertmanager tried, tried again, and gave up. Whoever should have been told does not know."
    ),
)

_NOTIFICATIONS_FAILING = Alert(
    name=AlertName.NOTIFICATIONS_FAILING,
    family=Family.OBSERVATION,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=3,
    lines={"line": t.ALERT_NOTIFICATIONS_FAILING},
    expression="""\
sum by (integration) (increase($NOTIFICATIONS_FAILED[10m]))
  / (sum by (integration) (increase($NOTIFICATIONS[10m])) > 0)
  > $line""",
    summary="{{ $value | humanizePercentage }} of notifications by {{ $labels.integration }} fail",
    description=(
        "Most of what goes this way reaches nobody. It is told over every way that is configured "
        "for level 1, for tickets and as the second way, since one of them is broken."
    ),
)

_ALERTS_DROPPED = Alert(
    name=AlertName.NOTIFICATIONS_DROPPED,
    family=Family.OBSERVATION,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={"line": t.ALERT_ALERTS_DROPPED},
    # The Watchdog alone is sent every minute: without Alertmanager this never stands still.
    expression="sum(increase($ALERTS_DROPPED[5m])) > $line",
    summary='Prometheus dropped {{ $value | printf "%.0f" }} alerts within five minutes',
    description=(
        "No Alertmanager takes what Prometheus sends, for minutes. While it lasts, only the dead "
        "man's switch can tell; this alert arrives once Alertmanager is back."
    ),
)

_NO_ALERTMANAGER = Alert(
    name=AlertName.NOTIFICATIONS_DROPPED,
    family=Family.OBSERVATION,
    priority=Priority.P1,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_NO_ALERTMANAGER},
    expression="max($ALERTMANAGERS_FOUND) == $line",
    summary='Prometheus knows of {{ $value | printf "%.0f" }} Alertmanagers',
    description=(
        "Its configuration names none, or the discovery finds none. Nobody can be told: the dead "
        "man's switch has to raise the alarm."
    ),
)

GROUP = RuleGroup(
    name="outbound-paging",
    recordings=_RECORDINGS,
    alerts=(
        _TO_LEVEL_2,
        _TO_LEVEL_3,
        _TO_PROVIDER,
        _RELOAD_REFUSED,
        _NOTIFICATIONS_LOST,
        _NOTIFICATIONS_FAILING,
        _ALERTS_DROPPED,
        _NO_ALERTMANAGER,
    ),
)
