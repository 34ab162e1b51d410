"""Reads objectives from YAML: our own form, checked by JSON Schema, or OpenSLO v1."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from alerts.objectives.openslo import API_VERSION, translate_openslo
from alerts.objectives.soundness import DEFAULT_RETENTION_S, find_metric, refuse_unsound
from alerts.objectives.spec import Counted, Fresh, Indicator, Objective, Selection, Timed
from alerts.timing import parse_duration
from exporter.document import check_document, read_documents
from outbound_slo.vocabulary.metrics import MetricKind
from outbound_slo.vocabulary.mistakes import UserMistake

SLOS: Final = Path(__file__).resolve().parent.parent / "slos"
"""Directory of the objectives that are there without anybody's doing."""

SCHEMA: Final = SLOS / "slo.schema.json"
"""JSON Schema of our own form."""


def read_objectives(
    paths: Sequence[Path], *, retention_s: float = DEFAULT_RETENTION_S
) -> tuple[Objective, ...]:
    """Read the objectives of some files.

    Args:
        paths: YAML files; one may hold several documents.
        retention_s: For how many seconds Prometheus keeps its data.

    Raises:
        UserMistake: A file can't be read, does not fit the schema, or asks for what can't work;
            names the file, the key and the value.

    """
    found: dict[str, Objective] = {}
    for path in paths:
        for objective in _read_file(path):
            refuse_unsound(objective, retention_s)
            if objective.name in found:
                raise UserMistake(
                    f"{objective.place}: name: {objective.name} is the name of an objective in "
                    f"{found[objective.name].place}, too",
                    "Give each objective a name of its own",
                )
            found[objective.name] = objective
    return tuple(found.values())


def default_files() -> Sequence[Path]:
    """List the files of the objectives that are there by default, by name."""
    return sorted(SLOS.glob("*.yml"))


def _read_file(path: Path) -> Iterator[Objective]:
    where = str(path)
    documents = [document for document in read_documents(path, where) if document is not None]
    if not documents:
        raise UserMistake(f"{where} holds no objective", "See docs/slos.md for its form")
    if any(isinstance(each, dict) and "apiVersion" in each for each in documents):
        for document in documents:
            if not isinstance(document, dict) or document.get("apiVersion") != API_VERSION:
                raise UserMistake(
                    f"{where}: a document's apiVersion is not {API_VERSION}",
                    f"Write OpenSLO {API_VERSION}, or our own form without apiVersion",
                )
        translated: Sequence[object] = translate_openslo(documents, where)
    else:
        translated = documents
    for document in translated:
        yield _build(check_document(document, where, _schema()), where)


@cache
def _schema() -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    return schema


def _build(document: Mapping[str, Any], where: str) -> Objective:
    fast = document.get("fast")
    return Objective(
        name=document["name"],
        title=document["title"],
        percent=float(document["objective"]),
        period_s=parse_duration(document["period"]),
        group_by=tuple(document.get("group_by", ())),
        budget=_build_indicator(document["budget"], f"{where}: budget"),
        fast=_build_indicator(fast, f"{where}: fast") if fast else None,
        pages=document.get("pages", True),
        place=where,
    )


def _build_indicator(document: Mapping[str, Any], where: str) -> Indicator:
    if "counter" in document:
        _refuse_keys(document, ("counter", "of", "good"), where)
        return Counted(
            find_metric(document["counter"], MetricKind.COUNTER, f"{where}.counter"),
            good=_read_selection(document["good"]),
            of=_read_selection(document.get("of", {})),
        )
    if "histogram" in document:
        _refuse_keys(document, ("histogram", "within"), where)
        return Timed(
            find_metric(document["histogram"], MetricKind.HISTOGRAM, f"{where}.histogram"),
            parse_duration(document["within"]),
        )
    _refuse_keys(document, ("timestamp", "younger_than"), where)
    return Fresh(
        find_metric(document["timestamp"], MetricKind.GAUGE, f"{where}.timestamp"),
        parse_duration(document["younger_than"]),
    )


def _refuse_keys(document: Mapping[str, Any], meant: tuple[str, ...], where: str) -> None:
    for key in document:
        if key not in meant:
            raise UserMistake(
                f"{where} has the key {key}, which does not go with {' and '.join(meant)}",
                "Remove it",
            )


def _read_selection(document: Mapping[str, Sequence[str]]) -> Selection:
    return {label: tuple(values) for label, values in document.items()}
