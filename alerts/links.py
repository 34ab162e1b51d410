"""Where an alert's links lead: its page, its dashboard at the right time, and matching traces.

A link is a template of Prometheus's: times and label values are filled in when the alert is
evaluated, and escaped there (`urlquery`), since an organisation's id may hold any character.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from alerts.addresses import check_address
from alerts.timing import HOUR, MINUTE, Timing
from outbound_slo.vocabulary.alerts import ALL_CHANNELS
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel

RUNBOOK_BASE_URL: Final = "https://runbooks.example.com/outbound-slo"
"""Where docs/runbooks is published; every deployment has its own."""

DASHBOARD_BASE_URL: Final = "http://localhost:3000"
"""Where Grafana is; the compose file's by default."""

TRACE_BASE_URL: Final = "http://localhost:16686"
"""Where Jaeger's pages are; the compose file's by default."""

TRACED_SERVICE: Final = "backend"
"""Service name of the sender's spans where OTEL_SERVICE_NAME gives no other."""

BEFORE_S: Final = HOUR
"""Seconds before the evaluation that a link shows at least: how it was before."""

AFTER_S: Final = 10 * MINUTE
"""Seconds after it: the link is followed a while after the page was sent."""

SENDS: Final[Mapping[Channel, SpanName]] = {
    Channel.WHATSAPP: SpanName.WHATSAPP_SEND,
    Channel.SMS: SpanName.TWILIO_SEND,
    Channel.EMAIL: SpanName.SENDGRID_SEND,
}
"""The span of a provider's call by channel."""

_LIMIT: Final = 20
_MS: Final = 1000
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """A search for the traces of an alert's messages.

    Jaeger wants all tags on one span, so they must be tags that the operation carries.

    Attributes:
        operation: The span's name; None: the call of the provider of the alert's channel, or any
            span where it looks at all channels together.
        tags: Tags and their values.
        labels: Tags whose value is a label of the alert; a channel is written as tags have it.

    """

    operation: SpanName | None = None
    tags: Mapping[Tag, str] = field(default_factory=dict)
    labels: Mapping[Tag, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkBases:
    """What the links begin with.

    Attributes:
        runbooks: Comes before `/<AlertName>.md`.
        dashboards: Comes before `/d/<uid>`.
        traces: Comes before `/search`.
        service: Service name of the sender's spans.

    """

    runbooks: str = RUNBOOK_BASE_URL
    dashboards: str = DASHBOARD_BASE_URL
    traces: str = TRACE_BASE_URL
    service: str = TRACED_SERVICE

    @classmethod
    def given(
        cls, runbooks: str, dashboards: str, traces: str, service: str = TRACED_SERVICE
    ) -> "LinkBases":
        """Take what a command was given.

        Raises:
            UserMistake: One is no address of a web service: nobody could follow its links.

        """
        return cls(
            check_address(runbooks, "--runbooks"),
            check_address(dashboards, "--dashboards"),
            check_address(traces, "--traces"),
            service,
        )


def write_dashboard_url(
    bases: LinkBases,
    panel: Panel,
    channel: str | None,
    looks_back_s: float,
    timing: Timing,
) -> str:
    """Write the link to a panel on its dashboard, with time range, channel and organisation.

    Grafana shows the panel alone; what it calls "back to dashboard" shows the others around it.

    Args:
        bases: Where Grafana is.
        panel: Which one.
        channel: The alert's channel; None where it is a label of the series.
        looks_back_s: Production seconds over which the alert judges; the range holds them.
        timing: The clock.

    """
    start, end = _write_range(looks_back_s, timing, _MS)
    # A panel shows one channel: where an alert is about their sum, the dashboard opens on its own.
    chosen = "" if channel == ALL_CHANNELS else f"&var-channel={_write_channel(channel)}"
    organisation = "{{ with $labels.org_id }}&var-org_id={{ . | urlquery }}{{ end }}"
    page = f"{bases.dashboards.rstrip('/')}/d/{panel.dashboard}"
    shown = f"viewPanel=panel-{panel.id}"
    return f"{page}?from={start}&to={end}&{shown}{chosen}{organisation}"


def write_trace_url(
    bases: LinkBases,
    search: TraceSearch,
    channel: str | None,
    looks_back_s: float,
    timing: Timing,
) -> str:
    """Write the link to Jaeger's search page; arguments as for a dashboard's link."""
    start, end = _write_range(looks_back_s, timing, _US)
    operation = _write_operation(search.operation, channel)
    given = (
        f"service={quote(bases.service, safe='')}",
        *([f"operation={operation}"] if operation else ()),
        f"tags={_write_tags(search, channel)}",
        "lookback=custom",
        f"start={start}",
        f"end={end}",
        f"limit={_LIMIT}",
    )
    return f"{bases.traces.rstrip('/')}/search?{'&'.join(given)}"


def _write_range(looks_back_s: float, timing: Timing, per_second: int) -> tuple[str, str]:
    before = timing.seconds(max(BEFORE_S, 2 * looks_back_s))
    after = timing.seconds(AFTER_S)
    return (
        _write_time(f"time() - {before:g}", per_second),
        _write_time(f"time() + {after:g}", per_second),
    )


def _write_time(moment: str, per_second: int) -> str:
    # Templates can't calculate, queries can. Exact: microseconds of today have 51 bits.
    query = f"{per_second} * ({moment})"
    return f'{{{{ query "{query}" | first | value | printf "%.0f" }}}}'


def _write_channel(channel: str | None) -> str:
    return channel if channel is not None else "{{ $labels.channel | urlquery }}"


def _write_operation(operation: SpanName | None, channel: str | None) -> str:
    if operation is not None:
        return quote(operation.value)
    if channel == ALL_CHANNELS:
        return ""
    if channel is not None:
        return quote(next(span for each, span in SENDS.items() if each.label == channel).value)
    return "".join(_choose_operations()) + "{{ end }}"


def _choose_operations() -> Iterator[str]:
    for number, (channel, span) in enumerate(SENDS.items()):
        test = "if" if number == 0 else "else if"
        yield f'{{{{ {test} eq $labels.channel "{channel.label}" }}}}{quote(span.value)}'


def _write_tags(search: TraceSearch, channel: str | None) -> str:
    """Write the tags as JSON in a URL; every value is text, as Jaeger compares."""
    members = [quote(f"{json.dumps(tag)}:{json.dumps(text)}") for tag, text in search.tags.items()]
    for tag, label in search.labels.items():
        members.append(quote(f"{json.dumps(tag)}:") + _write_label(label, channel))
    return quote("{") + quote(",").join(members) + quote("}")


def _write_label(label: str, channel: str | None) -> str:
    if label != "channel":
        return f'{{{{ $labels.{label} | printf "%q" | urlquery }}}}'
    if channel is not None:
        return quote(json.dumps(channel.upper()))
    return '{{ $labels.channel | toUpper | printf "%q" | urlquery }}'
