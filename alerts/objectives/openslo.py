"""Reads OpenSLO v1 documents as far as they say what our own form says.

docs/slos.md has the table of what is read, what is refused and what is passed over.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from outbound_slo.vocabulary.metrics import METRICS
from outbound_slo.vocabulary.mistakes import UserMistake

API_VERSION: Final = "openslo/v1"
"""Value of `apiVersion`."""

GROUP_BY: Final = "outbound-slo/group-by"
"""Annotation with the labels of `group_by`, divided by commas; OpenSLO has no field for them."""

_SELECTOR: Final = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>[^{}]*)\})?")
_MATCHER: Final = re.compile(r'\s*(?P<label>\w+)\s*(?P<how>=~|=)\s*"(?P<value>[^"\\]*)"\s*')
_PASSED_OVER: Final = frozenset({"Service", "DataSource", "AlertPolicy", "AlertCondition"}) | {
    "AlertNotificationTarget"
}


def translate_openslo(documents: Sequence[object], where: str) -> list[dict[str, Any]]:
    """Turn OpenSLO v1 documents into our own form, not checked yet.

    Args:
        documents: All documents of a file; an SLO may refer to an SLI among them.
        where: The file, for errors.

    Raises:
        UserMistake: A document asks for what is not read; names the field.

    """
    slos, slis = [], {}
    for document in documents:
        kind = _at(document, "kind", where)
        if kind == "SLI":
            slis[str(_at(document, "metadata.name", where))] = _at(document, "spec", where)
        elif kind == "SLO":
            slos.append(document)
        elif kind not in _PASSED_OVER:
            raise UserMistake(f"{where}: kind: {kind} is not read", "Give SLO and SLI documents")
    if not slos:
        raise UserMistake(f"{where} has no document of kind SLO", "Add one")
    return [_translate(slo, slis, where) for slo in slos]


def _translate(slo: object, slis: Mapping[str, Any], where: str) -> dict[str, Any]:
    name = str(_at(slo, "metadata.name", where))
    where = f"{where}: {name}"
    _refuse_method(slo, where)
    indicator = _translate_indicator(_find_indicator(slo, slis, where), where)
    annotations = _get(slo, "metadata.annotations") or {}
    metric = METRICS.get(next(iter(indicator.values())))
    grouped = annotations.get(GROUP_BY) if isinstance(annotations, dict) else None
    if grouped is not None:
        group_by = [label.strip() for label in str(grouped).split(",") if label.strip()]
    else:
        group_by = ["channel"] if metric and "channel" in metric.labels else []
    return {
        "name": name,
        "title": str(_get(slo, "metadata.displayName") or name),
        "objective": _read_target(slo, where),
        "period": _read_period(slo, where),
        "group_by": group_by,
        "budget": indicator,
    }


def _refuse_method(slo: object, where: str) -> None:
    method = _at(slo, "spec.budgetingMethod", where)
    if method != "Occurrences":
        raise UserMistake(
            f"{where}: spec.budgetingMethod: {method} is not read",
            "Take Occurrences: budgets here weigh events, not slices of time",
        )


def _read_target(slo: object, where: str) -> float:
    objectives = _at(slo, "spec.objectives", where)
    if not isinstance(objectives, list) or len(objectives) != 1:
        raise UserMistake(
            f"{where}: spec.objectives must have one entry", "Write one SLO for each objective"
        )
    target, percent = (_get(objectives[0], key) for key in ("target", "targetPercent"))
    given = percent if target is None else target
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise UserMistake(
            f"{where}: spec.objectives[0] has no number target",
            "Give target, such as 0.95, or targetPercent, such as 95",
        )
    return float(given) if target is None else round(given * 100, 10)


def _read_period(slo: object, where: str) -> str:
    windows = _at(slo, "spec.timeWindow", where)
    if not isinstance(windows, list) or len(windows) != 1:
        raise UserMistake(f"{where}: spec.timeWindow must have one entry", "Give one duration")
    if _get(windows[0], "isRolling") is not True or _get(windows[0], "calendar") is not None:
        raise UserMistake(
            f"{where}: spec.timeWindow[0] follows the calendar",
            "Set isRolling: true and leave calendar out: only moving windows are weighed",
        )
    return str(_get(windows[0], "duration"))


def _find_indicator(slo: object, slis: Mapping[str, Any], where: str) -> object:
    reference = _get(slo, "spec.indicatorRef")
    if reference is None:
        return _at(slo, "spec.indicator.spec", where)
    if reference not in slis:
        raise UserMistake(
            f"{where}: spec.indicatorRef: there is no SLI {reference} in this file",
            "Put its document into the same file, divided by ---",
        )
    return slis[reference]


def _translate_indicator(spec: object, where: str) -> dict[str, Any]:
    if _get(spec, "ratioMetric") is None:
        raise UserMistake(
            f"{where}: its indicator has no ratioMetric",
            "Give ratioMetric with good and total; thresholds of raw values are not read",
        )
    if _get(spec, "ratioMetric.counter") is not True:
        raise UserMistake(
            f"{where}: ratioMetric.counter is not true", "Give counters: they can be compared"
        )
    if _get(spec, "ratioMetric.good") is None:
        raise UserMistake(
            f"{where}: ratioMetric has no good", "Give good and total; bad and raw are not read"
        )
    (good, chosen), (total, of) = (
        _read_query(spec, f"ratioMetric.{part}", where) for part in ("good", "total")
    )
    base = total.removesuffix("_count")
    if good == f"{base}_bucket" and total.endswith("_count"):
        if of or set(chosen) != {"le"} or len(chosen["le"]) != 1:
            raise UserMistake(
                f"{where}: a histogram is read with one le and no other label",
                f'Write {base}_bucket{{le="…"}} and {base}_count',
            )
        return {"histogram": base, "within": _write_seconds(chosen["le"][0], where)}
    if good != total:
        raise UserMistake(
            f"{where}: good is of {good}, total of {total}", "Let labels of one counter say it"
        )
    # What total chooses, good need not repeat.
    return {"counter": total, "good": chosen} | ({"of": of} if of else {})


def _read_query(spec: object, path: str, where: str) -> tuple[str, dict[str, list[str]]]:
    source = f"{path}.metricSource"
    kind = _get(spec, f"{source}.type")
    if kind is not None and str(kind).lower() != "prometheus":
        raise UserMistake(f"{where}: {source}.type: {kind} is not read", "Ask Prometheus")
    query = str(_at(spec, f"{source}.spec.query", where)).strip()
    found = _SELECTOR.fullmatch(query)
    matchers = [] if not found or not found["labels"] else found["labels"].rstrip(", ").split(",")
    parts = [_MATCHER.fullmatch(matcher) for matcher in matchers]
    if found is None or not all(parts):
        raise UserMistake(
            f"{where}: {source}.spec.query: {query} is no plain selector",
            'Write a counter with labels, such as outbound_attempts_total{outcome=~"sent|failed"}; '
            "sums, rates and windows are ours to make",
        )
    return found["name"], {
        part["label"]: part["value"].split("|") if part["how"] == "=~" else [part["value"]]
        for part in parts
        if part is not None
    }


def _write_seconds(edge: str, where: str) -> str:
    try:
        milliseconds = float(edge) * 1000
    except ValueError:
        raise UserMistake(f"{where}: le: {edge} is no number", "Give an edge in seconds") from None
    if milliseconds % 1000:
        return f"{milliseconds:g}ms"
    return f"{milliseconds / 1000:g}s"


def _get(document: object, path: str) -> Any:  # noqa: ANN401 - YAML holds anything
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _at(document: object, path: str, where: str) -> Any:  # noqa: ANN401 - YAML holds anything
    found = _get(document, path)
    if found is None:
        raise UserMistake(f"{where} lacks {path}", "Add it")
    return found
