"""One child process: started in a group of its own, watched, and stopped by its own id."""

import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from outbound_slo.vocabulary.mistakes import UserMistake

_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0
_TAIL_LINES = 40
_TELLING = re.compile(r"error|fatal|panic|\berr=|address already in use", re.IGNORECASE)
_LOGFMT = re.compile(r'\b(msg|err)="((?:[^"\\]|\\.)*)"')

Probe = Callable[[], bool]


class Identity(TypedDict, total=False):
    """The arguments of `subprocess` that decide whose process a child is; empty: ours."""

    user: int
    group: int
    extra_groups: list[int]


def identity_of(user: str | None) -> Identity:
    """Arguments that make a child run as a system user with no further groups.

    Raises:
        UserMistake: There is no such user.

    """
    if user is None:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise UserMistake(f"This system has no user {user}", "Name one that exists") from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class ProcessFailed(UserMistake):
    """A child ended by itself, or was not ready in time.

    Attributes:
        name: The child's name.
        tail: The last lines that it wrote to its log.

    """

    def __init__(self, name: str, what: str, log: Path, tail: str) -> None:
        """Put the line of the log that tells most into the message."""
        self.name = name
        self.tail = tail
        reason = find_reason(tail)
        super().__init__(f"{name} {what}: {reason}" if reason else f"{name} {what}", f"Log: {log}")


def find_reason(log: str) -> str:
    """Pick out of a log why a process ended, as one line.

    Servers name the cause first and its consequences after it; Python's tracebacks end with it.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return ""
    if any(line.startswith("Traceback ") for line in lines):
        return lines[-1]
    return _shorten(next((line for line in lines if _TELLING.search(line)), lines[-1]))


def _shorten(line: str) -> str:
    """Keep message and error of a line in logfmt, as Prometheus writes it; others stay."""
    fields = dict(_LOGFMT.findall(line))
    texts = [fields[name] for name in ("msg", "err") if name in fields]
    unquoted = ": ".join(texts).replace(r"\n", " ")
    return re.sub(r"\\(.)", r"\1", unquoted) or line


class Child:
    """One running child process.

    Args:
        name: What people call it; names its log too.
        command: Argument list.
        log: File that takes its output, appended to.
        environment: Whole environment of the child; ours if None.
        directory: Its working directory; ours if None.
        user: System user to run as; only root may name one.
        stop_signal: What asks it to end in good order.

    Raises:
        UserMistake: The program can't be started.

    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self._stop_signal = stop_signal
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # An earlier run may have written here; its errors are not this child's.
            self._log_start = output.tell()
            try:
                self._process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=None if environment is None else dict(environment),
                    cwd=directory,
                    process_group=0,
                    **identity_of(user),
                )
            except OSError as failure:
                raise UserMistake(
                    f"{name} can't be started: {command[0]}: {failure.strerror}",
                    "Check that the program is installed and may be executed",
                ) from None

    @property
    def pid(self) -> int:
        """Process id, also of its process group."""
        return self._process.pid

    def has_ended(self) -> bool:
        """Tell whether it has ended, without forgetting its id (see `stop`)."""
        return self._peek_exit_code() is not None

    def log_tail(self) -> str:
        """Read the last lines that it has written to its log."""
        with self.log.open("rb") as written:
            written.seek(self._log_start)
            text = written.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def require_running(self) -> None:
        """Raise `ProcessFailed` if it has ended by itself."""
        if self.has_ended():
            raise self._failure(f"ended by itself ({self._ending()})")

    def wait_ready(self, probe: Probe, patience: float = 30.0) -> None:
        """Wait until `probe` is true.

        Args:
            probe: Asked every 20 ms or as fast as it answers.
            patience: Seconds to wait at most.

        Raises:
            ProcessFailed: The child ended first, or patience did.

        """
        deadline = time.monotonic() + patience
        while not probe():
            if self.has_ended():
                raise self._failure(f"ended before it was ready ({self._ending()})")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {patience:g} s")
            time.sleep(_POLL_SECONDS)
        # Something else may answer on that port while our child, unable to listen, is ending.
        self.require_running()

    def stop(self, patience: float = _STOP_SECONDS) -> int:
        """End the child and what is left of its group; return its exit code.

        The child is reaped last: as long as it is not, its id can't pass to a stranger, so a
        signal never goes astray.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        if not self.has_ended():
            os.kill(self.pid, self._stop_signal)
            deadline = time.monotonic() + patience
            while not self.has_ended() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def _peek_exit_code(self) -> int | None:
        """Exit code without reaping (minus the signal's number, if one ended it); None: runs."""
        if self._process.returncode is not None:
            return self._process.returncode
        seen = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if seen is None:
            return None
        return seen.si_status if seen.si_code == os.CLD_EXITED else -seen.si_status

    def _failure(self, what: str) -> ProcessFailed:
        return ProcessFailed(self.name, what, self.log, self.log_tail())

    def _ending(self) -> str:
        code = self._peek_exit_code() or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"
