"""One refresh: every query of every pack in one snapshot of the database, each on its own feet."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

import psycopg
from psycopg import sql

from exporter.failures import BadResultError, Failure, Reason, classify
from exporter.pack import Pack, Query, Series
from exporter.series import Row, read_series
from outbound_slo.database import connect
from outbound_slo.vocabulary.mistakes import UserMistake

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
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

    """

    pack: str
    query: str
    duration_s: float
    rows: int
    series: Mapping[str, Series]
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """What one refresh gave: all of it belongs to one instant of the database.

    Attributes:
        at: When it began, in Unix seconds.
        duration_s: How long it took, in seconds.
        reached: Whether the database answered.
        runs: One per query.

    """

    at: float
    duration_s: float
    reached: bool
    runs: tuple[QueryRun, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: `wall` for timestamps, `steady` for ages; both in seconds."""

    wall: Callable[[], float]
    steady: Callable[[], float]


class Collector:
    """Keeps the connection, and runs the queries of some packs on it.

    Not for use by several threads at once.

    Args:
        conninfo: Where the database is.
        packs: What to ask.
        statement_timeout_s: No query gets longer, whatever its pack says.
        deadline_s: A refresh ends after this; queries that had no turn fail with a timeout.
        clock: Where time comes from.

    """

    def __init__(
        self,
        conninfo: str,
        packs: Sequence[Pack],
        *,
        statement_timeout_s: float,
        deadline_s: float,
        clock: Clock,
    ) -> None:
        self._conninfo = conninfo
        self._packs = tuple(packs)
        self._statement_timeout_s = statement_timeout_s
        self._deadline_s = deadline_s
        self._clock = clock
        self._connection: psycopg.Connection | None = None

    def open(self) -> psycopg.Connection:
        """Give the connection, made anew if it was lost.

        Raises:
            UserMistake: The address is malformed, or nothing answers there.

        """
        if self._connection is None or _is_lost(self._connection):
            self._connection = connect(self._conninfo, autocommit=True)
            self._connection.execute("SET application_name = 'outbound-slo exporter'")
        return self._connection

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def collect(self) -> Refresh:
        """Run every query once; an error is in the result, never raised."""
        at, start = self._clock.wall(), self._clock.steady()
        try:
            connection = self.open()
            with _cut_off(connection, self._deadline_s + _GRACE_S):
                runs = self._run_all(connection, start + self._deadline_s)
        except UserMistake as mistake:
            runs = self._all_failed(Failure(Reason.CONNECTION, str(mistake)))
        except psycopg.Error as error:
            runs = self._all_failed(classify(error))
        answered = any(run.failure is None or run.failure.reason in _ANSWERS for run in runs)
        reached = answered and self._connection is not None and not _is_lost(self._connection)
        if not reached:
            self._drop()
        return Refresh(at, self._clock.steady() - start, reached, tuple(runs))

    def _drop(self) -> None:
        # Whatever state it is in, the next refresh starts with a connection of its own.
        with suppress(psycopg.Error):
            self.close()
        self._connection = None

    def _all_failed(self, failure: Failure) -> list[QueryRun]:
        return [
            QueryRun(pack.name, query.name, 0.0, 0, MappingProxyType({}), failure)
            for pack in self._packs
            for query in pack.queries
        ]

    def _run_all(self, connection: psycopg.Connection, deadline: float) -> list[QueryRun]:
        connection.execute(_BEGIN)
        try:
            return [
                self._run(connection, pack, query, deadline)
                for pack in self._packs
                for query in pack.queries
            ]
        finally:
            if not _is_lost(connection):
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")

    def _run(
        self, connection: psycopg.Connection, pack: Pack, query: Query, deadline: float
    ) -> QueryRun:
        start = self._clock.steady()
        failure: Failure | None = None
        series: dict[str, Series] = {}
        rows: list[Row] = []
        try:
            columns, rows = self._fetch(connection, pack, query, deadline - start)
            series = {
                metric.name: read_series(metric, columns, rows)
                for metric in pack.fed_by(query.name)
            }
        except BadResultError as bad:
            failure = Failure(bad.reason, str(bad))
        except psycopg.Error as error:
            failure = classify(error)
        if failure is not None:
            rows, series = [], {}
        return QueryRun(
            pack=pack.name,
            query=query.name,
            duration_s=self._clock.steady() - start,
            rows=len(rows),
            series=MappingProxyType(series),
            failure=failure,
        )

    def _fetch(
        self, connection: psycopg.Connection, pack: Pack, query: Query, remaining_s: float
    ) -> tuple[list[str], list[Row]]:
        """Run one query behind a savepoint: its error does not end the transaction for the rest."""
        if remaining_s <= 0:
            raise BadResultError(Reason.TIMEOUT, "no time left before the refresh's deadline")
        timeout_s = min(query.timeout_s, self._statement_timeout_s, remaining_s)
        limit = max(metric.max_series * metric.part_count for metric in pack.fed_by(query.name))
        connection.execute(
            sql.SQL("SAVEPOINT query; SET LOCAL statement_timeout = {}").format(
                sql.Literal(max(1, round(timeout_s * 1000)))
            )
        )
        try:
            columns, rows = _read_rows(connection, query, limit)
        except (psycopg.Error, BadResultError):
            if not _is_lost(connection):
                connection.execute("ROLLBACK TO SAVEPOINT query")
            raise
        connection.execute("RELEASE SAVEPOINT query")
        return columns, rows


def _is_lost(connection: psycopg.Connection) -> bool:
    return connection.closed or connection.broken


def _read_rows(
    connection: psycopg.Connection, query: Query, limit: int
) -> tuple[list[str], list[Row]]:
    rows: list[Row] = []
    with connection.cursor() as cursor:
        # Row by row, so that an explosion of a million rows stops at the limit, not in memory.
        for row in cursor.stream(query.sql.encode()):
            if len(rows) == limit:
                raise BadResultError(
                    Reason.CARDINALITY,
                    f"the query {query.name} gives more than {limit} rows (max_series of the pack)",
                )
            rows.append(row)
        if cursor.description is not None:
            return [column.name for column in cursor.description], rows
    return _describe_last(connection), rows


def _describe_last(connection: psycopg.Connection) -> list[str]:
    """Ask for the columns of a result without rows: a wrong column is an error then, too."""
    described = connection.pgconn.describe_prepared(b"")
    names = [described.fname(position) for position in range(described.nfields)]
    return [name.decode() for name in names if name is not None]


@contextmanager
def _cut_off(connection: psycopg.Connection, after_s: float) -> Iterator[None]:
    """Shut the connection's socket if the body takes too long, as when a network swallows packets.

    A server that is alive ends a statement by itself; one that is gone never answers, and the
    thread would wait with it.
    """
    line = socket.socket(fileno=os.dup(connection.fileno()))

    def cut() -> None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        line.close()
