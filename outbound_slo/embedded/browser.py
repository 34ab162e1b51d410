"""A headless Chromium that draws one page and gives its picture, over DevTools' own protocol.

It is spoken through a pair of pipes, so no port is opened and nobody else can listen.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.mistakes import UserMistake

_PATIENCE_S = 60.0
_STOP_S = 5.0
_POLL_S = 0.05
_TALLEST = 16_000
"""Pixels: higher pictures are cut, since Chromium draws none."""

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    # What a page asks for goes nowhere, whatever the machine's proxy.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
# Descriptors that Chromium reads commands from and writes answers to.
_READS, _WRITES = 3, 4
_FREE_FROM = 10


class Browser:
    """A headless browser; started on entry, gone on exit.

    Args:
        tools: Its program.
        patience_s: Seconds that one answer may take.

    Raises:
        UserMistake: (on entry and later) it can't be started, ends by itself or does not answer.

    """

    def __init__(self, tools: Tools, patience_s: float = _PATIENCE_S) -> None:
        self._tools = tools
        self._patience_s = patience_s
        self._number = 0
        self._buffer = b""

    def __enter__(self) -> Self:
        self._profile = Path(tempfile.mkdtemp(prefix="outbound-slo-browser-"))
        try:
            self._start()
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def photograph(self, address: str, width: int, theme: str, ready: str) -> bytes:
        """Take a picture of a whole page as PNG.

        Args:
            address: Of the page.
            width: Of the window in pixels.
            theme: `light` or `dark`, as the system of a reader prefers.
            ready: A JavaScript expression that is true once everything is drawn.

        """
        preferred = [{"name": "prefers-color-scheme", "value": theme}]
        self._ask("Emulation.setEmulatedMedia", features=preferred)
        self._resize(width, width)
        self._ask("Page.navigate", url=address)
        self._wait(ready)
        height = self._evaluate("document.documentElement.scrollHeight")
        self._resize(width, min(int(height), _TALLEST))
        # The panels follow the window's size in the next frames.
        self._evaluate("new Promise(done => setTimeout(done, 150))")
        picture = self._ask("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])

    def _resize(self, width: int, height: int) -> None:
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def _wait(self, expression: str) -> None:
        deadline = time.monotonic() + self._patience_s
        while not self._evaluate(expression):
            if time.monotonic() > deadline:
                raise UserMistake("The browser did not finish drawing the page", "Try again")
            time.sleep(_POLL_S)

    def _evaluate(self, expression: str) -> Any:  # noqa: ANN401 - JavaScript's values are anything
        told = self._ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return told["result"].get("value")

    def _ask(self, method: str, **parameters: object) -> Mapping[str, Any]:
        return self._call(method, self._session, **parameters)

    def _call(self, method: str, session: str = "", **parameters: object) -> Mapping[str, Any]:
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        try:
            os.write(self._to, json.dumps(command).encode() + b"\0")
        except OSError:
            raise self._failure("ended by itself") from None
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                break
        if "error" in answer:
            raise self._failure(f"refused {method}: {answer['error'].get('message')}")
        result: Mapping[str, Any] = answer["result"]
        return result

    def _read(self) -> Mapping[str, Any]:
        deadline = time.monotonic() + self._patience_s
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._from], [], [], left)[0]:
                raise self._failure(f"gave no answer within {self._patience_s:g} s")
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise self._failure("ended by itself")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def _failure(self, what: str) -> UserMistake:
        log = self._profile / "log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        telling = next((line for line in lines if "ERROR" in line or "FATAL" in line), "")
        reason = telling or (lines[-1] if lines else "")
        program = self._tools["chromium"]
        return UserMistake(
            f"{program} {what}" + (f": {reason.strip()}" if reason else ""),
            "Check that it starts: it needs its libraries, and its sandbox must be allowed",
        )

    def _start(self) -> None:
        reads, self._to = os.pipe()
        self._from, writes = os.pipe()
        # Neither may be one of the two numbers that they become in the child.
        child_reads = fcntl.fcntl(reads, fcntl.F_DUPFD, _FREE_FROM)
        child_writes = fcntl.fcntl(writes, fcntl.F_DUPFD, _FREE_FROM)
        log = os.open(self._profile / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        program = self._tools["chromium"]
        try:
            self._pid = os.posix_spawn(
                program,
                [program, *_FLAGS, *_sandbox_flags(), f"--user-data-dir={self._profile}"],
                self._tools.environment() | {"HOME": str(self._profile)},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                    (os.POSIX_SPAWN_DUP2, child_reads, _READS),
                    (os.POSIX_SPAWN_DUP2, child_writes, _WRITES),
                ],
                setpgroup=0,
            )
        except OSError as failure:
            os.close(self._to)
            os.close(self._from)
            raise UserMistake(f"{program} can't be started: {failure.strerror}", "") from None
        finally:
            for each in (reads, writes, child_reads, child_writes, log):
                os.close(each)

    def _stop(self) -> None:
        if hasattr(self, "_pid"):
            # Chromium goes when nobody is left at the other end of its pipe.
            os.close(self._to)
            _await(self._has_ended, _STOP_S)
            # It is not reaped yet, so the group's number can't be a stranger's.
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _has_ended(self) -> bool:
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._pid, flags) is not None


def _await(condition: Callable[[], bool], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _sandbox_flags() -> list[str]:
    """Chromium refuses to be run by root with its sandbox; the page is our own and asks nothing."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
