"""A private Redis server on a loopback port, which keeps nothing and is gone with its context."""

import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from outbound_slo.embedded.binaries import REDIS, Tools, find_tools
from outbound_slo.embedded.child import Child
from outbound_slo.embedded.processes import LOOPBACK, claim_port, tcp_probe


class EmbeddedRedis:
    """A server in memory only, started on entry and stopped on exit.

    Args:
        directory: Where its log goes.
        port: Loopback port; a free one if None.
        tools: The server's program; found by `find_tools` if None.

    Raises:
        UserMistake: (on entry) no server program, the port is in use, or the server can't start.

    """

    def __init__(
        self, directory: Path, *, port: int | None = None, tools: Tools | None = None
    ) -> None:
        self.directory = directory.absolute()
        self._given_port = port
        self._given_tools = tools
        self._child: Child | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._tools = self._given_tools or find_tools(REDIS)
        self.port = claim_port(self._given_port, "Redis")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """URL of its first database, for clients and OUTBOUND_REDIS_URL."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty, on the same port as before."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            "redis",
            [
                self._tools["redis-server"],
                *("--port", str(self.port)),
                *("--bind", LOOPBACK),
                *("--save", ""),
                *("--appendonly", "no"),
                *("--dir", str(self.directory)),
            ],
            self.directory / "redis.log",
            environment=self._tools.environment(),
            directory=self.directory,
            # There is nothing that it could save, and clients have to bear a sudden end.
            stop_signal=signal.SIGKILL,
        )
        try:
            self._child.wait_ready(tcp_probe(self.port))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server at once; nothing happens if it does not run."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
