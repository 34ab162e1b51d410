"""The health of PostgreSQL's queue tables: vacuum, old snapshots, replicas, integrity."""

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
    return Section("PostgreSQL", (_dead_rows(), _vacuum(), _snapshots(), _replicas(), _integrity()))


def _dead_rows() -> core.TimeSeries:
    frame = Frame(
        Panel.TABLES.id,
        "Dead rows",
        (0, 0, 8, 7),
        "percentunit",
        "Share of each queue table's rows that are dead; on the right axis how many. Small tables "
        "are mostly dead rows between two vacuums; that is no trouble.",
        lines=(t.ALERT_DEAD_SHARE,),
    )
    right = {
        "matcher": {"id": "byRegexp", "options": "/.*number/"},
        "properties": [
            {"id": "unit", "value": "short"},
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": "Dead rows"},
        ],
    }
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (table) ($DEAD_ROWS_RATIO)"), "{{table}}"),
            Query(write_promql("max by (table) ($DEAD_ROWS)"), "{{table}}, number"),
        ],
        axis="Share of rows",
        overrides=[right],
    )


def _vacuum() -> core.TimeSeries:
    frame = Frame(
        Panel.VACUUM.id,
        "Since the last vacuum",
        (8, 0, 8, 7),
        "s",
        "Since each queue table was last vacuumed; on the right axis the age of its oldest "
        "transaction as a share of the age that forces a vacuum.",
        lines=(t.ALERT_VACUUM_AGE,),
        told=(t.ALERT_FROZEN_AGE,),
    )
    right = {
        "matcher": {"id": "byRegexp", "options": "/.*frozen/"},
        "properties": [
            {"id": "unit", "value": "percentunit"},
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": "Oldest transaction"},
        ],
    }
    return draw_lines(
        frame,
        [
            Query(write_promql("min by (table) ($AUTOVACUUM_AGE)"), "{{table}}"),
            Query(write_promql("max by (table) ($FROZEN_AGE_RATIO)"), "{{table}} frozen"),
        ],
        axis="Age",
        overrides=[right],
    )


def _snapshots() -> core.TimeSeries:
    frame = Frame(
        Panel.SNAPSHOTS.id,
        "Oldest snapshot",
        (16, 0, 8, 7),
        "s",
        "Age of the oldest transaction, open or prepared, that keeps dead rows from being removed.",
        lines=(t.ALERT_SNAPSHOT, t.ALERT_SNAPSHOT_OLDER),
    )
    oldest = write_promql("max by (holder) ($OLDEST_SNAPSHOT)")
    return draw_lines(frame, [Query(oldest, "{{holder}}")], axis="Age")


def _replicas() -> core.TimeSeries:
    frame = Frame(
        Panel.REPLICAS.id,
        "Replicas",
        (0, 7, 12, 7),
        "s",
        "How far each replica is behind, and the database that is asked, where it is a replica. On "
        "the right axis write-ahead log that a slot holds.",
        lines=(t.ALERT_REPLICA_LAG, t.ALERT_REPLICA_BEHIND),
        told=(t.ALERT_SLOT,),
    )
    right = {
        "matcher": {"id": "byRegexp", "options": "/Slot .*/"},
        "properties": [
            {"id": "unit", "value": "bytes"},
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": "Held log"},
        ],
    }
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (replica) ($REPLICA_LAG)"), "{{replica}}"),
            Query(write_promql("max($REPLICATION_LAG)"), "Asked database"),
            Query(write_promql("max by (slot) ($SLOT_RETAINED)"), "Slot {{slot}}"),
        ],
        axis="Lag",
        overrides=[right],
        nothing="No replica",
    )


def _integrity() -> core.TimeSeries:
    frame = Frame(
        Panel.INTEGRITY.id,
        "Integrity",
        (12, 7, 12, 7),
        "short",
        "Rows that contradict themselves or each other, by check, and checksum failures. Above 0: "
        "do not attempt fixes, call level 2.",
        lines=(t.ALERT_INTEGRITY,),
        told=(t.ALERT_UNREADABLE,),
        alerts=(AlertName.DATA_CORRUPTION,),
    )
    found = write_promql("max by (check) ($INTEGRITY)")
    unread = write_promql(
        'sum(max by (pack, query) (increase($QUERY_ERRORS{reason="corruption"}[5m])))'
    )
    name = "Pages that cannot be read"
    return draw_lines(
        frame,
        [Query(found, "{{check}}"), Query(unread, name)],
        axis="Rows",
        overrides=[override(name, {"custom.axisPlacement": "right", "custom.axisLabel": "Errors"})],
    )
