"""One open span of a message's story, with tags checked against the vocabulary."""

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from outbound_slo.vocabulary.spans import SHARED_TAGS, SpanName, Tag
from tracing import wire
from tracing.hierarchy import IllegalStoryError
from tracing.privacy import scrub_text
from tracing.propagation import NEW_TRACE, REMOTE, TraceContext
from tracing.shelf import DROPPED, Shelf, Stages

Deliver = Callable[[bytes], None]
"""Takes a finished span, an OTLP `Span` as bytes."""

CURRENT: ContextVar[TraceContext] = ContextVar("current_span", default=NEW_TRACE)
"""The span whose `with` block this task or thread is in."""

_LATEST_NS = 2**64 - 1


class Telling:
    """What all spans of one service share: where they go, and what to do about a mistake."""

    __slots__ = ("complain", "deliver", "quiet", "writers")

    def __init__(
        self,
        deliver: Deliver | None,
        complain: Callable[[IllegalStoryError], None],
        writers: Mapping[Tag, wire.AttributeWriter],
        *,
        quiet: bool,
    ) -> None:
        """Share these.

        Args:
            deliver: Takes each span when it ends; None if nobody wants them.
            complain: What to do about an illegal tag.
            writers: What makes the bytes of each tag.
            quiet: Neither keep nor judge tags: nobody will see them.

        """
        self.deliver = deliver
        self.complain = complain
        self.writers = writers
        self.quiet = quiet


