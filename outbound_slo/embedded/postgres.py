"""A private PostgreSQL server on a loopback port, gone when its context is left."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from outbound_slo.embedded.binaries import POSTGRESQL, Tools, find_tools, is_open_to_all
from outbound_slo.embedded.child import Child, identity_of
from outbound_slo.embedded.processes import LOOPBACK, claim_port
from outbound_slo.vocabulary.mistakes import UserMistake

SUPERUSER = "postgres"
# The server refuses to run as root; this account exists everywhere and owns nothing.
_UNPRIVILEGED = "nobody"
# Safe to lose on a power cut, which is all these protect from.
_WITHOUT_FSYNC = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A server with its own data directory, started on entry and stopped on exit.

    Only this machine can reach it (127.0.0.1, no Unix socket), and nobody needs a password.

    Args:
        directory: Where its data directory and log go; a temporary directory, removed on exit, if
            None. One that exists and holds a cluster from an earlier run is used as it is.
        port: Loopback port; a free one if None.
        fsync: Whether commits survive a power cut. Tests of anything but durability say False.
        settings: Further server settings, such as `shared_preload_libraries`.
        tools: The server's programs; found by `find_tools` if None.

    Raises:
        UserMistake: (on entry) no server programs, the port is in use, or the server can't start.

    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        fsync: bool = True,
        settings: Mapping[str, str] | None = None,
        tools: Tools | None = None,
    ) -> None:
        self._given_directory = directory
        self._given_port = port
        self._settings = {**({} if fsync else _WITHOUT_FSYNC), **(settings or {})}
        self._given_tools = tools
        self._child: Child | None = None
        self.port = 0
        self.directory = Path()

    def __enter__(self) -> Self:
        self._tools = self._given_tools or find_tools(POSTGRESQL)
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self.port = claim_port(self._given_port, "PostgreSQL")
        self.directory = self._make_directory()
        try:
            if not (self.data_directory / "PG_VERSION").exists():
                self._initialise()
            self.start()
        except BaseException:
            self._remove_temporary()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._remove_temporary()

    @property
    def data_directory(self) -> Path:
        """The cluster's data directory."""
        return self.directory / "data"

    @property
    def pid(self) -> int:
        """Process id of the running server; its sessions are its children."""
        text = (self.data_directory / "postmaster.pid").read_text("utf-8")
        return int(text.splitlines()[0])

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "postgres.log"

    def conninfo(self, dbname: str = "postgres") -> str:
        """URL of one of its databases, for psycopg, psql and DATABASE_URL."""
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{dbname}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, as a copy of `template` if given, and return its URL.

        Nobody may be connected to the template meanwhile.
        """
        statement: sql.Composed = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._execute(statement)
        return self.conninfo(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions that are still connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start the server again after `stop`, on the same port and data."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            # An unpacked server comes without LLVM.
            **({"jit": "off"} if self._tools.root else {}),
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._child = Child(
            "postgres",
            [self._tools["postgres"], "-D", str(self.data_directory), *options],
            self.log,
            environment=self._tools.environment(),
            directory=self.data_directory,
            user=self._user,
            # Fast shutdown: sessions are ended, not waited for.
            stop_signal=signal.SIGINT,
        )
        try:
            self._child.wait_ready(self._answers)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, keeping its data; nothing happens if it does not run."""
        child, self._child = self._child, None
        if child is not None:
            child.stop(patience=30.0)

    def require_running(self) -> None:
        """Raise `ProcessFailed` if the server has ended by itself."""
        if self._child is not None:
            self._child.require_running()

    def _make_directory(self) -> Path:
        directory = self._given_directory
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="outbound-slo-postgres-"))
        directory = directory.absolute()
        # The server's user must get through every directory above its own.
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if self._user is not None:
                identity = identity_of(self._user)
                if not is_open_to_all(directory.parent):
                    raise UserMistake(
                        f"User {self._user}, who runs PostgreSQL for root, can't enter "
                        f"{directory.parent}",
                        "Choose a directory that all users can enter, or do not run as root",
                    )
                os.chown(directory, identity["user"], identity["group"])
                directory.chmod(0o755)
        except OSError as failure:
            raise UserMistake(
                f"Can't use the directory {directory}: {failure.strerror}",
                "Choose another one",
            ) from None
        return directory

    def _remove_temporary(self) -> None:
        if self._given_directory is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self) -> None:
        command = [self._tools["initdb"], "-D", str(self.data_directory), "-U", SUPERUSER]
        command += ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        try:
            told = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                cwd=self.directory,
                env=self._tools.environment(),
                **identity_of(self._user),
            )
        except OSError as failure:
            raise UserMistake(
                f"Can't run {command[0]}: {failure.strerror}",
                "Root starts PostgreSQL as another user, who must be able to read the program",
            ) from None
        if told.returncode != 0:
            lines = told.stderr.strip().splitlines() or ["no reason given"]
            reason = next((line for line in lines if "error:" in line), lines[-1])
            raise UserMistake(
                f"PostgreSQL's data directory {self.data_directory} can't be made: {reason}",
                "Check the disk's space and the directory's owner",
            )

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.conninfo(), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(statement)
