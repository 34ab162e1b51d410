"""Structured logs: one line each, as text that the runbooks' greps find, or as JSON.

Runbooks 001 and 002 look for `OutboundJobWorker`, `Processing … pending outbound messages`,
`handleFailure` with `errorCode`, `Invalid webhook signature`, `messageId=`, `correlationId=`,
`correlation_id=`, and for ERROR with a provider's name. A test runs each of their greps.
"""

import json
import logging
import re
import sys
import unicodedata
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from sender.redaction import Redactor

WORKER = "OutboundJobWorker"
"""002's name for what claims and sends; other lines bear FACE."""
FACE = "OutboundSender"

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_PLAIN = re.compile(r"[^\s\"'=\\]+")
_TROUBLESOME = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_TRACE_INDENT = "    | "
_CORRELATION = "correlationId"
_IDS = ("messageId", "traceId", _CORRELATION)
"""The fields that end a line, in this order."""
_CORRELATION_002 = "correlation_id"
"""002 greps for this spelling too, and Sentry has it as its tag."""


class LineLogger:
    """Writes lines to a stream; a reader that is gone is no reason to stop sending."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write one line at once."""
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Closed, full or broken: there is nowhere left to complain.
            return

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


def escape(text: str) -> str:
    """Make a text fit for one line of a terminal: what would break or colour it is spelled out."""
    if text.isprintable():
        return text
    return "".join(
        json.dumps(character)[1:-1]
        if unicodedata.category(character) in _TROUBLESOME
        else character
        for character in text
    ).replace("\x7f", "\\u007f")


def _write_value(value: object) -> str:
    if type(value) is int:
        return str(value)
    if not isinstance(value, str):
        return escape(json.dumps(value, ensure_ascii=False, default=str))
    if _PLAIN.fullmatch(value) and value.isprintable():
        return value
    return escape(json.dumps(value, ensure_ascii=False))


def write_text(
    _logger: object, _method: str, event: MutableMapping[str, Any] | Mapping[str, Any]
) -> str:
    """Render a line: time, level, [component], what happened, then the fields."""
    fields = dict(event)
    time = fields.pop("timestamp", "")
    level = str(fields.pop("level", "info")).upper()
    name = fields.pop("component", FACE)
    text = escape(str(fields.pop("event", "")))
    trace = fields.pop("exception", None)
    ids = {key: fields.pop(key) for key in _IDS if key in fields}
    if _CORRELATION in ids:
        ids[_CORRELATION_002] = ids[_CORRELATION]
    fields |= ids
    pairs = [f"{escape(key)}={_write_value(value)}" for key, value in fields.items()]
    line = " ".join([f"{time} {level:<7} [{name}] {text}", *pairs])
    if not trace:
        return line
    # A traceback has lines of its own; none may pass for a line of the log.
    return "\n".join([line, *(_TRACE_INDENT + escape(one) for one in str(trace).splitlines())])


def configure_logs(
    log_format: str,
    *,
    level: str = "info",
    redactor: Redactor | None = None,
    report: Processor | None = None,
    stream: TextIO | None = None,
    for_good: bool = False,
) -> None:
    """Send logs to standard error, those of libraries too.

    Args:
        log_format: `text` or `json`.
        level: The least serious level that is written: debug, info, warning or error.
        redactor: Hides secrets; by default those that are known by their looks.
        report: Told of every line before it is written, with the exception as an object.
        stream: Where to write instead of standard error.
        for_good: Nobody will configure them again in this process, so loggers may keep what they
            were first made with.

    """
    json_lines = structlog.processors.JSONRenderer()
    render: Processor = json_lines if log_format == "json" else write_text
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if report is None else [report]),
        structlog.processors.format_exc_info,
    ]
    hide = redactor or Redactor()
    target = stream or sys.stderr
    structlog.configure(
        processors=[*shared, hide, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: LineLogger(target),
        cache_logger_on_first_use=for_good,
    )
    handler = _QuietHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, hide, render],
        )
    )
    logging.basicConfig(level=max(logging.WARNING, LEVELS[level]), handlers=[handler], force=True)
    logging.getLogger("psycopg").addFilter(_is_no_echo)


def _is_no_echo(record: logging.LogRecord) -> bool:
    """Leave out what psycopg says of a pipeline's end after the error that is dealt with."""
    return not record.getMessage().startswith("error ignored terminating")


class _QuietHandler(logging.StreamHandler[TextIO]):
    """Logging prints a traceback when its stream is gone; there is nobody to read it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Do nothing."""
