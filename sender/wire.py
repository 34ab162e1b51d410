"""Reading bodies that providers post: JSON and forms, and values of doubtful shape. Pure."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from sender.storable import make_storable

_CLOCK_ERROR_S = 86400.0
_LARGEST_BIGINT = 2**63 - 1
_LARGEST_INTEGER = 2**31 - 1
_LONGEST_TEXT = 500


class MalformedWebhookError(ValueError):
    """A body that is not what the provider documents; the text says where."""


def decode(raw: bytes | str) -> Any:  # noqa: ANN401 - JSON may be anything
    """Decode JSON into what the database can hold: no NUL, no half of a surrogate pair.

    Raises:
        MalformedWebhookError: It is no JSON, or nested too deeply.

    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _decode_slowly(raw)
    # Nearly no body holds such a thing, and walking through one costs more than reading it.
    nul = "\\u0000" if isinstance(raw, str) else b"\\u0000"
    return make_storable(body) if nul in raw else body  # type: ignore[operator]  # both are of one kind


def _decode_slowly(raw: bytes | str) -> object:
    """Decode what the strict reader refuses: halves of surrogate pairs are JSON all the same."""
    try:
        return make_storable(json.loads(raw, parse_constant=_finite, parse_float=_finite))
    except RecursionError as error:
        raise MalformedWebhookError("the body is nested too deeply") from error
    except ValueError as error:
        raise MalformedWebhookError("the body is not JSON") from error


def _finite(text: str) -> float:
    """Read a number; Python would take NaN, and 1e999 as infinity, which are none in JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Give the objects of what should be a list of objects."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def mapping(value: object) -> Mapping[str, Any]:
    """Give what should be an object; an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """Give what should be a short text or a number; None for anything else or nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return None
    return str(value)[:_LONGEST_TEXT]


def seconds(value: object, received_s: float) -> float:
    """Read a time; one that is none, or lies beyond any clock's error, gives the arrival's."""
    try:
        at = float(value) if isinstance(value, str | int | float) else -1.0
    except (ValueError, OverflowError):
        return received_s
    return at if 0 <= at <= received_s + _CLOCK_ERROR_S else received_s


def reference(message_id: object, attempt_no: object) -> tuple[int | None, int | None]:
    """Read the two numbers of our own reference; what no attempt can have gives nothing."""
    try:
        number, attempt = int(message_id), int(attempt_no)  # type: ignore[call-overload]  # judged below
    except (ValueError, TypeError, OverflowError):
        return None, None
    if 0 < number <= _LARGEST_BIGINT and 0 < attempt <= _LARGEST_INTEGER:
        return number, attempt
    return None, None
