"""One small wrong change at a time in a PromQL expression: what a slip of the pen would make of it.

Pure: nothing here asks whether a change is still PromQL, or whether it changes anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerts.expressions import LABEL_LISTS, Token, tokenize
from alerts.timing import format_duration, parse_duration

_COMPARISONS: Final[Mapping[str, tuple[str, ...]]] = {
    ">": (">=", "<", "=="),
    ">=": (">", "<", "=="),
    "<": ("<=", ">", "=="),
    "<=": ("<", ">", "=="),
    "==": ("!=", ">="),
    "!=": ("==",),
}
_SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "and": ("or", "unless"),
    "or": ("and", "unless"),
    "unless": ("and", "or"),
}
_ARITHMETIC: Final[Mapping[str, str]] = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*"}
_AGGREGATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "sum": ("max", "min"),
    "max": ("sum", "min"),
    "min": ("sum", "max"),
    "avg": ("sum", "max"),
    "count": ("sum",),
    "group": ("sum",),
    "topk": ("bottomk",),
    "bottomk": ("topk",),
}
_FUNCTIONS: Final[Mapping[str, str]] = {
    "min_over_time": "max_over_time",
    "max_over_time": "min_over_time",
    "avg_over_time": "max_over_time",
    "sum_over_time": "max_over_time",
    "last_over_time": "min_over_time",
    "count_over_time": "sum_over_time",
    "rate": "increase",
    "increase": "rate",
    "irate": "increase",
    "delta": "increase",
    "changes": "resets",
    "resets": "changes",
    "floor": "ceil",
    "ceil": "floor",
}
_WRAPPERS: Final = frozenset({"clamp_min", "clamp_max", "abs", "absent", "round", "scalar"})
# Far from zero a step of one says nothing: nobody means the difference of 200,000 and 200,001.
_COUNTED_ONE_BY_ONE: Final = 10_000
_MATCHERS: Final[Mapping[str, str]] = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


@dataclass(frozen=True, slots=True)
class Change:
    """A changed expression.

    Attributes:
        kind: What was changed: number, comparison, window, matcher, …
        before: The words that were changed.
        after: What stands in their place; empty where they were left out.
        start: Where, in characters of the original.
        expression: The whole of it after the change.

    """

    kind: str
    before: str
    after: str
    start: int
    expression: str


def change_expression(expression: str) -> Iterator[Change]:
    """Give all changes, in the order in which they stand in the expression."""
    tokens = tokenize(expression)
    found: list[Change] = []
    for position, token in enumerate(tokens):
        for kind, find in _FINDERS.items():
            for start, end, after in find(tokens, position, expression):
                before = expression[start:end]
                changed = expression[:start] + after + expression[end:]
                found.append(Change(kind, before, after, token.start, changed))
    yield from found


Span = tuple[int, int, str]
"""From where, to where (exclusive), and what to put there."""


def _whole(token: Token, *replacements: str) -> Iterator[Span]:
    for replacement in replacements:
        yield token.start, token.end, replacement


def _change_number(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    token = tokens[position]
    if token.kind != "number" or token.in_braces:
        return
    value = float(token.text)
    if not value.is_integer():
        yield from _whole(token, f"{value * 1.1:.6g}", f"{value * 0.9:.6g}")
    elif _is_compared(tokens, position):
        step = 1 if abs(value) <= _COUNTED_ONE_BY_ONE else abs(value) * 0.01
        yield from _whole(token, f"{value + step:.10g}", f"{value - step:.10g}")
    elif value == 0:
        yield from _whole(token, "1")
    else:
        yield from _whole(token, f"{value * 2:.10g}", "0")


def _is_compared(tokens: Sequence[Token], position: int) -> bool:
    neighbours = [tokens[place] for place in (position - 1, position + 1) if _is_in(tokens, place)]
    return any(token.kind == "comparison" or token.text == "bool" for token in neighbours)


def _is_in(tokens: Sequence[Token], position: int) -> bool:
    return 0 <= position < len(tokens)


def _change_comparison(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    token = tokens[position]
    if token.kind == "comparison" and not token.in_braces:
        yield from _whole(token, *_COMPARISONS[token.text])


def _change_word(words: Mapping[str, Sequence[str]], *, call: bool) -> "_Finder":
    """Make a finder of names: of calls (`max(`, `max by`), or of words between operands."""

    def find(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
        token = tokens[position]
        if token.kind == "name" and token.text in words and not (token.in_braces or token.in_list):
            following = tokens[position + 1].text if _is_in(tokens, position + 1) else ""
            if not call or following == "(" or following in LABEL_LISTS:
                yield from _whole(token, *words[token.text])

    return find


def _change_arithmetic(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    token = tokens[position]
    if token.kind != "other" or token.in_braces or token.text not in _ARITHMETIC or not position:
        return
    before = tokens[position - 1]
    if before.kind in {"comparison", "open", "other"} or before.text in _SETS:
        return  # a sign, no operator
    # `0 * x` fills in zeros; `0 / x` does the same for all but an x of zero.
    yield from _whole(token, "+" if before.text == "0" else _ARITHMETIC[token.text])


def _change_window(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    token = tokens[position]
    if token.kind != "range":
        return
    window, colon, step = token.text[1:-1].partition(":")
    yield from _whole(token, *(f"[{each}{colon}{step}]" for each in _half_and_double(window)))


def _change_offset(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    token = tokens[position]
    if token.kind == "duration" and position and tokens[position - 1].text == "offset":
        yield from _whole(token, *_half_and_double(token.text))


def _half_and_double(duration: str) -> tuple[str, str]:
    seconds = parse_duration(duration.strip())
    return format_duration(seconds / 2), format_duration(seconds * 2)


def _change_matcher(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    """Turn a matcher round, leave it out, name another value, or one alternative fewer."""
    name = tokens[position]
    if not (name.in_braces and name.kind == "name"):
        return
    value_at = next(
        place for place in range(position + 1, len(tokens)) if tokens[place].kind == "text"
    )
    value = tokens[value_at]
    operator = "".join(token.text for token in tokens[position + 1 : value_at])
    quote, text = value.text[0], value.text[1:-1]
    yield name.start, value.end, f"{name.text}{_MATCHERS[operator]}{value.text}"
    yield _without_matcher(tokens, position, value_at)
    alternatives = text.split("|")
    if operator in {"=~", "!~"} and len(alternatives) > 1:
        for left_out in alternatives:
            rest = "|".join(each for each in alternatives if each != left_out)
            yield value.start, value.end, f"{quote}{rest}{quote}"
    elif operator == "=":
        yield value.start, value.end, f"{quote}{text}_other{quote}"


def _without_matcher(tokens: Sequence[Token], first: int, last: int) -> Span:
    """Leave a matcher out, with the comma after it, or before it where it is the last."""
    start, end = tokens[first].start, tokens[last].end
    if tokens[last + 1].text == ",":
        end = tokens[last + 1].end
    elif tokens[first - 1].text == ",":
        start = tokens[first - 1].start
    return start, end, ""


def _change_labels(tokens: Sequence[Token], position: int, _: str) -> Iterator[Span]:
    """Leave one label out of a list after `by`, `on` and the like."""
    token = tokens[position]
    if not (token.in_list and token.kind == "name"):
        return
    start, end = token.start, token.end
    if tokens[position + 1].text == ",":
        end = tokens[position + 2].start
    elif tokens[position - 1].text == ",":
        start = tokens[position - 1].start
    yield start, end, ""


def _remove_wrapper(tokens: Sequence[Token], position: int, expression: str) -> Iterator[Span]:
    """Put a function's first argument in the place of its call."""
    token = tokens[position]
    if token.text not in _WRAPPERS or token.kind != "name" or token.in_braces or token.in_list:
        return
    if not _is_in(tokens, position + 1) or tokens[position + 1].kind != "open":
        return
    depth, first_ends = 0, 0
    for each in tokens[position + 1 :]:
        depth += {"open": 1, "close": -1}.get(each.kind, 0)
        is_comma = each.text == "," and depth == 1 and not (each.in_braces or each.in_list)
        if is_comma and not first_ends:
            first_ends = each.start
        if not depth:
            argument = expression[tokens[position + 1].end : first_ends or each.start]
            yield token.start, each.end, f"({argument})"
            return


_Finder = Callable[[Sequence[Token], int, str], Iterator[Span]]

_FINDERS: Final[Mapping[str, _Finder]] = {
    "number": _change_number,
    "comparison": _change_comparison,
    "set": _change_word(_SETS, call=False),
    "arithmetic": _change_arithmetic,
    "window": _change_window,
    "offset": _change_offset,
    "matcher": _change_matcher,
    "labels": _change_labels,
    "aggregation": _change_word(_AGGREGATIONS, call=True),
    "function": _change_word({name: (other,) for name, other in _FUNCTIONS.items()}, call=True),
    "wrapper": _remove_wrapper,
}
