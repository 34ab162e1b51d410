"""A server that takes every connection and never says a word: a collector that hangs."""

import socket
import threading
from types import TracebackType
from typing import Self

from outbound_slo.embedded.processes import LOOPBACK


class Sinkhole:
    """Listens on a free loopback port inside its context; holds what connects."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._hold, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closing alone does not wake a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self._held:
            connection.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self._listener.getsockname()[1]}"

    def _hold(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._held.append(connection)
