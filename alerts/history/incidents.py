"""The file in which people write down what incidents there were."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from exporter.document import read_document
from outbound_slo.vocabulary.mistakes import UserMistake


@dataclass(frozen=True, slots=True)
class PastIncident:
    """One incident as people remember it.

    Attributes:
        what: What happened.
        start_s: Unix seconds of its beginning.
        end_s: Unix seconds of its end.
        alerts: Alerts that can have detected it; empty: any can.

    """

    what: str
    start_s: float
    end_s: float
    alerts: frozenset[str] = frozenset()


def read_incidents(path: Path) -> Sequence[PastIncident]:
    """Read a file of incidents, in the order in which they began.

    Raises:
        UserMistake: It does not fit its schema, a time is none, or an end comes before its start.

    """
    schema = json.loads((files("alerts.history") / "incidents.schema.json").read_text("utf-8"))
    document = read_document(path, str(path), schema)
    incidents = [
        _read(entry, f"{path}: incidents[{number}]")
        for number, entry in enumerate(document["incidents"])
    ]
    return sorted(incidents, key=lambda each: each.start_s)


def check_alerts(path: Path, incidents: Sequence[PastIncident], known: frozenset[str]) -> None:
    """See that the alerts that could have detected an incident are alerts at all.

    Raises:
        UserMistake: One is not known; the incident would count as missed, whatever told of it.

    """
    for incident in incidents:
        for name in sorted(incident.alerts - known):
            near = get_close_matches(name, sorted(known), n=1)
            raise UserMistake(
                f"{path}: {incident.what}: there is no alert {name}, and none fired in that time",
                f"Did you mean {near[0]}?" if near else "Correct it, or leave it out",
            )


def _read(entry: Mapping[str, Any], place: str) -> PastIncident:
    start_s = _read_time(entry["start"], f"{place}.start")
    end_s = _read_time(entry["end"], f"{place}.end")
    if end_s <= start_s:
        raise UserMistake(f"{place} ends before it starts", "Exchange or correct the two times")
    return PastIncident(entry["what"], start_s, end_s, frozenset(entry.get("alerts", ())))


def _read_time(value: object, place: str) -> float:
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime):
        raise UserMistake(f"{place} {str(value)!r} is no time", "Write 2026-01-05T09:00:00Z")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
