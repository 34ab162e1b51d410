"""Reads as much of PromQL as the lint needs: names, comparisons and the numbers compared with.

promtool says whether an expression is PromQL at all; this asks what a well-formed one refers to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class _Kind(StrEnum):
    NAME = "name"
    NUMBER = "number"
    COMPARISON = "comparison"
    OPEN = "open"
    CLOSE = "close"
    SKIPPED = "skipped"
    OTHER = "other"


_TOKEN: Final = re.compile(
    r"""
    (?P<skipped> \s+ | \#[^\n]* | \[[^\]]*\] )   # space, comment, range
  | (?P<text> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` )
  | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w:]) )
  | (?P<duration> (?:\d+[a-z]+)+ )
  | (?P<name> [a-zA-Z_:][\w:]* )
  | (?P<comparison> == | != | >= | <= | > | < )
  | (?P<open> \( ) | (?P<close> \) )
  | (?P<brace> [{}] )
  | (?P<other> . )
    """,
    re.VERBOSE,
)

_LABEL_LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset"}) | _LABEL_LISTS
_AGGREGATORS: Final = frozenset(
    {"sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values"}
    | {"bottomk", "topk", "quantile"}
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expression refers to.

    Attributes:
        metrics: Names of the series it selects.
        compared_with: Numbers that stand right after a comparison.
        compares: Whether it compares at all.
        has_bool: Whether a comparison returns 0 and 1 and so always has a value (T16).
        has_absent: Whether it asks for absence.

    """

    metrics: frozenset[str]
    compared_with: tuple[float, ...]
    compares: bool
    has_bool: bool
    has_absent: bool


def read_expression(expression: str) -> Reading:
    """Read an expression that promtool accepts."""
    tokens = list(_without_labels(expression))
    metrics: set[str] = set()
    numbers: list[float] = []
    words: set[str] = set()
    for position, (kind, text) in enumerate(tokens):
        following = tokens[position + 1] if position + 1 < len(tokens) else None
        if kind is _Kind.NAME:
            is_call = following is not None and following[0] is _Kind.OPEN
            if text in _WORDS or text in _AGGREGATORS or is_call:
                words.add(text)
            else:
                metrics.add(text)
        elif kind is _Kind.COMPARISON and following and following[0] is _Kind.NUMBER:
            numbers.append(float(following[1]))
    return Reading(
        metrics=frozenset(metrics),
        compared_with=tuple(numbers),
        compares=any(kind is _Kind.COMPARISON for kind, _ in tokens),
        has_bool="bool" in words,
        has_absent=bool(words & {"absent", "absent_over_time"}),
    )


def _without_labels(expression: str) -> Iterator[tuple[_Kind, str]]:
    """Tokens outside of `{…}` and of the label lists after `by`, `on` and the like."""
    in_braces = False
    list_depth = 0
    expects_list = False
    for match in _TOKEN.finditer(expression):
        group, text = match.lastgroup, match.group()
        if group == "skipped":
            continue
        if group == "brace":
            in_braces = text == "{"
            continue
        if in_braces:
            continue
        if list_depth:
            list_depth += {"open": 1, "close": -1}.get(group or "", 0)
            continue
        if expects_list and group == "open":
            list_depth, expects_list = 1, False
            continue
        expects_list = group == "name" and text in _LABEL_LISTS
        yield _kind_of(group), text


def _kind_of(group: str | None) -> _Kind:
    known = {kind.value: kind for kind in _Kind}
    return known.get(group or "", _Kind.OTHER)
