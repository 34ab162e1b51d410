"""How long writers wait for a lock while the rollup is installed on a table that is in use."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

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
        psycopg.Error: A writer failed.

    """
    lives: list[int] = []
    waits: list[float] = []

    def write(number: int, turn: int) -> None:
        outbox.live(_FIRST + turn * _WRITERS + number, 1, 1)
        lives.append(number)

    with psycopg.connect(stand.server_url, autocommit=True) as connection:

        def look(_number: int, _turn: int) -> None:
            row = connection.execute(_WAITS, [outbox.name]).fetchone()
            waits.append(row[0] if row else 0.0)
            time.sleep(_LOOK_S)

        with _repeating(write, _WRITERS), _repeating(look, 1):
            began = time.monotonic()
            outbox.install_rollup()
            took = time.monotonic() - began
    return Disturbance(messages, took, len(lives), max(waits), len(waits))


@contextmanager
def _repeating(step: Callable[[int, int], None], threads: int) -> Iterator[None]:
    """Repeat a step in threads until the block ends; it is given its thread's number and turn."""
    ended = threading.Event()

    def repeat(number: int) -> None:
        turn = 0
        while not ended.is_set():
            step(number, turn)
            turn += 1

    with ThreadPoolExecutor(threads) as pool:
        repeated = [pool.submit(repeat, number) for number in range(threads)]
        try:
            yield
        finally:
            ended.set()
    for one in repeated:
        one.result()
