"""SQL text to single statements, each with its place in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Whatever may hold a semicolon that ends nothing, then the semicolon that does.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted>  '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<end>     ; )
    | (?P<space>   \s+ )
    | (?P<other>   [^\s;'"/-]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement without its semicolon; `start` and `stop` are offsets into the text."""

    text: str
    start: int
    stop: int


def split_statements(text: str) -> Iterator[Piece]:
    """Cut SQL at its semicolons; comments before a statement are no part of it."""
    start: int | None = None
    stop = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end":
            if start is not None:
                yield Piece(text[start:stop], start, stop)
            start = None
        elif token.lastgroup in {"quoted", "other"}:
            start = token.start() if start is None else start
            stop = token.end()
    if start is not None:
        yield Piece(text[start:stop], start, stop)
