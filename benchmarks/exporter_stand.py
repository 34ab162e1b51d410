"""What the exporter's benchmarks run on: a durable PostgreSQL, an outbox of any size, restarts."""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from benchmarks.processor import processor_seconds
from benchmarks.stack import PROGRAM, SERVER_SETTINGS
from outbound_slo.database import core_migrations, load_queries, migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor

QUEUE = 1000
"""Messages that wait or hang, at every size of the history."""

_BATCH = 500_000
_REST_S = 0.3
_LIFE = ("life_queued", "life_claimed", "life_answered", "life_delivered", "life_read")
_SQL = load_queries("benchmarks", "sql/exporter.sql")


class Stand:
    """One server; databases of its own per size; children that are ended with it.

    Vacuuming is done by the stand after loading, and not by the server meanwhile: it would be
    counted as somebody's processor time.
    """

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.directory = Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="outbound-slo-bench-"))
            )
            self.directory.chmod(0o755)
            self.supervisor = exits.enter_context(Supervisor(self.directory / "logs"))
            settings = {**SERVER_SETTINGS, "autovacuum": "off"}
            self.postgres = exits.enter_context(
                EmbeddedPostgres(self.directory / "postgres", settings=settings)
            )
            exits.callback(self.supervisor.stop)
            with psycopg.connect(self.server_url) as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.__exit__(kind, error, traceback)

    @property
    def server_url(self) -> str:
        """URL of the server's own database, which counts statements."""
        return self.postgres.conninfo()

    @property
    def pid(self) -> int:
        """Process id of the server; its sessions are its children."""
        return self.postgres.pid

    def read_processor_s(self) -> float:
        """Tell the server's processor time so far, in seconds, once ended sessions are accounted.

        A session that is just ending would be counted as a child and as what its parent waited for.
        """
        time.sleep(_REST_S)
        return processor_seconds(self.pid)

    def restart_cold(self) -> None:
        """Restart the server, with nothing of its files in memory."""
        self.postgres.stop()
        drop_cached(self.postgres.data_directory)
        self.postgres.start()


def drop_cached(directory: Path) -> int:
    """Ask the kernel to forget what it keeps of the files below; gives how many there are.

    Only pages that are on disk go; a server that was stopped in good order has no others.
    """
    files = [path for path in directory.rglob("*") if path.is_file()]
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return len(files)


class Outbox:
    """A migrated database that a benchmark fills, first without the rollup.

    Args:
        stand: Where it lies.
        name: The database's name; it must be free.

    """

    def __init__(self, stand: Stand, name: str) -> None:
        self._stand = stand
        self.name = name
        self.url = stand.postgres.create_database(name)
        migrate(self.url, core_migrations())
        self._run("organisations")

    def load(self, messages: int, waiting: int = QUEUE) -> None:
        """Load a history with an attempt each, and the queue; no trigger runs for them."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for first in range(0, messages, _BATCH):
                row = connection.execute(_SQL["last_message"].encode()).fetchone()
                part = min(_BATCH, messages - first)
                values = {"first": first, "messages": part, "size": messages}
                connection.execute(_SQL["history"].encode(), values)
                after = {"after": row[0] if row else 0}
                connection.execute(_SQL["attempts"].encode(), after)
            connection.execute(_SQL["queue"].encode(), {"messages": waiting})

    def install_rollup(self) -> None:
        """Install it as a user would on a table that is in use.

        Raises:
            subprocess.CalledProcessError: The command failed.

        """
        subprocess.run(
            [PROGRAM, "exporter", "rollup", "install"],
            env={**os.environ, "DATABASE_URL": self.url},
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def settle(self) -> None:
        """Vacuum, analyze and write everything out, as a server does in time."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def live(self, first: int, messages: int, batch: int) -> None:
        """Let messages live from queue to read receipt, so many per statement and commit."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for start in range(first, first + messages, batch):
                last = min(start + batch, first + messages) - 1
                # As a sender knows its messages: a subquery would have the table read for each.
                keys = [f"life-{number}" for number in range(start, last + 1)]
                for step in _LIFE:
                    values = {"first": start, "last": last, "keys": keys}
                    connection.execute(_SQL[step].encode(), values)

    def drop(self) -> None:
        """Drop the database."""
        self._stand.postgres.drop_database(self.name)

    def _run(self, name: str, **values: Any) -> None:  # noqa: ANN401 - what SQL takes
        with psycopg.connect(self.url) as connection:
            connection.execute(_SQL[name].encode(), values or None)
