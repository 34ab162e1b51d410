"""Dashboards to be drawn: by uid, or from a file as Grafana exports it."""

import json
import math
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from dashboards.catalogue import all_dashboards
from dashboards.files import check_panels, read_file
from exporter.document import check_document as check_schema
from outbound_slo.vocabulary.mistakes import UserMistake

Json = dict[str, Any]

_GREATEST: Final = 2**53
_MEND: Final = "Export the dashboard from Grafana as JSON"


def load_document(name: str) -> Json:
    """Load a dashboard by its uid, or from a file.

    Raises:
        UserMistake: There is no such dashboard, or the file is none.

    """
    built_in = {uid.value: document for uid, document in all_dashboards().items()}
    if name in built_in:
        return built_in[name]
    path = Path(name)
    if path.suffix != ".json" and not path.is_file():
        raise UserMistake(
            f"{name} is no dashboard", f"Use {', '.join(built_in)}, or a file that ends in .json"
        )
    return check_document(read_file(path), name)


def check_document(document: object, name: str) -> Json:
    """See that a document has what a preview reads of it, each thing of its kind.

    Gives the document without nulls that mean nothing; one without a uid is called as its file.

    Raises:
        UserMistake: It has not.

    """
    panels = check_panels(document, name)
    try:
        tidied = _tidy(panels, "")
        checked = dict(check_schema(tidied, name, _schema()))
    except _UnshowableError as failure:
        raise UserMistake(f"{name}: {failure}", _MEND) from None
    except RecursionError:
        raise UserMistake(f"{name} is nested too deeply", _MEND) from None
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-")[:80]
    checked.setdefault("uid", stem or "dashboard")
    return checked


class _UnshowableError(ValueError):
    """Something can be written in JSON, but neither browsers nor terminals can show it."""


@cache
def _schema() -> Json:
    text = resources.files("dashboards.preview").joinpath("document.schema.json").read_text("utf-8")
    schema: Json = json.loads(text)
    return schema


def _tidy(value: object, where: str) -> Any:  # noqa: ANN401 - any JSON
    """Leave nulls out that mean nothing; the lowest threshold's null is a value."""
    match value:
        case str() if any("\ud800" <= each <= "\udfff" for each in value):
            raise _UnshowableError(f"{where} holds half a character")
        case bool():
            return value
        case int() | float():
            if not math.isfinite(value) or abs(value) > _GREATEST:
                raise _UnshowableError(f"{where} is no number that can be shown")
            return int(value) if float(value).is_integer() else value
        case dict():
            for name in value:
                _tidy(name, f"a name in {where or 'it'}")
            kept = {
                name: _tidy(each, f"{where}.{name}" if where else name)
                for name, each in value.items()
                if each is not None
            }
            steps = kept.get("steps")
            if isinstance(steps, list):
                kept["steps"] = [
                    {"value": None, **each} if isinstance(each, dict) else each for each in steps
                ]
            return kept
        case list():
            return [_tidy(each, f"{where}[{at}]") for at, each in enumerate(value)]
    return value
