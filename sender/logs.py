"""Structured logs: one line each, as text that the runbooks' greps find, or as JSON."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog


def _write_text(
    _logger: object, _method: str, event: MutableMapping[str, Any] | Mapping[str, Any]
) -> str:
    fields = dict(event)
    time = fields.pop("timestamp", "")
    level = str(fields.pop("level", "info")).upper()
    name = fields.pop("component", "OutboundJobWorker")
    text = fields.pop("event", "")
    trace = fields.pop("exception", None)
    pairs = " ".join(f"{key}={value}" for key, value in fields.items())
    line = f"{time} {level:<7} [{name}] {text}" + (f" {pairs}" if pairs else "")
    return f"{line}\n{trace}" if trace else line


def configure_logs(log_format: str) -> None:
    """Send logs to standard error.

    Args:
        log_format: `text` (runbooks 001 and 002 grep for `OutboundJobWorker`, `messageId=`,
            `errorCode=`) or `json`.

    """
    last: Any = structlog.processors.JSONRenderer() if log_format == "json" else _write_text
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
