"""One open span of a message's story, with tags checked against the vocabulary."""

from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanContext, Status, StatusCode, set_span_in_context

from outbound_slo.vocabulary.spans import SHARED_TAGS, SpanName, Tag
from tracing.hierarchy import IllegalStoryError, settle_value
from tracing.privacy import SCRUBBED_TAGS, scrub_text
from tracing.propagation import format_traceparent
from tracing.values import TagValue

Complain = Callable[[IllegalStoryError], None]
_SHARED_KEYS = frozenset(tag.value for tag in SHARED_TAGS)


def settle_tags(tags: Mapping[Tag, object], complain: Complain) -> dict[str, TagValue]:
    """Give tags as attributes, typed and scrubbed; None and refused values are left out."""
    attributes: dict[str, TagValue] = {}
    for tag, value in tags.items():
        if value is None:
            continue
        try:
            settled = settle_value(tag, value)
        except IllegalStoryError as mistake:
            complain(mistake)
            continue
        scrub = SCRUBBED_TAGS.get(tag)
        attributes[tag.value] = settled if scrub is None else scrub(str(settled))
    return attributes


def copy_shared_tags(attributes: Mapping[str, TagValue], twin: Span) -> None:
    """Set on `twin` those attributes that process span and provider span share (D27)."""
    for key in _SHARED_KEYS & attributes.keys():
        twin.set_attribute(key, attributes[key])


class StorySpan:
    """A started span: current inside its `with` block, ended at its end.

    Work that outlives a block (a batch settled by another task) keeps the span, hands `context` to
    its children as `parent=` and calls `end()` itself. Entering it is then not needed.
    """

    __slots__ = (
        "_complain",
        "_context",
        "_failed",
        "_inherited",
        "_span",
        "_token",
        "_twin",
        "name",
    )

    def __init__(
        self,
        name: SpanName,
        span: Span,
        inherited: Context,
        twin: Span | None,
        complain: Complain,
    ) -> None:
        """Wrap a started SDK span; made by `Tracing.span`, not by hand.

        Args:
            name: Which span this is.
            span: The SDK's span.
            inherited: Context it was opened in, whose baggage its children inherit.
            twin: Span that `SHARED_TAGS` are copied to: a provider span's parent.
            complain: What to do about an illegal tag.

        """
        self.name = name
        self._span = span
        self._inherited = inherited
        self._twin = twin
        self._complain = complain
        self._context: Context | None = None
        self._token: Token[Context] | None = None
        self._failed = False

    @property
    def context(self) -> Context:
        """Context with this span as the parent, for `parent=` in another task or thread."""
        if self._context is None:
            self._context = set_span_in_context(self._span, self._inherited)
        return self._context

    @property
    def span_context(self) -> SpanContext:
        """OpenTelemetry's ids of this span, for a `Link`."""
        return self._span.get_span_context()

    @property
    def traceparent(self) -> str:
        """W3C `traceparent`, to be stored with the attempt or sent in a header."""
        return format_traceparent(self._span.get_span_context())

    @property
    def trace_id(self) -> str:
        """Trace id, 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def span_id(self) -> str:
        """Span id, 16 hexadecimal digits."""
        return f"{self._span.get_span_context().span_id:016x}"

    def tag(self, tag: Tag, value: object) -> None:
        """Set a tag; None leaves it unset. `SHARED_TAGS` of a provider span go to its parent too.

        Raises:
            IllegalStoryError: In strict mode only, if the value's type is not the vocabulary's.

        """
        self.tags({tag: value})

    def tags(self, tags: Mapping[Tag, object]) -> None:
        """Set several tags, as `tag` does."""
        attributes = settle_tags(tags, self._complain)
        self._span.set_attributes(attributes)
        if self._twin is not None:
            copy_shared_tags(attributes, self._twin)

    def fail(self, error: str, message: str | None = None) -> None:
        """Mark this step as failed.

        Sets 000's `error` as text, `error.type` beside it, the span status ERROR (D28), and
        `error.message` when there is one.

        Args:
            error: Kind of error in one word, as `session_expired`.
            message: The provider's own text; numbers and tokens in it are replaced.

        """
        self._failed = True
        self.tag(Tag.ERROR, error)
        self.tag(Tag.ERROR_TYPE, error)
        self.tag(Tag.ERROR_MESSAGE, message)
        self._span.set_status(Status(StatusCode.ERROR, scrub_text(message or error)))

    def end(self, end_ns: int | None = None) -> None:
        """End the span, now or at `end_ns` (nanoseconds since the epoch), if it was not entered."""
        self._span.end(end_ns)

    def __enter__(self) -> Self:
        self._token = attach(self.context)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            detach(self._token)
            self._token = None
        if kind is not None and not self._failed:
            # The class only: the text of an exception may carry addresses, tokens or message
            # content.
            self.tag(Tag.EXCEPTION, kind.__name__)
            self.fail(kind.__name__)
        self._span.end()
