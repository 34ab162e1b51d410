"""A dashboard's variables: what they may be, what they are, and their place in a text."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
LabelValues = Callable[[str, str], Sequence[str]]
"""Gives the values of a label of a metric (or, where that is empty, of any)."""

_REFERENCE = re.compile(r"\$\{([\w.]+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)(?::\w+)?\]\]")
_LABEL_VALUES = re.compile(r"\s*label_values\(\s*(?:(.+?)\s*,\s*)?(\w+)\s*\)\s*", re.DOTALL)
_ALL = "$__all"
# What may end a string, whichever of the three quotes it stands in.
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "'": r"\x27", "`": r"\x60", "\n": r"\n"})
_HIDDEN = 2


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as it is filled in.

    Attributes:
        name: As expressions name it.
        label: As people see it.
        kind: Grafana's type: query, custom, constant, textbox, datasource.
        value: What stands for it.
        options: What else it could be; empty where anything may be.
        hidden: Whether it is left out of sight.

    """

    name: str
    label: str
    kind: str
    value: str
    options: tuple[str, ...]
    hidden: bool


def resolve_variables(
    document: Json, given: Mapping[str, str], label_values: LabelValues
) -> tuple[Variable, ...]:
    """Choose a value for each variable: the given one, the saved one, or the first there is.

    Args:
        document: The dashboard.
        given: Values by name that somebody chose.
        label_values: Asks Prometheus.

    """
    values: dict[str, str] = {}
    variables: list[Variable] = []
    for template in document.get("templating", {}).get("list", []):
        name, kind = template["name"], template["type"]
        options = _list_options(template, values, label_values)
        chosen = given.get(name) or _choose(template, options)
        values[name] = chosen
        variables.append(
            Variable(
                name=name,
                label=template.get("label") or name,
                kind=kind,
                value=chosen,
                options=tuple(options),
                # There is one source here, so there is nothing to choose.
                hidden=template.get("hide") == _HIDDEN or kind in {"datasource", "constant"},
            )
        )
    return tuple(variables)


def _list_options(
    template: Json, values: Mapping[str, str], label_values: LabelValues
) -> list[str]:
    if template["type"] == "query":
        asked = _LABEL_VALUES.fullmatch(fill(_query_text(template), values, escaped=True))
        return sorted(label_values(asked[1] or "", asked[2])) if asked else []
    if template["type"] == "custom":
        texts = (part.strip() for part in _query_text(template).split(","))
        return [text.rpartition(" : ")[2] for text in texts if text]
    return []


def _query_text(template: Json) -> str:
    query = template.get("query") or ""
    return str(query.get("query", "")) if isinstance(query, Mapping) else str(query)


def _choose(template: Json, options: Sequence[str]) -> str:
    saved = template.get("current", {}).get("value", "")
    if isinstance(saved, list):
        if len(saved) > 1:
            return f"({'|'.join(map(re.escape, saved))})"
        saved = saved[0] if saved else ""
    if saved == _ALL:
        every = "|".join(map(re.escape, options))
        return str(template.get("allValue") or (f"({every})" if every else ".*"))
    if template["type"] in {"constant", "textbox"}:
        return str(saved or _query_text(template))
    if saved and (not options or saved in options):
        return str(saved)
    return options[0] if options else str(saved)


def fill(text: str, values: Mapping[str, str], *, escaped: bool = False) -> str:
    """Put values in the place of variables; names that are not there stay as they are.

    Args:
        text: An expression, a title or an address.
        values: By name, `__from` and its like among them.
        escaped: Whether the text is PromQL, where a value must not end the string it stands in.

    """

    def put(found: re.Match[str]) -> str:
        name = found[1] or found[2] or found[3]
        if name not in values:
            return found[0]
        value = values[name]
        if not escaped:
            return value
        return value.translate(_ESCAPES)

    return _REFERENCE.sub(put, text)
