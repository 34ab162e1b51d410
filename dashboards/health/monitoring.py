"""Whether those who watch do their work: notifications, rules, Prometheus."""

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.panels import draw_lines, override
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.panels import Panel


def build_section() -> Section:
    """Build the section."""
    return Section("Prometheus and Alertmanager", (_notifications(), _rules()))


def _notifications() -> core.TimeSeries:
    frame = Frame(
        Panel.NOTIFICATIONS.id,
        "Notifications within 10 min",
        (0, 0, 12, 7),
        "short",
        "What Alertmanager sent by integration, and what was not taken. The Watchdog alone makes "
        "some all the time: none at all is trouble. On the right axis whether the configuration on "
        "disk was taken.",
        told=(t.ALERT_NOTIFICATIONS_LOST, t.ALERT_NOTIFICATIONS_FAILING, t.ALERT_RELOAD_REFUSED),
        alerts=(AlertName.WATCHDOG,),
    )
    sent = write_promql("sum by (integration) (increase($NOTIFICATIONS[10m])) > 0")
    failed = write_promql("sum by (integration) (increase($NOTIFICATIONS_FAILED[10m])) > 0")
    taken = "Configuration taken"
    right = override(taken, {"custom.axisPlacement": "right", "custom.axisLabel": "1 or 0"})
    return draw_lines(
        frame,
        [
            Query(write_promql("sum(increase($NOTIFICATIONS[10m]))"), "Together"),
            Query(sent, "{{integration}}"),
            Query(failed, "{{integration}} failed"),
            Query(write_promql("min($CONFIG_RELOADED)"), taken),
        ],
        axis="Notifications",
        overrides=[right],
    )


def _rules() -> core.TimeSeries:
    frame = Frame(
        Panel.RULES.id,
        "Rules and alerts that got lost",
        (12, 0, 12, 7),
        "short",
        "Evaluations of our rules that failed or were left out within 10 minutes, alerts that no "
        "Alertmanager took, and how many Alertmanagers Prometheus knows.",
        told=(
            t.ALERT_RULES_FAILED,
            t.ALERT_RULES_MISSED,
            t.ALERT_ALERTS_DROPPED,
            t.ALERT_NO_ALERTMANAGER,
        ),
    )
    asked = (
        ('sum(increase($RULE_FAILURES{rule_group=~"$our_groups"}[10m]))', "Rules failed"),
        ('sum(increase($RULE_ITERATIONS_MISSED{rule_group=~"$our_groups"}[10m]))', "Left out"),
        ("sum(increase($ALERTS_DROPPED[5m]))", "Alerts dropped"),
        ("max($ALERTMANAGERS_FOUND)", "Alertmanagers known"),
    )
    queries = [Query(write_promql(expression), name) for expression, name in asked]
    return draw_lines(frame, queries, axis="Number")
