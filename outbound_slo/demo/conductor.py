"""The run itself: queues the work, breaks and heals the provider, looks at everything, on time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import floor

import psycopg

from outbound_slo.demo.night import NightWatch
from outbound_slo.demo.provider import ProviderControl
from outbound_slo.demo.scenario import STANDING_FAULTS, Scenario
from outbound_slo.demo.timeline import Phase, Timeline
from outbound_slo.demo.view import View
from outbound_slo.demo.watch import Watch
from outbound_slo.demo.workload import Workload
from sender.enqueue import enqueue

_LOOK_EVERY_S = 1.0
_STEP_S = 0.05
# A machine that stalls catches up in steps: one huge transaction would hide the steady rate.
_LARGEST_BATCH = 50


def count_due(elapsed_s: float, rate: float, last_message_s: float) -> int:
    """How many messages should have been queued by a moment, at a steady rate per second."""
    return floor(min(elapsed_s, last_message_s) * rate)


@dataclass(slots=True)
class Record:
    """What the conductor did.

    Attributes:
        queued: Ids of all messages that the queue gave out.
        broke_at: When the provider was made to fail.
        healed_at: When it was healed.

    """

    queued: set[int] = field(default_factory=set)
    broke_at: datetime | None = None
    healed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Orchestra:
    """What a run is conducted with.

    Attributes:
        connection: To the outbox, in autocommit mode.
        check: Raises if a process has ended by itself.

    """

    connection: psycopg.Connection
    provider: ProviderControl
    workload: Workload
    watch: Watch
    view: View
    night: NightWatch
    check: Callable[[], None]


def conduct(orchestra: Orchestra, timeline: Timeline, scenario: Scenario, rate: float) -> Record:
    """Perform the whole timeline and tell what was done.

    Raises:
        UserMistake: A process ended by itself, or one does not answer.

    """
    record = Record()
    asked_for = 0
    phase: Phase | None = None
    next_look_s = 0.0
    start = time.monotonic()
    while (elapsed_s := time.monotonic() - start) < timeline.duration_s:
        current = timeline.phase_at(elapsed_s)
        if current is not phase:
            _enter(current, orchestra.provider, scenario, record)
            phase = current
            next_look_s = elapsed_s
        due = count_due(elapsed_s, rate, timeline.last_message_s) - asked_for
        if due > 0:
            asked_for += _queue(orchestra, min(due, _LARGEST_BATCH), record)
        if elapsed_s >= next_look_s:
            orchestra.check()
            snapshot = orchestra.watch.look(
                _now(), current, elapsed_s, timeline.duration_s, len(record.queued)
            )
            orchestra.view.show(snapshot)
            orchestra.night.consider(snapshot)
            next_look_s = elapsed_s + _LOOK_EVERY_S
        time.sleep(_STEP_S)
    return record


def _enter(phase: Phase, provider: ProviderControl, scenario: Scenario, record: Record) -> None:
    if phase is Phase.INCIDENT:
        provider.set_faults((*STANDING_FAULTS, *scenario.faults))
        record.broke_at = _now()
    elif phase is Phase.RECOVERY:
        provider.set_faults(STANDING_FAULTS)
        record.healed_at = _now()


def _queue(orchestra: Orchestra, count: int, record: Record) -> int:
    with orchestra.connection.transaction():
        ids = enqueue(orchestra.connection, orchestra.workload.compose_batch(count))
    record.queued.update(ids)
    return count


def _now() -> datetime:
    return datetime.now(UTC)
