"""Annotations: what a query of alerts or deployments says happened, as marks in time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outbound_slo.embedded.prometheus_api import Series

Json = Mapping[str, Any]

_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened from one Unix millisecond to another (often the same one)."""

    name: str
    colour: str
    start_ms: int
    end_ms: int
    title: str
    text: str
    tags: tuple[str, ...]


def list_marks(query: Json, series: Sequence[Series], step_s: float) -> list[Mark]:
    """Turn each stretch in which a series is above zero into a mark.

    Args:
        query: Grafana's annotation: its name, colour and the forms of title, text and tags.
        series: What Prometheus answered.
        step_s: Seconds between points; a longer gap ends a stretch.

    """
    tag_names = [name for name in (query.get("tagKeys") or "").split(",") if name]
    marks: list[Mark] = []
    for each in series:
        labels = each.labels

        def write(form: str | None, labels: Mapping[str, str] = labels) -> str:
            return _LABEL.sub(lambda found: labels.get(found[1], ""), form or "").strip()

        title = write(query.get("titleFormat")) or query.get("name") or ""
        text = write(query.get("textFormat"))
        tags = tuple(labels[name] for name in tag_names if labels.get(name))
        instants = [at for at, value in each.points if value > 0]
        marks += [
            Mark(
                name=query.get("name") or "",
                colour=query.get("iconColor") or "blue",
                start_ms=round(start * 1000),
                end_ms=round(end * 1000),
                title=title,
                text=text,
                tags=tags,
            )
            for start, end in _join(instants, step_s)
        ]
    return marks


def _join(instants: Sequence[float], step_s: float) -> list[tuple[float, float]]:
    stretches: list[tuple[float, float]] = []
    for at in instants:
        if stretches and at - stretches[-1][1] <= step_s * 1.5:
            stretches[-1] = (stretches[-1][0], at)
        else:
            stretches.append((at, at))
    return stretches
