"""Every SQL statement of a runbook, wherever it stands in the text.

Nothing is passed over: text in an SQL place that is neither a statement nor a list of tables
raises an error, and the tests count what was found.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.runbooks.splitting import split_statements

VERBS = (
    *("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CREATE", "COPY", r"\COPY"),
    *("VACUUM", "REINDEX", "CHECKPOINT"),
)

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^ *```", re.MULTILINE | re.DOTALL
)
_HEREDOC = re.compile(
    r"psql[^\n]*<<'?(?P<tag>\w+)'?[^\n]*\n(?P<sql>.*?)^(?P=tag)$", re.MULTILINE | re.DOTALL
)
_COMMAND = re.compile(
    r"""psql[^\n]*-c\ (?: "(?P<plain>[^"]*)" | \\"(?P<escaped>[^"]*)\\" )""", re.VERBOSE
)
_VARIABLE = re.compile(r'^QUERY="(?P<sql>[^"]*)"', re.MULTILINE)
_INLINE = re.compile(r"`(?P<sql>SELECT [^`]*;)`")
_BOXED = re.compile(r"│(?P<sql> SELECT [^│\n]*│\n[^\n]*│ [^│\n]*;) *│")


class Origin(StrEnum):
    """Kinds of places where the runbooks keep SQL."""

    SQL_BLOCK = "sql block"
    COMMAND = "psql -c"
    HEREDOC = "psql here-document"
    VARIABLE = "shell variable"
    PROSE = "prose"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as the runbook has it, its shell variables unfilled, without the semicolon.

    Attributes:
        runbook: Its number, such as "001".
        line: Where it begins, counted from 1; comments before it are not counted in.
        last_line: Where it ends.
        block: Line of the block (fence, command or here-document) that it is part of.
        origin: What kind of place that is.
        text: The SQL.

    """

    runbook: str
    line: int
    last_line: int
    block: int
    origin: Origin
    text: str

    @property
    def place(self) -> str:
        """Short name of where it stands: `001:544`."""
        return f"{self.runbook}:{self.line}"

    @property
    def verb(self) -> str:
        """Its first word, in capitals."""
        return self.text.split(None, 1)[0].upper()


@dataclass(frozen=True, slots=True)
class TableList:
    """A block that is marked as SQL and only lists tables: name, then a comment, on each line."""

    runbook: str
    line: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A whole shell script, named by its second line (`# retry-messages.sh …`)."""

    runbook: str
    line: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A stretch of SQL: its offset in the runbook and the line of the block around it."""

    origin: Origin
    start: int
    sql: str
    block: int


def extract_statements(runbook: str, text: str) -> list[Statement]:
    """Find all statements of a runbook, in the order of the text.

    Raises:
        ValueError: An SQL place holds something that begins with no known verb.

    """
    found: list[Statement] = []
    for place in _places(text):
        if _is_table_list(place):
            continue
        for piece in split_statements(place.sql):
            statement = Statement(
                runbook=runbook,
                line=_line_at(text, place.start + piece.start),
                last_line=_line_at(text, place.start + piece.stop - 1),
                block=place.block,
                origin=place.origin,
                text=piece.text,
            )
            if statement.verb not in VERBS:
                raise ValueError(f"{statement.place}: {statement.verb} begins no statement we know")
            found.append(statement)
    return sorted(found, key=lambda statement: (statement.line, statement.block))


def extract_table_lists(runbook: str, text: str) -> list[TableList]:
    """Find the blocks that list tables."""
    return [
        TableList(runbook, place.block, tuple(re.findall(r"^(\w+)", place.sql, re.MULTILINE)))
        for place in _places(text)
        if _is_table_list(place)
    ]


def extract_scripts(runbook: str, text: str) -> list[Script]:
    """Find the shell scripts: blocks that begin with `#!/bin/bash` and name themselves."""
    scripts: list[Script] = []
    for fence in _FENCE.finditer(text):
        named = re.match(r"#!/bin/bash\n# ([\w.-]+\.sh)", fence["body"])
        if named:
            line = _line_at(text, fence.start())
            scripts.append(Script(runbook, line, named[1], fence["body"]))
    return scripts


def _places(text: str) -> Iterator[_Place]:
    for fence in _FENCE.finditer(text):
        offset = fence.start("body")
        block = _line_at(text, fence.start())
        match fence["language"]:
            case "sql":
                yield _Place(Origin.SQL_BLOCK, offset, fence["body"], block)
            case "bash":
                yield from _shell_places(text, fence["body"], offset)
            case "":
                # The right column of a decision chart, of which the left column is blanked out.
                for box in _BOXED.finditer(fence["body"]):
                    sql = re.sub(r"│\n[^\n]*│", lambda gap: _blank(gap[0]), box["sql"])
                    yield _Place(Origin.PROSE, offset + box.start("sql"), sql, block)
    for inline in _INLINE.finditer(text):
        line = _line_at(text, inline.start())
        yield _Place(Origin.PROSE, inline.start("sql"), inline["sql"], line)


def _shell_places(text: str, body: str, offset: int) -> Iterator[_Place]:
    for heredoc in _HEREDOC.finditer(body):
        start = offset + heredoc.start("sql")
        yield _Place(Origin.HEREDOC, start, heredoc["sql"], _line_at(text, start) - 1)
    for command in _COMMAND.finditer(body):
        group = "escaped" if command["plain"] is None else "plain"
        if command[group] != "$QUERY":
            start = offset + command.start(group)
            yield _Place(Origin.COMMAND, start, command[group], _line_at(text, start))
    for variable in _VARIABLE.finditer(body):
        start = offset + variable.start("sql")
        yield _Place(Origin.VARIABLE, start, variable["sql"], _line_at(text, start))


def _is_table_list(place: _Place) -> bool:
    lines = [line for line in place.sql.splitlines() if line and not line.startswith("--")]
    return place.origin is Origin.SQL_BLOCK and all(re.match(r"\w+ +-- ", line) for line in lines)


def _blank(text: str) -> str:
    """Spaces for characters, so that offsets stay true; line ends stay."""
    return re.sub(r"[^\n]", " ", text)


def _line_at(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