class StorySpan(TraceContext):
    """A started span: current inside its `with` block, ended at its end.

    Work that outlives a block (a batch settled by another task) keeps the span, hands `context` to
    its children as `parent=` and calls `end()` itself. Entering it is then not needed.
    """

    __slots__ = (
        "_above",
        "_events",
        "_held",
        "_identity",
        "_links",
        "_start_ns",
        "_status",
        "_telling",
        "_token",
        "_twin",
        "shelf",
        "story",
    )

    def __init__(
        self,
        telling: Telling,
        name: SpanName,
        identity: bytes,
        trace_bytes: bytes,
        span_bytes: bytes,
        above: TraceContext,
        links: Sequence[TraceContext],
        start_ns: int,
        sampled: bool,
        shelf: Shelf | None,
        story: int | None,
    ) -> None:
        """Start a span; made by `Tracing.span`, not by hand.

        Args:
            telling: What it shares with the other spans.
            name: Which span this is.
            identity: Name and kind as OTLP bytes.
            trace_bytes: The trace's 16 bytes.
            span_bytes: The span's 8 bytes.
            above: Where it stands.
            links: Other traces it belongs with.
            start_ns: When it began, nanoseconds since the epoch.
            sampled: What the head decided.
            shelf: Where finished spans of this trace wait; None if they are wanted.
            story: Id of the attempt's first span, from which those of its steps follow.

        """
        self.name = name
        self.trace_bytes = trace_bytes
        self.span_bytes = span_bytes
        self.baggage = above.baggage
        self.sampled = sampled
        self.shelf = shelf
        self.story = story
        self._telling = telling
        self._identity = identity
        self._above = above
        self._links = links
        self._start_ns = start_ns
        # Attributes as bytes, by tag; None when the span has ended, or nobody wants them.
        self._held: dict[Tag, bytes] | None = None if telling.quiet else {}
        self._status: bytes | None = None
        self._events = b""
        self._twin: dict[Tag, bytes] | None = None
        self._token: Token[TraceContext] | None = None

    @property
    def context(self) -> TraceContext:
        """The span as a parent, for `parent=` in another task or thread."""
        return self

    @property
    def span_context(self) -> TraceContext:
        """The span's ids, for `links=`."""
        return self

    def share_tags(self, above: TraceContext) -> None:
        """Take `SHARED_TAGS` over from the span above, and keep them equal on both (D27)."""
        if not isinstance(above, StorySpan) or self._held is None:
            return
        twin = above._held  # noqa: SLF001 - a span of this class
        if twin is not None:
            self._twin = twin
            self._held.update({tag: twin[tag] for tag in SHARED_TAGS if tag in twin})

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
            if not self._telling.quiet:
                self._complain(f"span {self.name} has ended; it takes no tag")
            return
        writers = self._telling.writers
        for tag, value in tags.items():
            if value is not None:
                try:
                    held[tag] = writers[tag](value)
                except IllegalStoryError as mistake:
                    self._telling.complain(mistake)
        if self._twin is not None:
            for tag in SHARED_TAGS:
                if tag in held:
                    self._twin[tag] = held[tag]

    def fail(self, error: str, message: str | None = None) -> None:
        """Mark this step as failed.

        Sets 000's `error` as text, `error.type` beside it, the span status ERROR (D28), and
        `error.message` when there is one.

        Args:
            error: Kind of error in one word, as `session_expired`.
            message: The provider's own text; numbers and tokens in it are replaced.

        """
        self.tags({Tag.ERROR: error, Tag.ERROR_TYPE: error, Tag.ERROR_MESSAGE: message})
        self._status = wire.write_error_status(scrub_text(message or error))

    def note_exception(self, kind: str) -> None:
        """Note what was raised: 000's tag `exception`, and OpenTelemetry's event of that name.

        The class only: the text of an exception may carry addresses, tokens or message content.
        """
        self.tag(Tag.EXCEPTION, kind)
        self._events += wire.write_exception(kind, time.time_ns())

    def tell_stages(self) -> Stages:
        """Tell of an attempt's steps that are over, where it is open whether they will be seen."""
        return {} if self.shelf is None else self.shelf.stages(self._start_ns)

    @property
    def start_ns(self) -> int:
        """When it began, nanoseconds since the epoch."""
        return self._start_ns

    def decide(self, *, keep: bool) -> None:
        """Say whether this attempt's spans are exported; a sampled one's are in any case."""
        if self.shelf is not None:
            self.shelf.decide(keep=keep)

    def end(self, end_ns: int | None = None) -> None:
        """End the span, now or at `end_ns` (nanoseconds since the epoch), if it was not entered.

        A span ends once; later calls change nothing.
        """
        held = self._held
        if held is None:
            return
        self._held = self._twin = None
        deliver = self._telling.deliver
        if deliver is None or self.shelf is DROPPED:
            return
        if end_ns is None:
            end_ns = time.time_ns()
        try:
            written = self._write(held, self._start_ns, end_ns)
        except struct.error:
            # A clock or a caller far off must not cost the attempt whose story this is.
            times = f"{self._start_ns} to {end_ns}"
            self._complain(f"span {self.name} has a time that no clock shows, not {times}")
            written = self._write(held, _representable(self._start_ns), _representable(end_ns))
        if self.shelf is None:
            deliver(written)
        else:
            self.shelf.take(str(self.name), self._start_ns, end_ns, written)

    def __enter__(self) -> Self:
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            # suppress() would cost as much as the rest of this.
            try:  # noqa: SIM105 - as said
                CURRENT.reset(token)
            except ValueError:
                # Left in another task than it was entered in: there it is not current anyway.
                pass
        if kind is not None and self._status is None:
            self.note_exception(kind.__name__)
            self.fail(kind.__name__)
        self.end()

    def _write(self, held: Mapping[Tag, bytes], start_ns: int, end_ns: int) -> bytes:
        above = self._above
        rest = (self._status or wire.UNSET_STATUS) + self._events
        for link in self._links:
            rest += wire.write_link(
                link.trace_bytes, link.span_bytes, remote=link.name is REMOTE, sampled=link.sampled
            )
        return wire.write_span(
            self.trace_bytes,
            self.span_bytes,
            above.span_bytes,
            above.name is REMOTE,
            self.sampled,
            self._identity,
            start_ns,
            end_ns,
            held.values(),
            rest,
        )

    def _complain(self, text: str) -> None:
        self._telling.complain(IllegalStoryError(text))


def _representable(time_ns: int) -> int:
    return min(max(time_ns, 0), _LATEST_NS)
