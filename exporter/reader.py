"""Reads a query's rows: no more than its metrics take, and where the session lasts, prepared.

Most of what a small question costs the server is planning it. So a session of the exporter's own
keeps the plans, for some minutes: a plan made when the queue was empty may be a bad one later.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import psycopg

from exporter.failures import BadResultError, Reason
from exporter.pack import Pack, Query, WhenFull
from exporter.series import Row

PLAN_LIFETIME_S = 300.0
"""Seconds after which all plans are made anew."""


class Reader:
    """Reads queries on a session that is in a transaction.

    Args:
        steady: The steady clock, in seconds.
        prepares: Whether the session is the exporter's own. Behind a pooler of transactions the
            next one may run on another connection, which knows no statement of ours.

    """

    def __init__(self, steady: Callable[[], float], *, prepares: bool) -> None:
        self._steady = steady
        self._prepares = prepares
        self._connection: psycopg.Connection | None = None
        self._statements: dict[str, str] = {}
        self._made_at = 0.0
        self._numbers = count()

    def begin(self, connection: psycopg.Connection) -> None:
        """Take up a session, and have it forget plans that are too old.

        Raises:
            psycopg.Error: The database does not answer.

        """
        known, self._connection = self._connection, connection
        if not self._prepares:
            return
        now = self._steady()
        if connection is known and now - self._made_at < PLAN_LIFETIME_S:
            return
        if connection is known:
            connection.execute("DEALLOCATE ALL")
        self._statements, self._made_at = {}, now

    def read(
        self, pack: Pack, query: Query, begin_again: Callable[[], None]
    ) -> tuple[list[str], list[Row], int]:
        """Read the rows of a query.

        Args:
            pack: Its pack.
            query: What to ask.
            begin_again: Called after an error, to ask in another way.

        Returns:
            The columns' names, the rows, and how many rows were left out beyond what the metrics
            take.

        Raises:
            psycopg.Error: The query failed.
            BadResultError: It gives more rows than the pack allows.
            RuntimeError: `begin` was not called.

        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("no session was taken up")
        statement = query.sql
        if self._prepares:
            statement = self._prepare(connection, query.sql, begin_again)
        try:
            return _read_rows(connection, pack, query, statement)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
            # A table has columns of other types than when the plan was made, or a plan is gone.
            if statement == query.sql:
                raise
            begin_again()
            return self._read_anew(connection, pack, query)

    def _read_anew(
        self, connection: psycopg.Connection, pack: Pack, query: Query
    ) -> tuple[list[str], list[Row], int]:
        try:
            result = _read_rows(connection, pack, query, query.sql)
        except psycopg.errors.FeatureNotSupported:
            # It was not the plan; without one the next refresh asks but once.
            self._statements[query.sql] = query.sql
            raise
        # So all plans may be outdated.
        self._made_at = -math.inf
        return result

    def _prepare(
        self, connection: psycopg.Connection, sql: str, begin_again: Callable[[], None]
    ) -> str:
        known = self._statements.get(sql)
        if known is not None:
            return known
        # Never a name again: one whose preparation failed at its end may be there all the same.
        name = f"outbound_slo_{next(self._numbers)}"
        # Not everything can be prepared, such as SHOW; and a mistake is told of as its author
        # wrote it.
        with suppress(psycopg.errors.SyntaxError):
            # In binary, since only the protocol's extended form refuses several statements in one.
            connection.execute(f"PREPARE {name} AS {sql}".encode(), binary=True)
            self._statements[sql] = f"EXECUTE {name}"
            return self._statements[sql]
        begin_again()
        self._statements[sql] = sql
        return sql


def _read_rows(
    connection: psycopg.Connection, pack: Pack, query: Query, statement: str
) -> tuple[list[str], list[Row], int]:
    """Read row by row, so that an explosion of a million rows stops at the limit, not in memory."""
    rows: list[Row] = []
    beyond = 0
    fed = pack.fed_by(query.name)
    users = (*fed, *pack.illustrated_by(query.name))
    limit = max(metric.max_series * metric.part_count for metric in users)
    drops = bool(fed) and all(metric.when_full is WhenFull.DROP for metric in fed)
    with connection.cursor() as cursor:
        for row in cursor.stream(statement.encode()):
            if len(rows) < limit:
                rows.append(row)
            elif drops:
                beyond += 1
            else:
                raise BadResultError(
                    Reason.CARDINALITY,
                    f"the query {query.name} gives more than {limit} rows (max_series of the pack)",
                )
        if cursor.description is not None:
            return [column.name for column in cursor.description], rows, beyond
    return _describe_last(connection), rows, beyond


def _describe_last(connection: psycopg.Connection) -> list[str]:
    """Ask for the columns of a result without rows: a wrong column is an error then, too."""
    described = connection.pgconn.describe_prepared(b"")
    names = [described.fname(position) for position in range(described.nfields)]
    return [name.decode() for name in names if name is not None]
