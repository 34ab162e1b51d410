"""Whether the numbers are true: exporters, their queries, the rollup."""

from grafanalib import core

from dashboards.frames import Frame, Query
from dashboards.lines import BAD, GOOD, WARNING
from dashboards.panels import draw_lines, list_rows, override, say
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.panels import Panel

_OFF = "Drift and missing triggers"
_SLOWEST = 5


def build_section() -> Section:
    """Build the section."""
    return Section(
        "Exporters",
        (_exporters(), _freshness(), _failures(), _refreshes(), _query_time(), _rollup()),
    )


def _exporters() -> core.Table:
    frame = Frame(
        Panel.EXPORTERS.id,
        "Exporters",
        (0, 0, 12, 7),
        "short",
        "Every exporter that Prometheus scrapes. One leads and asks the database; a standby shows "
        "nothing of it.",
        told=(t.ALERT_EXPORTER_GONE, t.ALERT_EXPORTERS_GONE),
        alerts=(AlertName.RELOAD_FAILED, AlertName.COUNTER_REBASED),
    )
    asked = (
        ('max by (instance) ($UP{job="$exporter_job"})', "Scraped"),
        ("max by (instance) ($EXPORTER_LEADER)", "Role"),
        ("max by (instance) ($EXPORTER_UP)", "Database"),
        ("max by (instance) ($EXPORTER_REFRESH_DURATION)", "Refresh"),
        ("min by (instance) ($CONFIG_RELOAD_SUCCESS)", "Packs"),
        ("max by (instance) ($COUNTER_REBASES)", "Counters fell"),
    )
    values = {f"Value #{chr(ord('A') + at)}": name for at, (_, name) in enumerate(asked)}
    colour = {"custom.cellOptions": {"type": "color-text"}}
    return list_rows(
        frame,
        [Query(write_promql(expression), instant=True, table=True) for expression, _ in asked],
        columns={"instance": "Exporter", **values},
        sort_by="Role",
        nothing="No exporter",
        overrides=[
            override("Scraped", {"mappings": [say({1: ("yes", GOOD), 0: ("no", BAD)})], **colour}),
            override(
                "Role",
                {"mappings": [say({1: ("leads", GOOD), 0: ("stands by", "blue")})], **colour},
            ),
            override(
                "Database",
                {"mappings": [say({1: ("answers", GOOD), 0: ("does not answer", BAD)})], **colour},
            ),
            override(
                "Packs",
                {"mappings": [say({1: ("as on disk", GOOD), 0: ("old ones", WARNING)})], **colour},
            ),
            override("Refresh", {"unit": "s"}),
        ],
    )


def _freshness() -> core.TimeSeries:
    frame = Frame(
        Panel.FRESHNESS.id,
        "Age of the numbers",
        (12, 0, 12, 7),
        "s",
        "Since the snapshot that each exporter shows was taken; the youngest one counts.",
        lines=(t.ALERT_SNAPSHOT_AGE,),
        alerts=(AlertName.NO_DATA,),
    )
    each = write_promql("min by (instance) (time() - ($EXPORTER_SNAPSHOT_AGE > 0))")
    return draw_lines(frame, [Query(each, "{{instance}}")], axis="Age", nothing="Never refreshed")


def _failures() -> core.TimeSeries:
    frame = Frame(
        Panel.QUERY_FAILURES.id,
        "Failing queries",
        (0, 7, 12, 7),
        "short",
        "Queries whose last run failed, failed runs of 5 minutes by reason, and series that were "
        "left out for being too many.",
        alerts=(AlertName.QUERY_FAILING, AlertName.SERIES_DROPPED),
    )
    now = write_promql(
        """
count(max by (pack, query) ($QUERY_SUCCESS) == 0) or 0 * count($QUERY_SUCCESS)"""
    )
    reasons = write_promql(
        "sum by (pack, query, reason) (max by (instance, pack, query, reason) "
        "(increase($QUERY_ERRORS[5m]))) > 0"
    )
    dropped = write_promql("max by (pack, query) ($QUERY_DROPPED_SERIES) > 0")
    return draw_lines(
        frame,
        [
            Query(now, "Failing now"),
            Query(reasons, "{{pack}}/{{query}} {{reason}}"),
            Query(dropped, "{{pack}}/{{query}} series left out"),
        ],
        axis="Queries, runs, series",
    )


def _refreshes() -> core.TimeSeries:
    frame = Frame(
        Panel.REFRESHES.id,
        "Refresh duration",
        (12, 7, 12, 7),
        "s",
        "How long each exporter's last refresh took.",
        lines=(t.PANEL_REFRESH_YELLOW, t.PANEL_REFRESH_RED),
        alerts=(AlertName.EXPORTER_STALE,),
    )
    taken = write_promql("max by (instance) ($EXPORTER_REFRESH_DURATION)")
    return draw_lines(frame, [Query(taken, "{{instance}}")], axis="Seconds")


def _query_time() -> core.TimeSeries:
    frame = Frame(
        Panel.QUERY_TIME.id,
        "Cost to the database",
        (0, 14, 12, 7),
        "s",
        f"Time of each query's last run: all of them together, and the {_SLOWEST} slowest.",
        alerts=(AlertName.QUERY_FAILING,),
    )
    each = "max by (pack, query) ($QUERY_DURATION)"
    return draw_lines(
        frame,
        [
            Query(write_promql(f"sum({each})"), "Together"),
            Query(write_promql(f"topk({_SLOWEST}, {each})"), "{{pack}}/{{query}}"),
        ],
        axis="Seconds",
    )


def _rollup() -> core.TimeSeries:
    frame = Frame(
        Panel.ROLLUP.id,
        "Rollup: waiting and drift",
        (12, 14, 12, 7),
        "short",
        "Rows that wait for compaction; on the right axis messages that stood in the wrong state "
        "at the last recount, and triggers that are missing.",
        lines=(t.ALERT_DELTAS,),
        alerts=(AlertName.ROLLUP_DRIFT,),
    )
    right = override(
        _OFF, {"custom.axisPlacement": "right", "custom.axisLabel": "Messages, triggers"}
    )
    return draw_lines(
        frame,
        [
            Query(write_promql("max($ROLLUP_DELTAS)"), "Waiting"),
            Query(write_promql("max($ROLLUP_DRIFT) + max($ROLLUP_MISSING_TRIGGERS)"), _OFF),
        ],
        axis="Rows",
        overrides=[right],
    )
