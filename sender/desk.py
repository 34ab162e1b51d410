"""The HTTP face's own few connections, so that people's questions never starve the send path.

Its statements are the ones that commands use too, so it is synchronous; routes that need it run in
FastAPI's threads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
import psycopg_pool

from outbound_slo.database import load_queries

_QUERIES = load_queries("sender", "sql/desk.sql")

CONNECTIONS = 4
"""Questions under way at once; the others wait for their turn."""

PATIENCE_S = 2.0
"""Seconds to wait for a connection, or for a lock."""

STATEMENT_S = 5.0
"""Seconds that one statement may take."""

_TRIES = 3

Result = TypeVar("Result")


class Desk:
    """A small pool whose transactions are bounded."""

    def __init__(self, conninfo: str, *, patience_s: float = PATIENCE_S) -> None:
        """Connect when `open` is called, and then only when somebody asks."""
        self._patience_ms = round(patience_s * 1000)
        self._pool = psycopg_pool.ConnectionPool(
            conninfo,
            min_size=0,
            max_size=CONNECTIONS,
            open=False,
            timeout=patience_s,
            max_idle=60.0,
            num_workers=1,
            kwargs={"application_name": "outbound-slo sender http", "connect_timeout": 3},
            check=psycopg_pool.ConnectionPool.check_connection,
        )

    def open(self) -> None:
        """Begin to serve; a database that is away is found out by the first question."""
        self._pool.open()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def look(self) -> Iterator[psycopg.Connection]:
        """Give a transaction that can't write.

        Raises:
            psycopg.Error: The database does not answer, or takes longer than `STATEMENT_S`.

        """
        with self._transact(read_only=True) as connection:
            yield connection

    def work(self, task: Callable[[psycopg.Connection], Result]) -> Result:
        """Carry out a task in a transaction, again if it meets a deadlock with the sender.

        Raises:
            psycopg.Error: The database does not answer, or refuses.

        """
        for _ in range(_TRIES - 1):
            try:
                with self._transact(read_only=False) as connection:
                    return task(connection)
            except psycopg.errors.DeadlockDetected:
                continue
        with self._transact(read_only=False) as connection:
            return task(connection)

    @contextmanager
    def _transact(self, *, read_only: bool) -> Iterator[psycopg.Connection]:
        with self._pool.connection() as connection:
            connection.execute(
                _QUERIES["bound_transaction"].encode(),
                {
                    "statement_ms": round(STATEMENT_S * 1000),
                    "lock_ms": self._patience_ms,
                    "read_only": "on" if read_only else "off",
                },
            )
            yield connection
