"""Dashboards to be drawn: by uid, or from a file as Grafana exports it."""

import json
import re
from pathlib import Path
from typing import Any, Final

from dashboards.catalogue import all_dashboards
from dashboards.preview.form import FormError, read_form
from outbound_slo.vocabulary.mistakes import UserMistake

Json = dict[str, Any]

_UID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
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
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UserMistake(f"{name} can't be read: {failure.strerror}", "Check the path") from None
    except ValueError as failure:
        raise UserMistake(f"{name} holds no JSON: {failure}", "Export it again") from None
    except RecursionError:
        raise UserMistake(f"{name} is nested too deeply", "Export it again") from None
    if isinstance(document, dict) and isinstance(document.get("dashboard"), dict):
        # As Grafana's HTTP API gives and takes it.
        document = document["dashboard"]
    return check_document(document, name)


def check_document(document: object, name: str) -> Json:
    """See that a document has what a preview reads of it, each thing of its kind.

    Raises:
        UserMistake: It has not.

    """
    if not isinstance(document, dict) or not isinstance(document.get("panels"), list):
        raise UserMistake(f"{name} is no dashboard of Grafana: it has no list `panels`", _MEND)
    try:
        checked = read_form(document)
    except FormError as failure:
        raise UserMistake(f"{name}: {failure}", _MEND) from None
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-")[:80]
    checked.setdefault("uid", stem or "dashboard")
    if not _UID.fullmatch(checked["uid"]):
        raise UserMistake(f"{name}: uid {checked['uid']!r} is none of Grafana's", _MEND)
    return checked
