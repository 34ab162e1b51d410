"""Starting tracing for one process, and opening spans in their legal places.

Nothing is global but the current span: tests and the demo run several services in one process,
each with its own tracing.
"""

import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.spans import (
    BAGGAGE_TAGS,
    PROVIDER_SPANS,
    SPANS,
    SpanKind,
    SpanName,
    Tag,
)
from tracing import wire
from tracing.attributes import writers_for
from tracing.export import QUEUE_CAPACITY, SpanCounts
from tracing.hierarchy import IllegalStoryError, check_parent
from tracing.identity import derive_id, find_step
from tracing.options import CollectorOptions, read_options
from tracing.pipeline import Pipeline, open_pipeline
from tracing.privacy import PLAIN, RecipientForm, Recipients
from tracing.propagation import REMOTE, TraceContext
from tracing.resource import describe_service
from tracing.sampling import ALWAYS, Sampler, read_sampler
from tracing.shelf import DROPPED, Shelf
from tracing.story import CURRENT, Deliver, StorySpan, Telling

_log = logging.getLogger(__name__)

DEFAULT_SERVICE = "backend"
"""The service name of runbook 000, which all its queries ask for."""
SCOPE = "outbound-slo"
"""Name of the instrumentation scope of all spans."""

_OTLP_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.CONSUMER: 5,
}
_TRACE_BITS, _SPAN_BITS = 128, 64

# Not the module's own generator, which a caller may have seeded: equal ids would merge two stories.
_ids = random.Random()  # noqa: S311 - ids are no secrets
os.register_at_fork(after_in_child=_ids.seed)


@dataclass(frozen=True, slots=True)
class _Place:
    """What opening a span needs to know of its kind, worked out beforehand."""

    parents: frozenset[str | None]
    identity: bytes
    shares_tags: bool
    step: int | None
    of_callers: bool


_PLACES: Mapping[SpanName, _Place] = {
    name: _Place(
        row.parents | ({REMOTE} if row.remote_parents else frozenset()),
        wire.write_identity(name.value, _OTLP_KINDS[row.kind])
        + wire.write_constants(row.constants),
        name in PROVIDER_SPANS,
        find_step(name),
        name in row.remote_parents,
    )
    for name, row in SPANS.items()
}


