"""Starting tracing for one process, and opening spans in their legal places.

No global provider is set: tests and the demo run several services in one process, each with its
own.
"""

import logging
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry import baggage as otel_baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, get_current_span
from opentelemetry.trace import SpanKind as OtelKind

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import (
    BAGGAGE_TAGS,
    PROVIDER_SPANS,
    SHARED_TAGS,
    SPANS,
    SpanName,
    Tag,
)
from tracing.export import EXPORT_TIMEOUT_S, QUEUE_CAPACITY, BoundedSpanProcessor, SpanCounts
from tracing.hierarchy import IllegalStoryError, check_parent
from tracing.story import StorySpan, copy_shared_tags, settle_tags
from tracing.values import TagValue

_log = logging.getLogger(__name__)

DEFAULT_SERVICE = "backend"
"""The service name of runbook 000, which all its queries ask for."""
_TRACES_PATH = "/v1/traces"
_LONGEST_TAG = 2048
_KINDS = {name: OtelKind[row.kind.name] for name, row in SPANS.items()}


class Tracing:
    """Opens the spans of one service. Made by `start_tracing`; ended by `shutdown`."""

    def __init__(
        self,
        provider: TracerProvider,
        processor: BoundedSpanProcessor | None,
        *,
        strict: bool,
    ) -> None:
        self._provider = provider
        self._processor = processor
        self._strict = strict
        self._tracer = provider.get_tracer("outbound-slo")
        self._known_mistakes: set[str] = set()

    def span(
        self,
        name: SpanName,
        tags: Mapping[Tag, object] | None = None,
        *,
        parent: Context | None = None,
        links: Sequence[Link] = (),
        start_ns: int | None = None,
    ) -> StorySpan:
        """Start a span; use it in a `with` statement, or call `end()` on it.

        Args:
            name: Which span.
            tags: Its first tags; None values are left out.
            parent: Context to open it in; None takes the current one. `propagation.NEW_TRACE`
                starts a trace, `context_from(…)` continues a stored one. Baggage in a context given
                here becomes tags.
            links: Other traces this one belongs with: the request's, the previous attempt's.
            start_ns: When it began, nanoseconds since the epoch; now by default.

        Raises:
            IllegalStoryError: In strict mode, if the vocabulary does not have this span in this
                place or a tag with such a value. Otherwise the fault is logged once and the span is
                made as asked.

        """
        context = get_current() if parent is None else parent
        above = get_current_span(context)
        self._check_place(name, above)
        twin = above if name in PROVIDER_SPANS and above.is_recording() else None
        attributes = _shared_tags(twin) if twin is not None else {}
        if parent is not None:
            attributes.update(_correlation(context))
        if tags:
            attributes.update(settle_tags(tags, self._complain))
        span = self._tracer.start_span(
            name.value, context, _KINDS[name], attributes, links, start_time=start_ns
        )
        if twin is not None:
            copy_shared_tags(attributes, twin)
        return StorySpan(name, span, context, twin, self._complain)

    def record(
        self,
        name: SpanName,
        tags: Mapping[Tag, object] | None = None,
        *,
        parent: Context | None = None,
        start_ns: int,
        end_ns: int,
    ) -> StorySpan:
        """Make a span of something already over: one statement that settled many messages, say.

        Args:
            name: Which span.
            tags: Its tags.
            parent: As for `span`.
            start_ns: When it began, nanoseconds since the epoch.
            end_ns: When it ended.

        """
        story = self.span(name, tags, parent=parent, start_ns=start_ns)
        story.end(end_ns)
        return story

    def counts(self) -> SpanCounts:
        """Tell how many spans were exported, dropped, or wait; zeros when nothing is exported."""
        return SpanCounts(0, 0, 0) if self._processor is None else self._processor.ledger.counts()

    def dropped(self) -> int:
        """Tell how many finished spans were lost: refused by a full queue, or by the collector."""
        return self.counts().dropped

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Export what waits for at most `timeout_s` seconds; what is left counts as dropped."""
        if self._processor is not None:
            self._processor.close(timeout_s)

    def _check_place(self, name: SpanName, above: Span) -> None:
        span_context = above.get_span_context()
        try:
            if not span_context.is_valid:
                check_parent(name, None, remote=False)
            elif span_context.is_remote:
                check_parent(name, None, remote=True)
            else:
                parent = (
                    above.name if isinstance(above, ReadableSpan) else "a span of another library"
                )
                check_parent(name, parent, remote=False)
        except IllegalStoryError as mistake:
            self._complain(mistake)

    def _complain(self, mistake: IllegalStoryError) -> None:
        if self._strict:
            raise mistake
        # One line per place in the program: the text holds names and types, and a shortened value
        # at most.
        text = str(mistake)
        kind = text.split(", not ", 1)[0]
        if kind not in self._known_mistakes:
            self._known_mistakes.add(kind)
            _log.error("%s (logged once)", text)


def start_tracing(
    service_name: str = DEFAULT_SERVICE,
    endpoint: str | None = None,
    *,
    resource: Mapping[str, str] | None = None,
    strict: bool = False,
    processors: Sequence[SpanProcessor] = (),
    queue_capacity: int = QUEUE_CAPACITY,
    export_timeout_s: float = EXPORT_TIMEOUT_S,
) -> Tracing:
    """Start tracing for one service of this process; every trace is sampled.

    Args:
        service_name: `service.name`, what Jaeger lists as the service.
        endpoint: Collector's address, as `http://127.0.0.1:4318`; `/v1/traces` is added where no
            path is given. None or empty exports nothing; spans and their ids work all the same.
        resource: Further resource attributes, as `service.instance.id`.
        strict: Raise on a span or tag that the vocabulary forbids, as tests want; else log it once.
        processors: Further SDK span processors (a test's in-memory exporter).
        queue_capacity: Spans that may wait for export; beyond it they are dropped and counted.
        export_timeout_s: Seconds after which a batch is given up.

    Raises:
        UserMistake: The endpoint is not an http or https address.

    """
    attributes = {**(resource or {}), SERVICE_NAME: service_name}
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.create(attributes),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_attribute_length=_LONGEST_TAG),
    )
    processor = None
    if endpoint:
        processor = BoundedSpanProcessor(
            _collector_url(endpoint), capacity=queue_capacity, timeout_s=export_timeout_s
        )
        provider.add_span_processor(processor)
    for extra in processors:
        provider.add_span_processor(extra)
    return Tracing(provider, processor, strict=strict)


def _collector_url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserMistake(
            f"trace collector address {endpoint!r} is not an http(s) URL",
            "Give one like http://127.0.0.1:4318, or none to export nothing",
        )
    return endpoint if parts.path.strip("/") else endpoint.rstrip("/") + _TRACES_PATH


def _shared_tags(above: Span) -> dict[str, TagValue]:
    held = (above.attributes if isinstance(above, ReadableSpan) else None) or {}
    return {
        tag.value: value
        for tag in SHARED_TAGS
        if isinstance(value := held.get(tag.value), str | bool | int | float)
    }


def _correlation(context: Context) -> dict[str, TagValue]:
    return {
        tag.value: str(value)
        for key, tag in BAGGAGE_TAGS.items()
        if (value := otel_baggage.get_baggage(key, context)) is not None
    }
