"""Drawing traces for a terminal: a tree per message, its attempts in order with their webhooks."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text
from rich.tree import Tree

from outbound_slo.vocabulary.spans import SHARED_TAGS, SPANS, SpanName, Tag
from tracing.traces import Span, Trace
from tracing.values import TagValue, show_value

_US_PER_MS = 1_000
_US_PER_S = 1_000_000
_MS_PER_S = 1_000
_S_PER_MINUTE = 60
_MINUTES_PER_HOUR = 60
# A span that starts so much later than its trace tells when: a webhook, or work that had to wait.
_LATE_US = 1 * _US_PER_S

_RED = "bold red"
_GREEN = "green"
_DIM = "dim"
_FINE_STATUSES = frozenset({"SENT", "DELIVERED", "READ"})
_FAILED_STATUS = "FAILED"

# What the heading of a message or an attempt says already, or what says the same thing twice.
_LEFT_OUT = frozenset(
    {
        Tag.MESSAGE_ID,
        Tag.MESSAGE_CHANNEL,
        Tag.MESSAGE_TO,
        Tag.MESSAGE_ATTEMPT,
        Tag.ORG_ID,
        Tag.ERROR_TYPE,
        Tag.WEBHOOK,
        Tag.HTTP_RESPONSE_STATUS_CODE,
        Tag.SERVER_ADDRESS,
    }
)
_PERCENTAGES = frozenset({Tag.CIRCUIT_BREAKER_FAILURE_RATE, Tag.CIRCUIT_BREAKER_SLOW_CALL_RATE})
_ERRORS = frozenset({Tag.ERROR, Tag.ERROR_CODE, Tag.ERROR_MESSAGE, Tag.EXCEPTION})


def draw_message(message_id: int, traces: Sequence[Trace]) -> Tree:
    """Draw all traces of a message, in the order given, under one heading.

    Args:
        message_id: The message.
        traces: Its traces, the earliest first: its request, then its attempts.

    """
    heading = Text(f"message {message_id}", style="bold")
    for tag in (Tag.MESSAGE_CHANNEL, Tag.MESSAGE_TO, Tag.ORG_ID):
        known = (trace.find_tag(tag.value) for trace in traces)
        value = next((value for value in known if value is not None), None)
        if value is not None:
            heading.append(f"  {value}", style="not bold")
    tree = Tree(heading, guide_style=_DIM)
    for trace in traces:
        _add_trace(tree, trace)
    return tree


def draw_trace(trace: Trace) -> Tree:
    """Draw one trace."""
    tree = Tree(_head_of_trace(trace), guide_style=_DIM)
    _add_spans(tree, trace)
    return tree


def show_duration(duration_us: int) -> str:
    """Write microseconds for people: `413 µs`, `285 ms`, `5.20 s`, `3 min 07 s`, `2 h 05 min`."""
    if duration_us < _US_PER_MS:
        return f"{duration_us} µs"
    milliseconds = round(duration_us / _US_PER_MS)
    if milliseconds < _MS_PER_S:
        return f"{milliseconds} ms"
    seconds = duration_us / _US_PER_S
    # 59.996 s would round to 60.00 s: that is a minute already.
    if round(seconds, 2) < _S_PER_MINUTE:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), _S_PER_MINUTE)
    if minutes < _MINUTES_PER_HOUR:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, _MINUTES_PER_HOUR)
    return f"{hours} h {minutes:02d} min"


def show_moment(moment_us: int) -> str:
    """Write microseconds since the epoch as a UTC time, to the second."""
    moment = datetime.fromtimestamp(moment_us // _US_PER_S, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def _add_trace(tree: Tree, trace: Trace) -> None:
    _add_spans(tree.add(_head_of_trace(trace)), trace)


def _head_of_trace(trace: Trace) -> Text:
    root = trace.root
    head = Text(_title_of(root), style="bold")
    status = _shown(root.tags.get(Tag.STATUS.value))
    if status:
        head.append(f"  {status}", style=_style_of_status(status))
    final = _latest_status(trace)
    if final and final != status:
        head.append(f" → {final}", style=_style_of_status(final))
    head.append(f"  {show_moment(trace.start_us)}", style="not bold")
    head.append(f"  trace {trace.trace_id}", style="not bold dim")
    return head


def _title_of(root: Span) -> str:
    if root.parent_id is not None and root.name != SpanName.HTTP_IN:
        return "trace whose root has not arrived"
    if root.name == SpanName.OUTBOUND_MESSAGE_PROCESS:
        return f"attempt {_shown(root.tags.get(Tag.MESSAGE_ATTEMPT.value)) or '?'}"
    if root.name == SpanName.HTTP_IN:
        return "request"
    return "webhook" if root.name == SpanName.WEBHOOK_IN else root.name


def _latest_status(trace: Trace) -> str:
    """Give the status that the last webhook set; receipts that changed nothing do not count."""
    updates = [
        span
        for span in trace.spans
        if span.name == SpanName.STATUS_UPDATE and Tag.NEW_STATUS.value in span.tags
    ]
    if not updates:
        return ""
    return _shown(max(updates, key=lambda span: span.start_us).tags[Tag.NEW_STATUS.value])


def _add_spans(tree: Tree, trace: Trace) -> None:
    known = {span.span_id: span for span in trace.spans}
    children: dict[str, list[Span]] = {}
    tops: list[Span] = []
    for span in trace.spans:
        if span.parent_id is None or span.parent_id not in known:
            tops.append(span)
        else:
            children.setdefault(span.parent_id, []).append(span)
    drawn: set[str] = set()
    pending = [(tree, span) for span in reversed(tops)]
    while pending:
        branch, span = pending.pop()
        drawn.add(span.span_id)
        above = known.get(span.parent_id or "")
        below = branch.add(_describe(span, above, trace))
        pending += [(below, child) for child in reversed(children.get(span.span_id, []))]
    # Spans that are each other's parents hang from nothing; they are shown side by side.
    for span in trace.spans:
        if span.span_id not in drawn:
            tree.add(_describe(span, None, trace))


def _describe(span: Span, above: Span | None, trace: Trace) -> Text:
    line = Text()
    if span.failed:
        line.append("✗ ", style=_RED)
    line.append(span.name, style=_RED if span.failed else "bold")
    line.append(f"  {show_duration(span.duration_us)}")
    after_us = span.start_us - trace.start_us
    if after_us >= _LATE_US:
        line.append(f"  after {show_duration(after_us)}", style="cyan")
    for tag in _tags_to_show(span, above, trace):
        style = _RED if span.failed and tag in _ERRORS else _DIM
        line.append(f"  {tag.value}=", style=_DIM)
        line.append(_show_tag(tag, span.tags[tag.value]), style=style)
    return line


def _tags_to_show(span: Span, above: Span | None, trace: Trace) -> list[Tag]:
    """Choose a span's tags: what went wrong first, then the vocabulary's order for this span.

    What its parent says with the same value is not said again, except for errors.
    """
    carried = SPANS[SpanName(span.name)].carries if span.name in set(SpanName) else ()
    ordered = dict.fromkeys((*carried, *Tag))
    told = [tag for tag in ordered if tag.value in span.tags and tag not in _LEFT_OUT]
    if above is not None:
        # What the root shares with a span below is told there.
        kept = _ERRORS | (SHARED_TAGS if above is trace.root else frozenset())
        told = [
            tag for tag in told if tag in kept or above.tags.get(tag.value) != span.tags[tag.value]
        ]
    if span is trace.root:
        told = [tag for tag in told if not _told_below(tag, trace)]
    return sorted(told, key=lambda tag: tag not in _ERRORS)


def _told_below(tag: Tag, trace: Trace) -> bool:
    """Tell whether another span shows this shared tag of the root with the same value (D27)."""
    value = trace.root.tags[tag.value]
    return tag in SHARED_TAGS and any(span.tags.get(tag.value) == value for span in trace.spans[1:])


def _show_tag(tag: Tag, value: TagValue) -> str:
    text = _shown(value)
    return f"{text}%" if tag in _PERCENTAGES else text


def _shown(value: TagValue | None) -> str:
    return "" if value is None else show_value(value)


def _style_of_status(status: str) -> str:
    if status == _FAILED_STATUS:
        return _RED
    return _GREEN if status in _FINE_STATUSES else "yellow"
