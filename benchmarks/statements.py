"""What PostgreSQL spends on each of the sender's named statements, by pg_stat_statements.

The server's own account of a running sender: it holds whatever way the sender goes from a due
message to a claimed one, and no clock of a client's is in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import psycopg

from outbound_slo.database import load_queries

_COMMENT = re.compile(r"--[^\n]*")
_VALUE = re.compile(r"'(?:[^']|'')*'|%\(\w+\)s|\$\d+")
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
# The server counts these as constants and replaces them.
_CONSTANTS = frozenset({"true", "false", "null", "epoch"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What a statement cost the server.

    Attributes:
        calls: How often it ran.
        seconds: Wall time in the server, waits for processor and disk among it.
        rows: Rows that it gave or touched.
        blocks: Pages that it looked at, in memory or not: the same on a busy machine.

    """

    calls: int = 0
    seconds: float = 0.0
    rows: int = 0
    blocks: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.rows + other.rows,
            self.blocks + other.blocks,
        )


def fingerprint(statement: str) -> str:
    """Reduce a statement to its words: the server keeps those and numbers all values."""
    bare = _VALUE.sub(" ", _COMMENT.sub(" ", statement)).lower()
    return " ".join(word for word in _WORD.findall(bare) if word not in _CONSTANTS)


def _known_blocks() -> Mapping[str, str]:
    blocks: dict[str, str] = {}
    for file in resources.files("sender").joinpath("sql").iterdir():
        for name, text in load_queries("sender", f"sql/{file.name}").items():
            blocks[fingerprint(text)] = name
    return blocks


def reset_statements(server: str) -> None:
    """Forget all that was counted."""
    with psycopg.connect(server) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")


def read_statements(server: str, database: str) -> Mapping[str, Cost]:
    """Read the costs by the name of the statement's block; all others are `other`.

    Args:
        server: URL of a database that has the extension.
        database: Name of the database whose statements are wanted.

    """
    blocks = _known_blocks()
    with psycopg.connect(server) as connection:
        rows = connection.execute(
            "SELECT s.query, s.calls, s.total_exec_time / 1000, s.rows,"
            "       s.shared_blks_hit + s.shared_blks_read"
            "  FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = %s",
            [database],
        ).fetchall()
    costs: dict[str, Cost] = {}
    for query, *numbers in rows:
        name = blocks.get(fingerprint(query), "other")
        costs[name] = costs.get(name, Cost()) + Cost(*numbers)
    return costs
