"""Dashboards of other people, as files: what Grafana exports, or its HTTP API gives and takes."""

import json
from pathlib import Path
from typing import Any

from outbound_slo.vocabulary.mistakes import UserMistake

Json = dict[str, Any]


def read_file(path: Path) -> Json:
    """Read a dashboard's JSON; of its form it is only known that it has a list of panels.

    Raises:
        UserMistake: The file can't be read, is no JSON, or no dashboard with panels.

    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserMistake(f"{path} can't be read: {error.strerror}", "Check the path") from None
    except UnicodeDecodeError:
        raise UserMistake(f"{path} is no text in UTF-8", "Name a dashboard's JSON") from None
    except json.JSONDecodeError as error:
        raise UserMistake(
            f"{path} is no JSON in line {error.lineno}: {error.msg}", "Mend the file"
        ) from None
    except RecursionError:
        raise UserMistake(f"{path} is nested too deeply", "Mend the file") from None
    if isinstance(found, dict) and isinstance(found.get("dashboard"), dict):
        # As the HTTP API wraps it.
        found = found["dashboard"]
    return check_panels(found, str(path))


def check_panels(found: object, name: str) -> Json:
    """See that something is a dashboard with panels.

    Raises:
        UserMistake: It is none.

    """
    if isinstance(found, dict) and isinstance(found.get("panels"), list):
        return found
    raise UserMistake(
        f"{name} is no dashboard: it has no list 'panels'",
        "Export it from Grafana as JSON of the classic form",
    )
