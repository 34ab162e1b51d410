"""Does the database keep up with itself? What ends in slow claims, old numbers or a full disk."""

from alerts.rule import Alert, RuleGroup
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Family, Level, Priority

_REPLICA = tuple(
    Alert(
        name=AlertName.REPLICATION_LAG,
        family=Family.DATABASE,
        priority=priority,
        level=Level.L1,
        channel=ALL_CHANNELS,
        tier=tier,
        lines={"line": line},
        # The primary tells of its replicas; an exporter that asks a replica tells of that one.
        expression="""\
max by (replica) ($REPLICA_LAG) > $line
  or max($REPLICATION_LAG) > $line""",
        summary=(
            "Replica {{ with $labels.replica }}{{ . }}{{ else }}of the exporter{{ end }} lags "
            "{{ $value | humanizeDuration }} behind"
        ),
        description=(
            "Who reads there sees the past: numbers of an exporter on a replica are as old as "
            "that. After a failover now, what the replica has not received would be lost."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_REPLICA_LAG, Priority.P3), (t.ALERT_REPLICA_BEHIND, Priority.P2)), start=1
    )
)

_SLOT = Alert(
    name=AlertName.REPLICATION_LAG,
    family=Family.DATABASE,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=3,
    lines={"line": t.ALERT_SLOT},
    # Whether somebody reads from the slot just now is no other slot.
    expression="max by (slot) ($SLOT_RETAINED) / 1e9 > $line",
    summary='Replication slot {{ $labels.slot }} keeps {{ $value | printf "%.1f" }} GB of WAL',
    description=(
        "The primary may not remove what this slot has not read. A slot that nobody reads keeps "
        "everything until the disk is full, and then the database stops."
    ),
)

_OLD_SNAPSHOT = tuple(
    Alert(
        name=AlertName.OLD_SNAPSHOT,
        family=Family.DATABASE,
        priority=priority,
        level=Level.L1,
        channel=ALL_CHANNELS,
        tier=tier,
        lines={"line": line},
        expression="max by (holder) ($OLDEST_SNAPSHOT) > $line",
        summary="Oldest snapshot ({{ $labels.holder }}) is {{ $value | humanizeDuration }} old",
        description=(
            "While it is open, vacuum removes no row that was deleted or changed since. Claims and "
            "the rollup walk over all of them, and get slower by the hour."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_SNAPSHOT, Priority.P3), (t.ALERT_SNAPSHOT_OLDER, Priority.P2)), start=1
    )
)

_AUTOVACUUM_LATE = Alert(
    name=AlertName.AUTOVACUUM_LATE,
    family=Family.DATABASE,
    priority=Priority.P3,
    level=Level.L1,
    channel=ALL_CHANNELS,
    lines={
        "line": t.ALERT_DEAD_SHARE,
        "minimum": t.MINIMUM_DEAD_ROWS,
        "late": t.ALERT_VACUUM_AGE,
    },
    # A table that was never vacuumed has no age, and is late all the same.
    expression="""\
max by (table) ($DEAD_ROWS_RATIO) > $line
  and max by (table) ($DEAD_ROWS) >= $minimum
  unless min by (table) ($AUTOVACUUM_AGE) <= $late""",
    summary="{{ $value | humanizePercentage }} of {{ $labels.table }} are dead rows",
    description=(
        "Autovacuum does not come to this table, or removes nothing when it does. The table grows, "
        "and every statement on it reads more."
    ),
)

_WRAPAROUND = Alert(
    name=AlertName.AUTOVACUUM_LATE,
    family=Family.DATABASE,
    priority=Priority.P2,
    level=Level.L1,
    channel=ALL_CHANNELS,
    tier=2,
    lines={"line": t.ALERT_FROZEN_AGE},
    expression="max by (table) ($FROZEN_AGE_RATIO) > $line",
    summary=(
        "{{ $labels.table }} is at {{ $value | humanizePercentage }} of the age that forces a "
        "vacuum"
    ),
    description=(
        "PostgreSQL vacuums a table of this age whatever the settings, and does not get through "
        "with it. Far beyond, it stops taking writes, so that no transaction id is used twice."
    ),
)

GROUP = RuleGroup(
    name="outbound-database",
    recordings=(),
    alerts=(*_REPLICA, _SLOT, *_OLD_SNAPSHOT, _AUTOVACUUM_LATE, _WRAPAROUND),
)
