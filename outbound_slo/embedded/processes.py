"""Child processes under supervision, their loopback ports and their readiness.

Each child leads a process group of its own, so a Ctrl-C at the terminal reaches only the parent,
which then stops its children in order. Nothing is ever looked up or ended by name.
"""

import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self
from urllib.parse import urlsplit

import requests

from outbound_slo.embedded.child import Child, Probe, ProcessFailed
from outbound_slo.vocabulary.mistakes import UserMistake

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so that
# a port can't be taken by somebody's client between being picked and being listened on.
_FIRST_PORT, _LAST_PORT = 18000, 32000
_HTTP_PORT = 80

_picked: set[int] = set()


def pick_port() -> int:
    """Pick a free loopback TCP port, never the same one twice in this process.

    Raises:
        UserMistake: A hundred tries met no free port.

    """
    for _ in range(100):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        if port not in _picked and is_port_free(port):
            _picked.add(port)
            return port
    raise UserMistake(
        f"No free port found on {LOOPBACK} between {_FIRST_PORT} and {_LAST_PORT}",
        "End something that listens there",
    )


def is_port_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As servers do, so that connections in TIME_WAIT from an earlier run are no hindrance.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def claim_port(port: int | None, purpose: str) -> int:
    """Return the given port if it is free, or pick one if none is given.

    Raises:
        UserMistake: The given port is in use.

    """
    if port is None:
        return pick_port()
    if not is_port_free(port):
        raise UserMistake(
            f"Port {port} on {LOOPBACK}, wanted for {purpose}, is in use",
            "Choose another port, or end what listens there",
        )
    return port


def http_probe(url: str, timeout: float = 1.0) -> Probe:
    """Make a probe that is true once GET `url` answers with a status below 400."""
    address = urlsplit(url)
    place = (address.hostname or LOOPBACK, address.port or _HTTP_PORT)

    def probe() -> bool:
        try:
            # Who does not listen yet, which is asked fifty times a second, costs no session.
            socket.create_connection(place, timeout=timeout).close()
            with requests.Session() as session:
                # Loopback is never behind the proxy that the environment may name.
                session.trust_env = False
                return session.get(url, timeout=timeout).ok
        except OSError:  # which those of requests are too
            return False

    return probe


def tcp_probe(port: int, timeout: float = 1.0) -> Probe:
    """Make a probe that is true once something accepts connections on a loopback port."""

    def probe() -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=timeout):
                return True
        except OSError:
            return False

    return probe


class Supervisor:
    """Children that start together and stop together, in reverse order.

    A context manager: leaving it, also by an exception, Ctrl-C, SIGTERM or SIGHUP, stops every
    child.
    """

    def __init__(self, directory: Path) -> None:
        """Keep the children's logs in `directory`."""
        self.directory = directory
        self._children: list[Child] = []
        self._termination = _Termination()

    def __enter__(self) -> Self:
        self._termination.install()
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
            self._termination.remove()

    @property
    def children(self) -> tuple[Child, ...]:
        """The children in the order they were started."""
        return tuple(self._children)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Probe | None = None,
        patience: float = 30.0,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Start a child and, if a probe is given, wait until it is ready.

        Raises:
            UserMistake: It can't be started, ended early, or was not ready within `patience`
                seconds (then it is stopped).

        """
        child = Child(
            name,
            command,
            self.directory / f"{name}.log",
            environment=environment,
            directory=directory,
            stop_signal=stop_signal,
        )
        self._children.append(child)
        if ready is not None:
            try:
                child.wait_ready(ready, patience)
            except ProcessFailed:
                self.stop_child(child)
                raise
        return child

    def stop_child(self, child: Child) -> int:
        """Stop one child before the others and return its exit code."""
        self._children.remove(child)
        return child.stop()

    def require_running(self) -> None:
        """Raise `ProcessFailed` for the first child that has ended by itself."""
        for child in self._children:
            child.require_running()

    def stop(self) -> None:
        """Stop all children, last started first; a further Ctrl-C does not interrupt that."""
        with interrupts_held():
            while self._children:
                self._children.pop().stop()


class _Termination:
    """SIGTERM and SIGHUP handled like Ctrl-C while installed: the stack unwinds, children stop.

    SIGHUP comes when the terminal closes; under nohup it is ignored and stays so.
    """

    def __init__(self) -> None:
        self._before: dict[
            signal.Signals, Callable[[int, FrameType | None], object] | int | None
        ] = {}

    def install(self) -> None:
        # Python allows signal handlers on the main thread only.
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, _leave)

    def remove(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ignore Ctrl-C, SIGTERM and SIGHUP for a moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in held]
    try:
        yield
    finally:
        for number, handler in zip(held, before, strict=True):
            signal.signal(number, handler)
