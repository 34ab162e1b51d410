"""The exporter's session on one database: opened when needed, and the lock that makes it lead."""

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg

from exporter.target import Target
from exporter.watchdog import Watchdog
from outbound_slo.database import connect, load_queries

APPLICATION_NAME = "outbound-slo exporter"
LEADER_LOCK = 0x6578_706F  # "expo": any number works, as long as all of our versions agree.


class Session:
    """A connection that is made anew when it was lost.

    Not for use by several threads at once.

    Args:
        target: Which database.
        idle_s: A session that says nothing for so long is ended by the server, so that a frozen
            leader makes room; in seconds.

    """

    def __init__(self, target: Target, idle_s: float) -> None:
        self._target = target
        self._idle_s = idle_s
        self._statements = load_queries("exporter", "session.sql")
        self._connection: psycopg.Connection | None = None
        self._watchdog: Watchdog | None = None
        self._leads = False
        self._lock = _name_lock(target)

    def change_target(self, target: Target) -> None:
        """Turn to another target; the session goes on if it is the same database and lead."""
        lock = _name_lock(target)
        if lock != self._lock or target.address() != self._target.address():
            self.close()
        self._target, self._lock = target, lock

    def open(self) -> psycopg.Connection:
        """Give the connection, made anew if it was lost.

        Raises:
            UserMistake: The address is malformed or leads nowhere, or nothing answers there.

        """
        if self._connection is None or self.is_lost():
            self.close()
            self._connection = connect(
                self._target.address(),
                autocommit=True,
                key=self._target.key,
                application_name=APPLICATION_NAME,
                # `Reader` prepares what is worth it. After a rollback psycopg would throw away its
                # own statements, and ours with them.
                prepare_threshold=None,
            )
            self._watchdog = Watchdog(self._connection)
        return self._connection

    def is_lost(self) -> bool:
        """Tell whether there is no working connection."""
        connection = self._connection
        return connection is None or connection.closed or connection.broken

    def was_cut(self) -> bool:
        """Tell whether the line was cut because the server did not answer."""
        return self._watchdog is not None and self._watchdog.has_cut

    def close(self) -> None:
        """Give the connection back, and with it the lead."""
        connection, self._connection = self._connection, None
        watchdog, self._watchdog = self._watchdog, None
        self._leads = False
        if watchdog is not None:
            watchdog.close()
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    @contextmanager
    def guard(self, seconds: float) -> Iterator[None]:
        """Cut the line if the body takes longer."""
        if self._watchdog is None:
            raise RuntimeError("the session is not open")
        with self._watchdog.guard(seconds):
            yield

    def lead(self) -> bool:
        """Tell whether this session leads among its replicas; tries to if it does not.

        Raises:
            psycopg.Error: The database does not answer.

        """
        if not self._leads:
            connection = self.open()
            idle = {"idle_ms": str(max(1, round(self._idle_s * 1000)))}
            connection.execute(self._statements["settings"].encode(), idle)
            row = connection.execute(self._statements["try_lead"].encode(), self._lock).fetchone()
            self._leads = row is not None and bool(row[0])
        return self._leads

    def describe_leader(self) -> str:
        """Name the session that leads, for people."""
        row = self.open().execute(self._statements["leader"].encode(), self._lock).fetchone()
        return f"{row[2]!r}, process {row[0]} of {row[1]}" if row else "a session that is gone"


def _name_lock(target: Target) -> Mapping[str, int]:
    # Exporters of other packs are no replicas of this one.
    names = ",".join(sorted(pack.name for pack in target.packs))
    number = zlib.crc32(names.encode())
    # Folded to what PostgreSQL's integer holds.
    return {"room": LEADER_LOCK, "packs": number - (1 << 32) if number >= 1 << 31 else number}
