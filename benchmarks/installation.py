"""How long writers wait for a lock while the rollup is installed on a table that is in use."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg

from benchmarks.exporter_stand import Outbox, Stand

_WRITERS = 3
_LOOK_S = 0.005
# Beyond the numbers of every other part: a message is known by its number.
_FIRST = 10_000_000

_WAITS = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 * 1000
  FROM pg_locks
  JOIN pg_stat_activity USING (pid)
 WHERE NOT granted AND datname = %s
"""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What an installation did to those who write meanwhile.

    Attributes:
        messages: In the table at its beginning.
        install_s: How long it took, with its count of everything, in seconds.
        lives: Messages that lived meanwhile, five single statements each.
        lock_wait_ms: The longest wait of a session for a lock that was seen, the installation's
            own among them.
        looks: How often it was looked.

    """

    messages: int
    install_s: float
    lives: int
    lock_wait_ms: float
    looks: int


def measure_installation(stand: Stand, outbox: Outbox, messages: int) -> Disturbance:
    """Install the rollup while writers write.

    Raises:
        subprocess.CalledProcessError: The installation failed.
        RuntimeError: A writer failed.

    """
    with _Writers(outbox) as writers, _Watch(stand, outbox) as watch:
        began = time.monotonic()
        outbox.install_rollup()
        took = time.monotonic() - began
    if writers.errors:
        raise RuntimeError(f"a writer failed: {writers.errors[0]}")
    return Disturbance(messages, took, writers.lives, watch.longest_ms, watch.looks)


class _Threads:
    """Threads that repeat something until the block ends."""

    def __init__(self, number: int) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]
        self.errors: list[Exception] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        try:
            while not self._ended.is_set():
                self._step(number)
        except psycopg.Error as error:
            self.errors.append(error)

    def _step(self, number: int) -> None:
        raise NotImplementedError


class _Writers(_Threads):
    def __init__(self, outbox: Outbox) -> None:
        super().__init__(_WRITERS)
        self._outbox = outbox
        self._steps = [0] * _WRITERS

    @property
    def lives(self) -> int:
        return sum(self._steps)

    def _step(self, number: int) -> None:
        self._outbox.live(_FIRST + self._steps[number] * _WRITERS + number, 1, 1)
        self._steps[number] += 1


class _Watch(_Threads):
    def __init__(self, stand: Stand, outbox: Outbox) -> None:
        super().__init__(1)
        self._connection = psycopg.connect(stand.server_url, autocommit=True)
        self._name = outbox.name
        self.longest_ms = 0.0
        self.looks = 0

    def _step(self, _: int) -> None:
        row = self._connection.execute(_WAITS, [self._name]).fetchone()
        self.longest_ms = max(self.longest_ms, row[0] if row else 0.0)
        self.looks += 1
        self._ended.wait(_LOOK_S)