class Tracing:
    """Opens the spans of one service. Made by `start_tracing`; ended by `shutdown`.

    Attributes:
        sampler: The head decision.
        recipients: How `message.to` names them.
        is_exporting: Whether finished spans go anywhere.

    """

    def __init__(
        self,
        export: Pipeline | None,
        sinks: Sequence[Deliver],
        *,
        strict: bool,
        sampler: Sampler = ALWAYS,
        recipients: Recipients = PLAIN,
    ) -> None:
        self._export = export
        self._strict = strict
        self.sampler = sampler
        self.recipients = recipients
        self.is_exporting = bool(sinks)
        self._telling = Telling(
            _deliver_to(sinks),
            self._complain,
            writers_for(recipients),
            quiet=not sinks and not strict,
        )
        self._known_mistakes: set[str] = set()

    def span(
        self,
        name: SpanName,
        tags: Mapping[Tag, object] | None = None,
        *,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
        start_ns: int | None = None,
        own: TraceContext | None = None,
    ) -> StorySpan:
        """Start a span; use it in a `with` statement, or call `end()` on it.

        Args:
            name: Which span.
            tags: Its first tags; None values are left out.
            parent: Where to open it; None takes the current span. `propagation.NEW_TRACE` starts a
                trace, `context_from(…)` continues a stored one. Baggage of a context given here
                becomes tags.
            links: Other traces this one belongs with: the request's, the previous attempt's.
            start_ns: When it began, nanoseconds since the epoch; now by default.
            own: Its ids and the head decision, where an attempt's row has them already. Whether
                such a trace is exported is open until `decide` if the head left it out.

        Raises:
            IllegalStoryError: In strict mode, if the vocabulary does not have this span in this
                place or a tag with such a value. Otherwise the fault is logged once and the span is
                made as asked.

        """
        above = CURRENT.get() if parent is None else parent
        place = _PLACES[name]
        if above.name not in place.parents:
            self._refuse_place(name, above.name)
        telling = self._telling
        trace_bytes, span_bytes, sampled, shelf, story = self._place_span(place, above, own)
        span = StorySpan(
            telling,
            name,
            place.identity,
            trace_bytes,
            span_bytes,
            above,
            links,
            time.time_ns() if start_ns is None else start_ns,
            sampled,
            shelf,
            story,
        )
        if telling.quiet:
            return span
        if place.shares_tags:
            span.share_tags(above)
        if parent is not None and parent.baggage:
            span.tags({BAGGAGE_TAGS[key]: value for key, value in parent.baggage.items()})
        if tags:
            span.tags(tags)
        return span

    def record(
        self,
        name: SpanName,
        tags: Mapping[Tag, object] | None = None,
        *,
        parent: TraceContext | None = None,
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
        return SpanCounts(0, 0, 0) if self._export is None else self._export.counts()

    def dropped(self) -> int:
        """Tell how many finished spans were lost: refused by a full queue, or by the collector."""
        return self.counts().dropped

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Export what waits for at most `timeout_s` seconds; what is left counts as dropped."""
        if self._export is not None:
            self._export.close(timeout_s)

    def _place_span(
        self, place: _Place, above: TraceContext, own: TraceContext | None
    ) -> tuple[bytes, bytes, bool, Shelf | None, int | None]:
        """Give a span its ids, the head decision, its shelf, and the attempt it is a step of."""
        if isinstance(above, StorySpan):
            story = above.story
            if story is None or place.step is None:
                span_bytes = _draw(_SPAN_BITS)
            else:
                span_bytes = derive_id(story, place.step)
            return above.trace_bytes, span_bytes, above.sampled, above.shelf, story
        if own is not None:
            shelf = None if own.sampled else Shelf(self._telling.deliver)
            story = int.from_bytes(own.span_bytes)
            return own.trace_bytes, own.span_bytes, own.sampled, shelf, story
        trace_bytes = above.trace_bytes
        if not trace_bytes:
            trace_bytes = _draw(_TRACE_BITS)
            sampled = self.sampler.decide(trace_bytes)
        elif place.of_callers:
            sampled = self.sampler.decide(trace_bytes, above.sampled)
        else:
            sampled = above.sampled
        return trace_bytes, _draw(_SPAN_BITS), sampled, None if sampled else DROPPED, None

    def _refuse_place(self, name: SpanName, above: str | None) -> None:
        try:
            check_parent(name, None if above == REMOTE else above, remote=above == REMOTE)
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


def _draw(bits: int) -> bytes:
    return (_ids.getrandbits(bits) or 1).to_bytes(bits // 8, "big")


def start_tracing(
    service_name: str = DEFAULT_SERVICE,
    endpoint: str | None = None,
    *,
    resource: Mapping[str, str] | None = None,
    strict: bool = False,
    sinks: Sequence[Deliver] = (),
    options: CollectorOptions | None = None,
    queue_capacity: int = QUEUE_CAPACITY,
    sampler: Sampler = ALWAYS,
    recipients: Recipients = PLAIN,
) -> Tracing:
    """Start tracing for one service of this process.

    Args:
        service_name: `service.name`, what Jaeger lists as the service.
        endpoint: Collector's address, as `http://127.0.0.1:4318`; for HTTP `/v1/traces` is added
            unless `options.exact`. None or empty exports nothing; spans have their ids all the
            same.
        resource: Further resource attributes, as `service.instance.id`.
        strict: Raise on a span or tag that the vocabulary forbids, as tests want; else log it once.
        sinks: Further takers of finished spans, each an OTLP `Span` as bytes; called by whoever
            ends a span, so they must be quick.
        options: How to talk to the collector.
        queue_capacity: Spans that may wait for export; beyond it they are dropped and counted.
        sampler: Which traces are exported from their start.
        recipients: How `message.to` names them.

    Raises:
        UserMistake: The endpoint is no address of the protocol, or what the options ask for is not
            installed.

    """
    if not endpoint:
        return Tracing(None, sinks, strict=strict, sampler=sampler, recipients=recipients)
    options = options or CollectorOptions()
    attributes = describe_service(service_name, resource or {}, options.resource_attributes)
    export = open_pipeline(endpoint, options, attributes, SCOPE, capacity=queue_capacity)
    return Tracing(
        export, (export.take, *sinks), strict=strict, sampler=sampler, recipients=recipients
    )


def trace_service(settings: TracingSettings, resource: Mapping[str, str]) -> Tracing:
    """Start tracing as OpenTelemetry's variables say.

    Args:
        settings: From the environment.
        resource: Further resource attributes, as `service.instance.id`.

    Raises:
        UserMistake: A variable has a value that nothing can work with.

    """
    return start_tracing(
        settings.service_name,
        None if settings.disabled else settings.traces_endpoint or settings.endpoint,
        resource=resource,
        options=read_options(settings),
        sampler=read_sampler(settings.sampler, settings.sampler_arg),
        recipients=read_recipients(settings),
    )


def read_recipients(settings: TracingSettings) -> Recipients:
    """Understand how spans name recipients, for those who make spans and those who search them.

    Raises:
        UserMistake: They are to be hashed, and there is no key.

    """
    key = settings.recipient_key.get_secret_value()
    return Recipients(RecipientForm(settings.recipients), key)


def _deliver_to(sinks: Sequence[Deliver]) -> Deliver | None:
    if len(sinks) <= 1:
        return sinks[0] if sinks else None

    def deliver(span: bytes) -> None:
        for sink in sinks:
            sink(span)

    return deliver
