"""Reads as much of PromQL as the lint needs: names, comparisons and the numbers compared with.

promtool says whether an expression is PromQL at all; this asks what a well-formed one refers to.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
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
    (?P<skipped> \s+ | \#[^\n]* )
  | (?P<range> \[[^\]]*\] )
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

LABEL_LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset"}) | LABEL_LISTS
AGGREGATORS: Final = frozenset(
    {"sum", "min", "max", "avg", "group", "stddev", "stdvar", "count", "count_values"}
    | {"bottomk", "topk", "quantile"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an expression.

    Attributes:
        kind: range, text, number, duration, name, comparison, open, close, brace or other.
        text: As written.
        start: Where it starts, in characters.
        in_braces: Whether it belongs to a selector's matchers, between the braces.
        in_list: Whether it belongs to a list of labels after `by`, `on` and the like; so do the
            list's parentheses.

    """

    kind: str
    text: str
    start: int
    in_braces: bool
    in_list: bool

    @property
    def end(self) -> int:
        """Where the next character is."""
        return self.start + len(self.text)


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


@cache
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
            if text in _WORDS or text in AGGREGATORS or is_call:
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
    for token in tokenize(expression):
        if token.kind not in {"range", "brace"} and not (token.in_braces or token.in_list):
            yield _kind_of(token.kind), token.text


def tokenize(expression: str) -> Sequence[Token]:
    """Split an expression that promtool accepts; space and comments are left out."""
    tokens: list[Token] = []
    in_braces = False
    list_depth = 0
    expects_list = False
    for match in _TOKEN.finditer(expression):
        kind, text = str(match.lastgroup), match.group()
        if kind == "skipped":
            continue
        was_in_list = bool(list_depth)
        if kind == "brace":
            in_braces = text == "{"
        elif not in_braces and list_depth:
            list_depth += {"open": 1, "close": -1}.get(kind, 0)
        elif not in_braces and expects_list and kind == "open":
            list_depth = 1
        in_list = was_in_list or bool(list_depth)
        expects_list = kind == "name" and text in LABEL_LISTS and not (in_braces or list_depth)
        tokens.append(Token(kind, text, match.start(), in_braces, in_list))
    return tokens


def _kind_of(group: str | None) -> _Kind:
    known = {kind.value: kind for kind in _Kind}
    return known.get(group or "", _Kind.OTHER)
