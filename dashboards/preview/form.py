"""The form of what a preview reads of a dashboard: what it names must be of its kind. Pure.

Other keys stay as they are, and so does what Grafana adds to them one day.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

Json = dict[str, Any]
Form = Callable[[Any, str], Any]
"""Takes a value and where it stands; gives it, without nulls that mean nothing."""

_GREATEST: Final = 2**53
_COLUMNS: Final = 24
_MOST_ROWS: Final = 10_000
_MOST_DIGITS: Final = 15


class FormError(ValueError):
    """What is there is not what a dashboard has there; the text names the place."""


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise FormError(f"{where} is no text")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormError(f"{where} is no number")
    return value


def _digits(value: object, where: str) -> int:
    size = _number(value, where)
    if not (float(size).is_integer() and 0 <= size <= _MOST_DIGITS):
        raise FormError(f"{where} is no whole number from 0 to {_MOST_DIGITS}")
    return int(size)


def _word(value: object, where: str) -> str:
    """Read what is shown as text, whatever it is in JSON."""
    if isinstance(value, dict | list):
        raise FormError(f"{where} is no text")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(value: object, where: str) -> object:
    return _many(_word)(value, where) if isinstance(value, list) else _word(value, where)


def _query(value: object, where: str) -> object:
    return _record(query=_text)(value, where) if isinstance(value, dict) else _word(value, where)


def _refresh(value: object, where: str) -> object:
    return "" if isinstance(value, bool) else _text(value, where)


def _many(inner: Form) -> Form:
    def read(value: object, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise FormError(f"{where} is no list")
        return [inner(each, f"{where}[{at}]") for at, each in enumerate(value)]

    return read


def _by_name(inner: Form) -> Form:
    def read(value: object, where: str) -> Json:
        found = _object(value, where)
        return {name: inner(each, f"{where}.{name}") for name, each in found.items()}

    return read


def _record(*needed: str, **inner: Form) -> Form:
    """Read an object: these keys must be there, and those have a form."""

    def read(value: object, where: str) -> Json:
        found = _object(value, where)
        for name in needed:
            if name not in found:
                raise FormError(f"{where} has no {name}")
        return found | {
            name: form(found[name], f"{where}.{name}" if where else name)
            for name, form in inner.items()
            if name in found
        }

    return read


def _object(value: object, where: str) -> Json:
    if not isinstance(value, dict):
        raise FormError(f"{where} is no object")
    return {name: each for name, each in value.items() if each is not None}


def _points(value: object, where: str) -> float:
    if _number(value, where) < 1:
        raise FormError(f"{where} is less than 1")
    return _number(value, where)


def _step(value: object, where: str) -> Json:
    """Read a threshold; without a value it is the lowest."""
    found: Json = _record("color", color=_text, value=_number)(value, where)
    return {**found, "value": found.get("value")}


def _mapping(value: object, where: str) -> Json:
    found: Json = _record("type", "options", type=_text)(value, where)
    kind = found["type"]
    form = _by_name(_RESULT) if kind == "value" else _record("result", **_MAPPED)
    return {**found, "options": form(found["options"], f"{where}.options")}


def _override(value: object, where: str) -> Json:
    found: Json = _record(
        "matcher", "properties", matcher=_record("id", id=_text), properties=_many(_property)
    )(value, where)
    return found


def _property(value: object, where: str) -> Json:
    found: Json = _record("id", id=_text)(value, where)
    first, *rest = found["id"].split(".")
    form = _FIELD.get(first)
    for step in rest:
        form = _CUSTOM.get(step) if form is _custom else None
    if form is None or "value" not in found:
        return found
    return {**found, "value": form(found["value"], f"{where}.value")}


def _grid(value: object, where: str) -> Json:
    found: Json = _record("x", "y", "w", "h")(value, where)
    limits = {
        "x": (0, _COLUMNS - 1),
        "y": (0, _MOST_ROWS),
        "w": (1, _COLUMNS),
        "h": (1, _MOST_ROWS),
    }
    for name, (low, high) in limits.items():
        size = _number(found[name], f"{where}.{name}")
        if not (float(size).is_integer() and low <= size <= high):
            raise FormError(f"{where}.{name} is no whole number from {low} to {high}")
        found[name] = int(size)
    return found


_RESULT: Final = _record(text=_word, color=_text)
_MAPPED: Final[Mapping[str, Form]] = {
    "from": _number, "to": _number, "match": _text, "pattern": _text, "result": _RESULT,
}  # fmt: skip
_LINK: Final = _record(title=_text, url=_text)
_CUSTOM: Final[Mapping[str, Form]] = {
    "axisLabel": _text,
    "axisPlacement": _text,
    "cellOptions": _record(type=_text),
    "drawStyle": _text,
    "fillOpacity": _number,
    "lineWidth": _number,
    "stacking": _record(mode=_text),
    "thresholdsStyle": _record(mode=_text),
}
_custom: Final = _record(**_CUSTOM)
_FIELD: Final[Mapping[str, Form]] = {
    "color": _record(mode=_text, fixedColor=_text),
    "custom": _custom,
    "decimals": _digits,
    "displayName": _text,
    "links": _many(_LINK),
    "mappings": _many(_mapping),
    "max": _number,
    "min": _number,
    "noValue": _text,
    "thresholds": _record(mode=_text, steps=_many(_step)),
    "unit": _text,
}
_TRANSFORMED: Final = _record(
    excludeByName=_by_name(lambda value, _: value),
    indexByName=_by_name(_number),
    renameByName=_by_name(_text),
)
_OPTIONS: Final = _record(
    colorMode=_text,
    graphMode=_text,
    legend=_record(calcs=_many(_text), displayMode=_text),
    reduceOptions=_record(calcs=_many(_text)),
    sortBy=_many(_record(displayName=_text)),
    textMode=_text,
    tooltip=_record(sort=_text),
)
_TARGET: Final = _record(
    "expr", "refId", expr=_text, refId=_text, legendFormat=_text, interval=_text
)
_PANEL: Final = _record(
    "gridPos", "type", "id",
    description=_text,
    fieldConfig=_record(defaults=_record(**_FIELD), overrides=_many(_override)),
    gridPos=_grid,
    id=_word,
    interval=_text,
    links=_many(_LINK),
    maxDataPoints=_points,
    options=_OPTIONS,
    targets=_many(_TARGET),
    title=_text,
    transformations=_many(_record("id", id=_text, options=_TRANSFORMED)),
    type=_text,
)  # fmt: skip
_VARIABLE: Final = _record(
    "name", "type",
    allValue=_text, current=_record(value=_words), label=_text, name=_text, query=_query,
    type=_text,
)  # fmt: skip
_ANNOTATION: Final = _record(
    expr=_text, iconColor=_text, name=_text, step=_text, tagKeys=_text, textFormat=_text,
    titleFormat=_text,
)  # fmt: skip
_DASHBOARD: Final = _record(
    "panels",
    annotations=_record(list=_many(_ANNOTATION)),
    description=_text,
    links=_many(_LINK),
    panels=_many(_PANEL),
    refresh=_refresh,
    tags=_many(_text),
    templating=_record(list=_many(_VARIABLE)),
    title=_text,
    uid=_text,
)


def read_form(document: object) -> Json:
    """Give a dashboard with what a preview reads of it in its proper form, nulls left out.

    Raises:
        FormError: Something is not what a dashboard has there.

    """
    try:
        _check_values(document, "")
        found: Json = _DASHBOARD(document, "")
    except RecursionError:
        raise FormError("it is nested too deeply") from None
    return found


def _check_values(value: object, where: str) -> None:
    """Refuse what JSON can write down and neither browsers nor terminals can show."""
    match value:
        case str():
            if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
                raise FormError(f"{where} holds half a character")
        case bool() | None:
            return
        case int() | float():
            if not math.isfinite(value) or abs(value) > _GREATEST:
                raise FormError(f"{where} is no number that can be shown")
        case dict():
            for name, each in value.items():
                _check_values(name, f"a name in {where or 'it'}")
                _check_values(each, f"{where}.{name}" if where else name)
        case list():
            for at, each in enumerate(value):
                _check_values(each, f"{where}[{at}]")
