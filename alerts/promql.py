"""PromQL as a tree: as much of its grammar as it takes to follow labels through an expression.

promtool says whether an expression is PromQL; what it refuses is refused here too, less helpfully.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerts.expressions import AGGREGATORS, Token, tokenize

_PRECEDENCE: Final[Mapping[str, int]] = {
    "or": 1,
    "and": 2,
    "unless": 2,
    **dict.fromkeys(("==", "!=", ">", "<", ">=", "<="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
SETS: Final = frozenset({"and", "or", "unless"})
COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})


class NotPromQLError(ValueError):
    """The expression can't be read."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a string, as written."""

    text: str

    @property
    def number(self) -> float | None:
        """Its value; None for a string."""
        try:
            return float(self.text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric with its matchers, each a label, an operator and a value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function's call."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """An aggregation; `mode` is "by", "without" or empty."""

    operator: str
    mode: str
    labels: tuple[str, ...]
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """Two sides; `mode` is "on" or "ignoring", `group` "group_left" or "group_right", or empty."""

    operator: str
    left: "Node"
    right: "Node"
    mode: str = ""
    labels: tuple[str, ...] = ()
    group: str = ""
    included: tuple[str, ...] = ()


Node = Literal | Selector | Call | Aggregation | Binary


def parse(expression: str) -> Node:
    """Read an expression.

    Raises:
        NotPromQLError: It can't be read.

    """
    reader = _Reader(tokenize(expression))
    node = reader.read_operand(0)
    if reader.text:
        raise NotPromQLError(f"{reader.text!r} is not expected")
    return node


def walk(node: Node) -> Iterator[Node]:
    """Give a node and all nodes below it."""
    yield node
    match node:
        case Call(arguments=below) | Aggregation(arguments=below):
            for each in below:
                yield from walk(each)
        case Binary(left=left, right=right):
            yield from walk(left)
            yield from walk(right)


class _Reader:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def text(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    @property
    def _kind(self) -> str:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        found = self.text
        if not found or (expected and found != expected):
            raise NotPromQLError(
                f"{expected or 'something'} is missing before {found or 'the end'!r}"
            )
        self._at += 1
        return found

    def read_operand(self, least: int) -> Node:
        """Read operands joined by operators that bind at least as strongly."""
        left = self._read_unary()
        while (strength := _PRECEDENCE.get(self.text, 0)) and strength >= max(least, 1):
            operator = self._take()
            if self.text == "bool":
                self._take()
            mode, labels = self._read_list("on", "ignoring")
            group, included = self._read_list("group_left", "group_right")
            # Only ^ binds to the right.
            right = self.read_operand(strength if operator == "^" else strength + 1)
            left = Binary(operator, left, right, mode, labels, group, included)
        return left

    def _read_list(self, *words: str) -> tuple[str, tuple[str, ...]]:
        if self.text not in words:
            return "", ()
        word, labels = self._take(), []
        if self.text == "(":
            self._take()
            while self.text != ")":
                labels.append(self._take())
                if self.text == ",":
                    self._take()
            self._take(")")
        return word, tuple(labels)

    def _read_unary(self) -> Node:
        if self.text in {"+", "-"}:
            sign = self._take()
            operand = self.read_operand(_PRECEDENCE["^"])
            if isinstance(operand, Literal):
                return Literal(sign + operand.text)
            return Binary("*", Literal(f"{sign}1"), operand)
        return self._read_postfix(self._read_primary())

    def _read_postfix(self, node: Node) -> Node:
        """Skip ranges and offsets: they change no labels."""
        while self._kind == "range" or self.text in {"offset", "@"}:
            word = self._take()
            if word == "offset" and self.text == "-":
                self._take()
            if word in {"offset", "@"}:
                self._take()
                if self.text == "(":  # @ start()
                    self._take()
                    self._take(")")
        return node

    def _read_primary(self) -> Node:
        if self._kind in {"number", "text"}:
            return Literal(self._take())
        if self.text == "(":
            self._take()
            inside = self.read_operand(0)
            self._take(")")
            return inside
        if self.text == "{":
            return Selector("", self._read_matchers())
        if self._kind != "name":
            raise NotPromQLError(f"{self.text!r} is not expected")
        return self._read_named(self._take())

    def _read_named(self, name: str) -> Node:
        if name in AGGREGATORS and (self.text == "(" or self.text in {"by", "without"}):
            mode, labels = self._read_list("by", "without")
            arguments = self._read_arguments()
            if not mode:
                mode, labels = self._read_list("by", "without")
            return Aggregation(name, mode, labels, arguments)
        if self.text == "(":
            return Call(name, self._read_arguments())
        if name.lower() in {"inf", "nan"}:
            return Literal(name)
        return Selector(name, self._read_matchers() if self.text == "{" else ())

    def _read_arguments(self) -> tuple[Node, ...]:
        self._take("(")
        arguments = []
        while self.text != ")":
            arguments.append(self.read_operand(0))
            if self.text == ",":
                self._take()
        self._take(")")
        return tuple(arguments)

    def _read_matchers(self) -> tuple[tuple[str, str, str], ...]:
        self._take("{")
        matchers = []
        while self.text != "}":
            label, operator = self._take(), ""
            while self._kind in {"other", "comparison"}:
                operator += self._take()
            matchers.append((label, operator, self._take()[1:-1]))
            if self.text == ",":
                self._take()
        self._take("}")
        return tuple(matchers)
