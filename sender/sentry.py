"""Errors to Sentry, with 002's tags, if SENTRY_DSN is set; sending neither waits for it nor fails.

A line of level ERROR becomes an event. Events of one kind are bounded in time, since a provider's
outage would otherwise send one per message; those held back are counted on the next. The SDK posts
from a thread of its own with a bounded queue. It has no client but ours: no global state, no
integrations, no local variables, no request data; personal data is off, which is its default.
"""

import contextlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from outbound_slo.vocabulary.mistakes import UserMistake
from sender.logs import FACE
from sender.redaction import Redactor, hide_people

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event, Hint

REPORTED_LEVELS = frozenset({"error", "critical"})

TAGS: Mapping[str, str] = {
    "correlationId": "correlation_id",
    "channel": "channel",
    "errorCode": "error_code",
    "component": "worker_type",
}
"""002's tags by the field of the log that they are taken from."""

KIND_INTERVAL_S = 60.0
"""Seconds between two events of one kind: message, channel, error code and exception."""

_MOST_KINDS = 1000
_CLOSING_S = 2.0
_CONTEXT = "line"


@dataclass(slots=True)
class _Kind:
    due: float
    held_back: int = 0


class Pace:
    """Lets one event per kind and interval through, and counts the others."""

    def __init__(self, interval_s: float, clock: Callable[[], float]) -> None:
        """Start without knowing any kind; `clock` gives seconds that never go back."""
        self._interval_s = interval_s
        self._clock = clock
        self._kinds: OrderedDict[tuple[str, ...], _Kind] = OrderedDict()

    def admit(self, kind: tuple[str, ...]) -> int | None:
        """Give the number held back since the last one that went; None: hold this one back."""
        now = self._clock()
        known = self._kinds.get(kind)
        if known is not None and now < known.due:
            known.held_back += 1
            return None
        self._kinds[kind] = _Kind(now + self._interval_s)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)
        return 0 if known is None else known.held_back


class SentryReport:
    """A processor of structlog's that reports errors and leaves the line as it is."""

    def __init__(self, client: "Client", pace: Pace) -> None:
        """Report through a client that has been built."""
        self._client = client
        self._pace = pace

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Report a line if it is an error."""
        if event.get("level") in REPORTED_LEVELS:
            # Whatever happens in there, the line and the message it is about go on.
            with contextlib.suppress(Exception):
                self._report(event)
        return event

    def _report(self, line: Mapping[str, Any]) -> None:
        error = _find_error(line)
        kind = (
            str(line.get("event", "")),
            str(line.get("channel", "")),
            str(line.get("errorCode", "")),
            type(error).__name__,
        )
        held_back = self._pace.admit(kind)
        if held_back is None:
            return
        event, hint = _describe(error, self._client.options)
        event["level"] = "error"
        event["logger"] = str(line.get("component", FACE))
        event["fingerprint"] = list(kind)
        event["tags"] = {
            tag: str(line.get(field, FACE if field == "component" else ""))
            for field, tag in TAGS.items()
            if field in line or field == "component"
        }
        event["contexts"] = {_CONTEXT: _tell(line) | {"held_back_before": held_back}}
        if error is None:
            code = line.get("errorCode")
            event["message"] = f"{line.get('event')}: {code}" if code else str(line.get("event"))
        self._client.capture_event(event, hint=hint)


def _find_error(line: Mapping[str, Any]) -> BaseException | None:
    given = line.get("exc_info")
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return cast("BaseException | None", given[1])
    return sys.exc_info()[1] if given else None


def _describe(
    error: BaseException | None, options: dict[str, Any]
) -> tuple["Event", "Hint | None"]:
    from sentry_sdk.utils import event_from_exception  # noqa: PLC0415 - see open_report

    if error is None:
        return {}, None
    event, hint = event_from_exception(error, client_options=options)
    return event, hint


def _tell(line: Mapping[str, Any]) -> dict[str, object]:
    dropped = {"exc_info", "level", "timestamp", "component", "event"}
    return {name: value for name, value in line.items() if name not in dropped}


def _scrubber(redactor: Redactor) -> Callable[["Event", "Hint"], "Event | None"]:
    """Build the last look at an event: no secrets, no people, whatever put them there."""

    def clean(value: object) -> object:
        if isinstance(value, str):
            return hide_people(redactor.scrub(value))
        if isinstance(value, Mapping):
            return {key: clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [clean(one) for one in value]
        return value

    def scrub(event: "Event", _hint: "Hint") -> "Event | None":
        for unwanted in ("user", "request", "breadcrumbs"):
            cast("dict[str, object]", event).pop(unwanted, None)
        return cast("Event", clean(event))

    return scrub


@contextlib.contextmanager
def open_report(dsn: str, environment: str, redactor: Redactor) -> Iterator[SentryReport | None]:
    """Report to the project that `dsn` names; nothing without one. Waits 2 s for the last events.

    Raises:
        UserMistake: The DSN is none.

    """
    if not dsn:
        yield None
        return
    # The SDK costs a quarter of a second that only those pay who use it.
    from sentry_sdk import Client  # noqa: PLC0415 - as above
    from sentry_sdk.utils import BadDsn  # noqa: PLC0415 - as above

    try:
        client = Client(
            dsn=dsn,
            environment=environment,
            release=f"outbound-slo@{version('outbound-slo')}",
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            before_send=_scrubber(redactor),
        )
    except BadDsn as error:
        raise UserMistake(
            "SENTRY_DSN has a value that does not fit",
            "It is an address like https://KEY@HOST/PROJECT: copy it from the project's settings",
        ) from error
    try:
        yield SentryReport(client, Pace(KIND_INTERVAL_S, time.monotonic))
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=_CLOSING_S)
