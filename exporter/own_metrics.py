"""What the exporter says about itself: its queries, its databases, its configuration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TypeAlias

from exporter.failures import Reason
from exporter.memory import Memory
from outbound_slo.vocabulary import metrics as vocabulary

Sample: TypeAlias = tuple[Mapping[str, str], float]
"""Labels and a number."""

_VERSION = version("outbound-slo")


@dataclass(frozen=True, slots=True)
class ConfigState:
    """How the last reading of the packs went.

    Attributes:
        good: Whether what is served is what the files say.
        good_at: When they were last read well, in Unix seconds.

    """

    good: bool = True
    good_at: float = 0.0


def describe_exporter(
    memories: Sequence[Memory], config: ConfigState
) -> Iterator[tuple[vocabulary.Metric, list[Sample]]]:
    """Give each metric of the exporter's own with its samples."""
    yield vocabulary.EXPORTER_INFO, [({"version": _VERSION}, 1.0)]
    yield vocabulary.CONFIG_RELOAD_SUCCESS, [({}, float(config.good))]
    yield vocabulary.CONFIG_RELOAD_TIME, [({}, config.good_at)]
    yield from _describe_targets(memories)
    yield from _describe_queries(memories)


def _describe_targets(
    memories: Sequence[Memory],
) -> Iterator[tuple[vocabulary.Metric, list[Sample]]]:
    refreshes = [(memory, memory.last) for memory in memories]
    yield (
        vocabulary.EXPORTER_UP,
        [(memory.labels, float(last is not None and last.reached)) for memory, last in refreshes],
    )
    yield vocabulary.EXPORTER_SNAPSHOT_AGE, [(memory.labels, memory.good_at) for memory in memories]
    yield (
        vocabulary.EXPORTER_REFRESH_DURATION,
        [(memory.labels, last.duration_s if last else 0.0) for memory, last in refreshes],
    )
    yield (
        vocabulary.COUNTER_REBASES,
        [(memory.labels, float(memory.rebases)) for memory in memories],
    )
    yield (
        vocabulary.EXPORTER_LEADER,
        [(memory.labels, float(last is not None and last.leads)) for memory, last in refreshes],
    )
    yield (
        vocabulary.DATABASE_IN_RECOVERY,
        [
            (memory.labels, float(last.in_recovery))
            for memory, last in refreshes
            if last is not None and last.in_recovery is not None
        ],
    )
    yield (
        vocabulary.REPLICATION_LAG,
        [
            (memory.labels, last.lag_s)
            for memory, last in refreshes
            if last is not None and last.lag_s is not None
        ],
    )


def _describe_queries(
    memories: Sequence[Memory],
) -> Iterator[tuple[vocabulary.Metric, list[Sample]]]:
    states = [
        ({**memory.labels, "pack": state.pack, "query": state.query}, state)
        for memory in memories
        for state in memory.states()
    ]
    # A query that runs elsewhere is neither well nor ill here.
    running = [
        ({**memory.labels, "pack": state.pack, "query": state.query}, state)
        for memory in memories
        if memory.leads
        for state in memory.states()
        if not state.skipped
    ]
    yield (
        vocabulary.QUERY_SUCCESS,
        [(labels, float(s.good_at > 0 and s.failure is None)) for labels, s in running],
    )
    yield vocabulary.QUERY_DURATION, [(labels, s.duration_s) for labels, s in running]
    yield vocabulary.QUERY_ROWS, [(labels, float(s.rows)) for labels, s in running]
    yield vocabulary.QUERY_LAST_SUCCESS, [(labels, s.good_at) for labels, s in running]
    yield vocabulary.QUERY_DROPPED_SERIES, [(labels, float(s.dropped)) for labels, s in running]
    # Every reason from the start: a first error that has no series yet is lost to increase().
    yield (
        vocabulary.QUERY_ERRORS,
        [
            ({**labels, "reason": reason.value}, float(state.errors.get(reason, 0)))
            for labels, state in states
            for reason in Reason
        ],
    )
