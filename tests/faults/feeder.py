"""Puts the load on the queue while the blows fall, through outages of the database too."""

import threading
import time
from types import TracebackType
from typing import Self

import psycopg

from sender.enqueue import enqueue
from tests.faults.evidence import count_unfinished
from tests.faults.plan import Load, draw_message, message_key

_TICK_S = 0.1
_PAUSE_S = 0.2
_LONGEST_QUEUE = 600
"""Beyond this many messages under way the producer waits: a slow machine gets no heap of work."""


class Feeder:
    """A producer in a thread of its own.

    A batch whose commit was not confirmed is put on the queue again: the messages' idempotency
    keys make that harmless. Only confirmed messages are owed to anybody.
    """

    def __init__(self, database: str, load: Load, seed: int) -> None:
        """Feed this database; the messages follow from load and seed."""
        self._database = database
        self._load = load
        self._seed = seed
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._failure: BaseException | None = None
        self._next = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._enough.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    @property
    def confirmed(self) -> frozenset[str]:
        """Keys of the messages whose commit the database has confirmed."""
        return frozenset(message_key(self._seed, number) for number in range(self._next))

    def feed_more(self, count: int) -> None:
        """Put further messages on the queue at once; for use after the context is left."""
        self._put(count)

    def _feed(self) -> None:
        try:
            batch = max(1, round(self._load.per_second * _TICK_S))
            while self._next < self._load.at_most:
                if self._enough.is_set() and self._next >= self._load.at_least:
                    break
                if count_unfinished(self._database) < _LONGEST_QUEUE:
                    self._put(batch)
                time.sleep(batch / self._load.per_second)
        except BaseException as failure:  # noqa: BLE001 - raised again where the thread is joined
            self._failure = failure

    def _put(self, count: int) -> None:
        batch = range(self._next, self._next + count)
        messages = [draw_message(self._load, self._seed, number) for number in batch]
        while True:
            try:
                with psycopg.connect(self._database, connect_timeout=2) as connection:
                    enqueue(connection, messages)
            except psycopg.OperationalError:
                time.sleep(_PAUSE_S)
            else:
                self._next += count
                return
