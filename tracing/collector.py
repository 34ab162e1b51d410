"""The collector at the other end, whatever it speaks: one export request at a time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

_FIRST_WAIT_S = 0.5

_rng = Random()  # noqa: S311 - spreads retries, no secret


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a request: how many spans were refused, and why, if all were lost."""

    rejected: int = 0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one try came to.

    Attributes:
        posted: What became of the request, should this have been the last try.
        retry_after_s: Seconds that the collector asks for before the next; None: it would not help.

    """

    posted: Posted
    retry_after_s: float | None = None


class Collector(Protocol):
    """Takes export requests; used by one thread."""

    @property
    def url(self) -> str:
        """Where it is, as the log names it."""

    def post(self, body: bytes, stopping: threading.Event) -> Posted:
        """Deliver one request, trying again while the collector is away; never raises.

        Args:
            body: An `ExportTraceServiceRequest`.
            stopping: Ends the waits between tries.

        """

    def close(self) -> None:
        """Close the kept connection."""


def keep_trying(
    attempt: Callable[[float], Answer], timeout_s: float, stopping: threading.Event
) -> Posted:
    """Try until an answer is final, patience ends, or nobody waits any more.

    Args:
        attempt: Tries once, for so many seconds at most.
        timeout_s: Seconds for all tries and the waits between them.
        stopping: Ends a wait.

    """
    deadline = time.monotonic() + timeout_s
    wait = _FIRST_WAIT_S
    while True:
        answer = attempt(max(deadline - time.monotonic(), 0.001))
        if answer.retry_after_s is None:
            return answer.posted
        pause = max(answer.retry_after_s, wait * (0.5 + _rng.random()))
        if time.monotonic() + pause >= deadline or stopping.wait(pause):
            return answer.posted
        wait *= 2


def count_rejected(answer: bytes) -> int:
    """Read OTLP's partial success; an answer that says nothing, or makes no sense, refuses none."""
    if not answer:
        return 0
    # Most answers are empty: the message classes are loaded when one is not.
    from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as said; protobuf ships no types
        DecodeError,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - as said
        ExportTraceServiceResponse,
    )

    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        return 0
    return max(response.partial_success.rejected_spans, 0)
