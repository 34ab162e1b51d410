"""What to look for: the search parameters of Jaeger's two query APIs, read into one form."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

DEFAULT_LIMIT = 100
"""Traces in an answer unless asked otherwise, as in Jaeger."""
LARGEST_LIMIT = 10_000
DEFAULT_LOOKBACK_NS = 2 * 24 * 3600 * 1_000_000_000
"""The last two days, as in Jaeger's first API."""

_FOREVER = 2**63 - 1
_NS_PER_US = 1000
_GO_DURATION = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>ns|us|µs|μs|ms|s|m|h)")
_UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_RFC3339 = re.compile(
    r"(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)"
)


class MalformedSearchError(Exception):
    """A search parameter is missing or cannot be read; the text names it."""


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """A search: a trace is found when one of its spans meets every condition.

    Times and durations are nanoseconds, bounds included; tags are compared as text.
    """

    service: str | None = None
    operation: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    start_min_ns: int = 0
    start_max_ns: int = _FOREVER
    duration_min_ns: int = 0
    duration_max_ns: int = _FOREVER
    limit: int = DEFAULT_LIMIT


Parameters = Mapping[str, Sequence[str]]
"""Query parameters with all the values of each name."""


def read_v1_search(parameters: Parameters, now_ns: int) -> TraceSearch:
    """Read the parameters of `GET /api/traces`.

    Raises:
        MalformedSearchError: No service, or a value that Jaeger would refuse too.

    """
    service = _first(parameters, "service")
    if not service:
        raise MalformedSearchError("parameter 'service' is required")
    end_ns = _microseconds(parameters, "end", now_ns)
    return _checked(
        TraceSearch(
            service=service,
            operation=_first(parameters, "operation") or None,
            tags=_v1_tags(parameters),
            start_min_ns=_microseconds(parameters, "start", end_ns - DEFAULT_LOOKBACK_NS),
            start_max_ns=end_ns,
            duration_min_ns=_duration(parameters, "minDuration", 0),
            duration_max_ns=_duration(parameters, "maxDuration", _FOREVER),
            limit=_limit(parameters, "limit"),
        )
    )


def read_v3_search(parameters: Parameters) -> TraceSearch:
    """Read the parameters of `GET /api/v3/traces`, camel case or the older snake case.

    Raises:
        MalformedSearchError: A bound of time is missing, or a value cannot be read.

    """
    modern = {_camel(name): values for name, values in parameters.items()}
    attributes = _first(modern, "query.attributes")
    limit_name = "query.searchDepth" if "query.searchDepth" in modern else "query.numTraces"
    return _checked(
        TraceSearch(
            service=_first(modern, "query.serviceName") or None,
            operation=_first(modern, "query.operationName") or None,
            tags=_json_tags(attributes, "query.attributes") if attributes else {},
            start_min_ns=_timestamp(modern, "query.startTimeMin"),
            start_max_ns=_timestamp(modern, "query.startTimeMax"),
            duration_min_ns=_duration(modern, "query.durationMin", 0),
            duration_max_ns=_duration(modern, "query.durationMax", _FOREVER),
            limit=_limit(modern, limit_name),
        )
    )


def read_go_duration(text: str) -> int:
    """Read a Go duration (`10s`, `1.5ms`, `1h30m`) as nanoseconds.

    Raises:
        ValueError: It is not one.

    """
    position = 0
    total = 0.0
    while match := _GO_DURATION.match(text, position):
        total += float(match["number"]) * _UNIT_NS[match["unit"]]
        position = match.end()
    if text != "0" and (position == 0 or position != len(text)):
        raise ValueError(f"{text!r} is not a duration like 10s or 1.5ms")
    return min(round(total), _FOREVER)


def read_timestamp(text: str) -> int:
    """Read an RFC 3339 time, with up to nine decimals, as nanoseconds since the epoch.

    Raises:
        ValueError: It is not one.

    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time like 2026-01-31T12:00:00.000Z")
    whole = datetime.fromisoformat(match["seconds"] + match["zone"].replace("Z", "+00:00"))
    return int(whole.timestamp()) * 10**9 + int((match["fraction"] or "").ljust(9, "0"))


def _first(parameters: Parameters, name: str) -> str | None:
    values = parameters.get(name)
    return values[0] if values else None


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _microseconds(parameters: Parameters, name: str, default_ns: int) -> int:
    text = _first(parameters, name)
    if not text:
        return default_ns
    try:
        return min(int(text) * _NS_PER_US, _FOREVER)
    except ValueError as error:
        raise MalformedSearchError(
            f"parameter '{name}' takes microseconds since the epoch, not {text!r}"
        ) from error


def _timestamp(parameters: Parameters, name: str) -> int:
    text = _first(parameters, name)
    if not text:
        raise MalformedSearchError(f"parameter '{name}' is required")
    try:
        return read_timestamp(text)
    except (ValueError, OverflowError) as error:
        raise MalformedSearchError(f"parameter '{name}': {error}") from error


def _duration(parameters: Parameters, name: str, default: int) -> int:
    text = _first(parameters, name)
    if not text:
        return default
    try:
        return read_go_duration(text)
    except ValueError as error:
        raise MalformedSearchError(f"parameter '{name}': {error}") from error


def _limit(parameters: Parameters, name: str) -> int:
    text = _first(parameters, name)
    if not text:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise MalformedSearchError(f"parameter '{name}' takes a whole number above 0, not {text!r}")
    return min(int(text), LARGEST_LIMIT)


def _v1_tags(parameters: Parameters) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in parameters.get("tag", ()):
        key, colon, value = pair.partition(":")
        if not colon or not key:
            raise MalformedSearchError(f"parameter 'tag' takes key:value, not {pair!r}")
        tags[key] = value
    for text in parameters.get("tags", ()):
        tags.update(_json_tags(text, "tags"))
    return tags


def _json_tags(text: str, name: str) -> dict[str, str]:
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedSearchError(f"parameter '{name}' is not JSON: {text!r}") from error
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise MalformedSearchError(
            f'parameter \'{name}\' takes a JSON object of strings, like {{"message.id":"12345"}}'
        )
    return tags


def _checked(search: TraceSearch) -> TraceSearch:
    if search.duration_max_ns <= search.duration_min_ns:
        raise MalformedSearchError("the maximum duration must exceed the minimum")
    return search
