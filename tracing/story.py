"""One open span of a message's story, with tags checked against the vocabulary."""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from outbound_slo.vocabulary.spans import SHARED_TAGS, SpanName, Tag
from tracing import wire
from tracing.attributes import ATTRIBUTE_WRITERS
from tracing.hierarchy import IllegalStoryError
from tracing.privacy import scrub_text
from tracing.propagation import NEW_TRACE, REMOTE, Link, TraceContext

Complain = Callable[[IllegalStoryError], None]
Deliver = Callable[[bytes], None]

CURRENT: ContextVar[TraceContext] = ContextVar("current_span", default=NEW_TRACE)
"""The span whose `with` block this task or thread is in."""

_LATEST_NS = 2**64 - 1


class StorySpan(TraceContext):
    """A started span: current inside its `with` block, ended at its end.

    Work that outlives a block (a batch settled by another task) keeps the span, hands `context` to
    its children as `parent=` and calls `end()` itself. Entering it is then not needed.
    """

    __slots__ = (
        "_complain",
        "_deliver",
        "_failed",
        "_held",
        "_identity",
        "_links",
        "_parent",
        "_start_ns",
        "_status",
        "_token",
        "_twin",
        "ended",
    )

    def __init__(
        self,
        name: SpanName,
        trace_bytes: bytes,
        span_bytes: bytes,
        parent: TraceContext,
        identity: bytes,
        start_ns: int,
        links: Sequence[Link],
        deliver: Deliver | None,
        complain: Complain,
        *,
        quiet: bool,
    ) -> None:
        """Start a span; made by `Tracing.span`, not by hand.

        Args:
            name: Which span this is.
            trace_bytes: The trace's 16 bytes.
            span_bytes: The span's 8 bytes.
            parent: Where it stands.
            identity: Name and kind as OTLP bytes.
            start_ns: When it began, nanoseconds since the epoch.
            links: Other traces it belongs with.
            deliver: Takes the span's bytes when it ends; None if nobody wants them.
            complain: What to do about an illegal tag.
            quiet: Neither keep nor judge tags: nobody will see them.

        """
        self.name = name
        self.trace_bytes = trace_bytes
        self.span_bytes = span_bytes
        self.baggage = parent.baggage
        self.ended = False
        self._parent = parent
        self._identity = identity
        self._start_ns = start_ns
        self._links = links
        self._deliver = deliver
        self._complain = complain
        self._held: dict[Tag, bytes] | None = None if quiet else {}
        self._twin: StorySpan | None = None
        self._status = wire.UNSET_STATUS
        self._failed = False
        self._token: Token[TraceContext] | None = None

    @property
    def context(self) -> TraceContext:
        """The span as a parent, for `parent=` in another task or thread."""
        return self

    @property
    def span_context(self) -> TraceContext:
        """The span's ids, for a `Link`."""
        return self

    def pair_with(self, twin: "StorySpan") -> None:
        """Take over `SHARED_TAGS` from the span above, and keep them equal on both (D27)."""
        if self._held is None or twin._held is None:  # noqa: SLF001 - a span of the same class
            return
        self._twin = twin
        for tag in SHARED_TAGS & twin._held.keys():  # noqa: SLF001 - as above
            self._held[tag] = twin._held[tag]  # noqa: SLF001 - as above

    def tag(self, tag: Tag, value: object) -> None:
        """Set a tag; None leaves it unset. `SHARED_TAGS` of a provider span go to its parent too.

        Raises:
            IllegalStoryError: In strict mode only, if the value's type is not the vocabulary's, or
                the span has ended.

        """
        self.tags({tag: value})

    def tags(self, tags: Mapping[Tag, object]) -> None:
        """Set several tags, as `tag` does."""
        held = self._held
        if held is None:
            if self.ended:
                self._complain(IllegalStoryError(f"span {self.name} has ended; it takes no tag"))
            return
        twin = self._twin
        for tag, value in tags.items():
            if value is None:
                continue
            try:
                held[tag] = ATTRIBUTE_WRITERS[tag](value)
            except IllegalStoryError as mistake:
                self._complain(mistake)
                continue
            if twin is not None and tag in SHARED_TAGS and twin._held is not None:  # noqa: SLF001 - a span of the same class
                twin._held[tag] = held[tag]  # noqa: SLF001 - as above

    def fail(self, error: str, message: str | None = None) -> None:
        """Mark this step as failed.

        Sets 000's `error` as text, `error.type` beside it, the span status ERROR (D28), and
        `error.message` when there is one.

        Args:
            error: Kind of error in one word, as `session_expired`.
            message: The provider's own text; numbers and tokens in it are replaced.

        """
        self._failed = True
        self.tags({Tag.ERROR: error, Tag.ERROR_TYPE: error, Tag.ERROR_MESSAGE: message})
        if self._held is not None:
            self._status = wire.write_error_status(scrub_text(message or error))

    def end(self, end_ns: int | None = None) -> None:
        """End the span, now or at `end_ns` (nanoseconds since the epoch), if it was not entered.

        A span ends once; later calls change nothing.
        """
        if self.ended:
            return
        self.ended = True
        held, self._held, self._twin = self._held, None, None
        if held is None or self._deliver is None:
            return
        ending = time.time_ns() if end_ns is None else end_ns
        try:
            written = self._write(held, self._start_ns, ending)
        except struct.error:
            # A clock or a caller far off must not cost the attempt whose story this is.
            place = f"span {self.name} has a time that no clock shows"
            self._complain(IllegalStoryError(f"{place}, not {self._start_ns} to {ending}"))
            written = self._write(held, _representable(self._start_ns), _representable(ending))
        self._deliver(written)

    def __enter__(self) -> Self:
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            # Left in another task than it was entered in: there it is not current anyway.
            with suppress(ValueError):
                CURRENT.reset(self._token)
            self._token = None
        if kind is not None and not self._failed:
            # The class only: the text of an exception may carry addresses, tokens or message
            # content.
            self.tag(Tag.EXCEPTION, kind.__name__)
            self.fail(kind.__name__)
        self.end()

    def _write(self, held: Mapping[Tag, bytes], start_ns: int, end_ns: int) -> bytes:
        parent = self._parent
        links = (
            b"".join(
                wire.write_link(
                    link.context.trace_bytes,
                    link.context.span_bytes,
                    remote=link.context.name == REMOTE,
                )
                for link in self._links
            )
            if self._links
            else b""
        )
        return wire.write_span(
            self.trace_bytes,
            self.span_bytes,
            parent.span_bytes,
            self._identity,
            start_ns,
            end_ns,
            held.values(),
            links,
            self._status,
            remote_parent=parent.name == REMOTE,
        )


def _representable(time_ns: int) -> int:
    return min(max(time_ns, 0), _LATEST_NS)
