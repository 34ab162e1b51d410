"""One refresh: the queries whose turn it is in one snapshot, each on its own feet."""

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import psycopg
from psycopg import pq

from exporter.failures import BadResultError, Failure, Reason, classify
from exporter.pack import Pack, Query, RunsOn, Series
from exporter.reader import Reader
from exporter.series import ExemplarSeries, Row, read_exemplars, read_series
from exporter.session import Session
from exporter.target import Target
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake

QueryKey: TypeAlias = tuple[str, str]
"""A pack's name and a query's."""

_GRACE_S = 2.0  # The server enforces the deadline itself; this much later the line is cut.
# Failures with which the database shows that it is there.
_ANSWERS = frozenset(Reason) - {Reason.CONNECTION}


@dataclass(frozen=True, slots=True)
class QueryRun:
    """What one query gave.

    Attributes:
        pack: The pack's name.
        query: The query's name.
        duration_s: How long it took, in seconds.
        rows: How many rows came; 0 when it failed.
        series: The series of each metric that it feeds, by the metric's name; empty on failure.
        failure: Why it failed, or None.
        dropped: Label sets beyond `max_series` that were left out.
        exemplars: The exemplars of each metric that takes some from it, by the metric's name.
        skipped: True where it does not run on this kind of server.

    """

    pack: str
    query: str
    duration_s: float
    rows: int
    series: Mapping[str, Series]
    failure: Failure | None = None
    dropped: int = 0
    exemplars: Mapping[str, ExemplarSeries] = field(default_factory=dict)
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """What one refresh gave: all of it belongs to one instant of the database.

    Attributes:
        at: When it began, in Unix seconds.
        duration_s: How long it took, in seconds.
        reached: Whether the database answered.
        runs: One per query whose turn it was; none where another exporter leads.
        leads: Whether this exporter leads among its replicas.
        in_recovery: Whether the server is a replica; None if it did not say.
        lag_s: By how many seconds a replica lags; None where that means nothing.
        renewals: For queries with a schedule of their own: seconds from the refresh's beginning
            to their next regular run.

    """

    at: float
    duration_s: float
    reached: bool
    runs: tuple[QueryRun, ...]
    leads: bool = True
    in_recovery: bool | None = None
    lag_s: float | None = None
    renewals: Mapping[QueryKey, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: `wall` for timestamps, `steady` for ages; both in seconds."""

    wall: Callable[[], float]
    steady: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a refresh may cost, in seconds.

    Attributes:
        statement_timeout_s: No query gets longer, whatever its pack says.
        lock_timeout_s: No query waits longer for a lock.
        deadline_s: A refresh ends after this; queries that had no turn fail with a timeout.
        idle_s: The server ends a session that is silent for so long.

    """

    statement_timeout_s: float
    lock_timeout_s: float
    deadline_s: float
    idle_s: float


class Collector:
    """Runs the queries of a target's packs on a session of its own.

    Not for use by several threads at once.

    Args:
        target: Which database, and what to ask there.
        limits: What a refresh may cost.
        clock: Where time comes from.
        elects: Whether one of several replicas leads and the others ask nothing.

    """

    def __init__(
        self, target: Target, limits: Limits, clock: Clock, *, elects: bool = False
    ) -> None:
        self._target = target
        self._limits = limits
        self._clock = clock
        self._elects = elects
        self._statements = load_queries("exporter", "session.sql")
        self._timeout_ms: int | None = None
        # A session that holds the lead is its own, and no pooler's.
        self._reader = Reader(clock.steady, prepares=elects)
        self.session = Session(target, limits.idle_s)
        # Queries that took the time or the line from others have their turn last, and those that
        # had none first: one bad query can't keep the same neighbours waiting for ever.
        self._last: frozenset[QueryKey] = frozenset()
        self._first: frozenset[QueryKey] = frozenset()

    def open(self) -> psycopg.Connection:
        """Give the connection, made anew if it was lost.

        Raises:
            UserMistake: The address is malformed, or nothing answers there.

        """
        return self.session.open()

    def close(self) -> None:
        """Give the connection back."""
        self.session.close()

    def change_target(self, target: Target) -> None:
        """Ask something else from now on."""
        self._target = target
        self.session.change_target(target)
        self._last = self._first = frozenset()

    def collect(self, due: Container[QueryKey] | None = None) -> Refresh:
        """Run queries once; an error is in the result, never raised.

        Args:
            due: Which queries; None for all.

        """
        at, start = self._clock.wall(), self._clock.steady()
        chosen = self._choose(due)
        runs: list[QueryRun] = []
        leads, in_recovery, lag_s = True, None, None
        try:
            self.session.open()
            with self.session.guard(self._limits.deadline_s + _GRACE_S):
                leads = not self._elects or self.session.lead()
                if leads:
                    in_recovery, lag_s = self._begin()
            if leads:
                runs = self._run_all(chosen, start + self._limits.deadline_s, in_recovery)
        except UserMistake as mistake:
            failure = Failure(Reason.CONNECTION, str(mistake))
            runs = [_empty(pack, query, failure=failure) for pack, query in chosen]
        except psycopg.Error as error:
            cut = self.session.was_cut()
            failure = Failure(Reason.CONNECTION, _CUT.text) if cut else classify(error)
            runs = [_empty(pack, query, failure=failure) for pack, query in chosen]
        answered = not runs or any(
            run.failure is None or run.failure.reason in _ANSWERS for run in runs
        )
        reached = answered and not self.session.is_lost()
        if not reached:
            # Whatever state it is in, the next refresh starts with a connection of its own.
            self.session.close()
        return Refresh(
            at,
            self._clock.steady() - start,
            reached,
            tuple(runs),
            leads=leads,
            in_recovery=in_recovery,
            lag_s=lag_s,
        )

    def _choose(self, due: Container[QueryKey] | None) -> list[tuple[Pack, Query]]:
        chosen = [
            (pack, query)
            for pack in self._target.packs
            for query in pack.queries
            if due is None or (pack.name, query.name) in due
        ]
        return sorted(chosen, key=lambda entry: self._rank((entry[0].name, entry[1].name)))

    def _rank(self, key: QueryKey) -> int:
        return (key in self._last) - (key in self._first)

    def _begin(self) -> tuple[bool | None, float | None]:
        """Begin the snapshot, and learn in the same trip what kind of server it is."""
        self._timeout_ms = None
        cursor = psycopg.ClientCursor(self.session.open()).execute(
            self._statements["begin"].encode(),
            {
                "lock_timeout_ms": max(1, round(self._limits.lock_timeout_s * 1000)),
                "idle_ms": max(1, round(self._limits.idle_s * 1000)),
            },
        )
        while cursor.description is None and cursor.nextset():
            pass
        in_recovery, lag_s = cursor.fetchone() or (None, None)
        self._reader.begin(self.session.open())
        return in_recovery, lag_s

    def _limit(self, timeout_s: float) -> None:
        """Set the server's time-out for the next query, unless it is that already."""
        timeout_ms = max(1, round(timeout_s * 1000))
        if timeout_ms != self._timeout_ms:
            psycopg.ClientCursor(self.session.open()).execute(
                self._statements["limit"].encode(), {"timeout_ms": timeout_ms}
            )
            self._timeout_ms = timeout_ms

    def _go_back(self) -> None:
        """Make an error's transaction fit for the next query; forgets the time-out, too."""
        self._timeout_ms = None
        self.session.open().execute(self._statements["go_back"].encode())

    def _run_all(
        self, chosen: Sequence[tuple[Pack, Query]], deadline: float, in_recovery: bool | None
    ) -> list[QueryRun]:
        runs = []
        last, first = set(self._last), set[QueryKey]()
        try:
            for pack, query in chosen:
                if query.runs_on is not RunsOn.ANY and _is_elsewhere(query.runs_on, in_recovery):
                    runs.append(_empty(pack, query, skipped=True))
                    continue
                key, whole = (pack.name, query.name), not self._snapshot_is_lost()
                start = self._clock.steady()
                run = self._run(pack, query, start, deadline - start)
                runs.append(run)
                last.discard(key)
                if start >= deadline:
                    first.add(key)
                elif whole and (_took_its_time(run) or self._snapshot_is_lost()):
                    last.add(key)
        finally:
            self._last, self._first = frozenset(last), frozenset(first)
            self._end()
        return runs

    def _snapshot_is_lost(self) -> bool:
        if self.session.is_lost():
            return True
        return self.session.open().info.transaction_status is pq.TransactionStatus.IDLE

    def _end(self) -> None:
        if not self.session.is_lost():
            with suppress(psycopg.Error), self.session.guard(_GRACE_S):
                self.session.open().execute("ROLLBACK")

    def _run(self, pack: Pack, query: Query, start: float, remaining_s: float) -> QueryRun:
        try:
            columns, rows, beyond = self._fetch(pack, query, remaining_s)
            readings = {m.name: read_series(m, columns, rows) for m in pack.fed_by(query.name)}
            exemplars = {
                m.name: read_exemplars(m, columns, rows) for m in pack.illustrated_by(query.name)
            }
        except BadResultError as bad:
            failure = Failure(bad.reason, str(bad))
        except psycopg.Error as error:
            failure = _CUT if self.session.was_cut() else classify(error)
        else:
            return QueryRun(
                pack=pack.name,
                query=query.name,
                duration_s=self._clock.steady() - start,
                rows=len(rows) + beyond,
                series=MappingProxyType({name: r.series for name, r in readings.items()}),
                dropped=beyond + max((r.dropped for r in readings.values()), default=0),
                exemplars=MappingProxyType(exemplars),
            )
        return _empty(pack, query, self._clock.steady() - start, failure)

    def _fetch(
        self, pack: Pack, query: Query, remaining_s: float
    ) -> tuple[list[str], list[Row], int]:
        """Run one query in the snapshot: its error does not end the transaction for the rest."""
        if remaining_s <= 0:
            raise BadResultError(Reason.TIMEOUT, "no time left before the refresh's deadline")
        if self._snapshot_is_lost():
            raise BadResultError(Reason.CONNECTION, "another query of this refresh lost the line")
        timeout_s = min(query.timeout_s, self._limits.statement_timeout_s, remaining_s)
        with self.session.guard(min(query.client_timeout_s, timeout_s + _GRACE_S)):
            self._limit(timeout_s)
            try:
                return self._reader.read(pack, query, lambda: self._begin_again(timeout_s))
            except (psycopg.Error, BadResultError):
                # A statement that ends the transaction has no rows, so it is an error, too.
                if not self._snapshot_is_lost():
                    self._go_back()
                raise

    def _begin_again(self, timeout_s: float) -> None:
        self._go_back()
        self._limit(timeout_s)


_CUT = Failure(Reason.TIMEOUT, "the server did not answer, so the line was cut")


def _is_elsewhere(runs_on: RunsOn, in_recovery: bool | None) -> bool:
    return (runs_on is RunsOn.REPLICA) is not bool(in_recovery)


def _took_its_time(run: QueryRun) -> bool:
    return run.failure is not None and run.failure.reason is Reason.TIMEOUT


def _empty(
    pack: Pack,
    query: Query,
    duration_s: float = 0.0,
    failure: Failure | None = None,
    *,
    skipped: bool = False,
) -> QueryRun:
    return QueryRun(
        pack.name, query.name, duration_s, 0, MappingProxyType({}), failure, skipped=skipped
    )
