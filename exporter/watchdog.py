"""Cuts the line to a server that does not answer any more.

A server that is alive ends a statement at its `statement_timeout`. One whose machine hangs, or
that sits behind a network that swallows packets, never does, and the thread would wait with it.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg


class Watchdog:
    """One sleeping thread that shuts a connection's socket when a stretch of work takes too long.

    Arming costs no context switch, unlike a timer per statement: the thread sleeps on until the
    earliest end that it knows, and looks then whether a later one has taken its place.

    Args:
        connection: An open connection.

    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._line = socket.socket(fileno=os.dup(connection.fileno()))
        self._changed = threading.Condition()
        self._end: float | None = None
        self._wakes_at: float | None = None
        self._closed = False
        self.has_cut = False
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def guard(self, seconds: float) -> Iterator[None]:
        """Cut the line if the body takes longer; guards do not nest."""
        with self._changed:
            self._end = time.monotonic() + seconds
            if self._wakes_at is None or self._end < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._end = None

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if self._end is not None and self._end <= now:
                    self.has_cut = True
                    self._end = None
                    with suppress(OSError):
                        self._line.shutdown(socket.SHUT_RDWR)
                self._wakes_at = self._end
                self._changed.wait(None if self._end is None else self._end - now)
        self._line.close()
