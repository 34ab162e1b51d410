"""The table of a campaign, in Markdown: what was done, how often, and what came of it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tests.faults.judge import Verdict

_HEADINGS = (
    "Scenario",
    "What was done",
    "Messages",
    "Accepted",
    "Unknown",
    "Marked",
    "Duplicated",
    "Lost",
    "Violations",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One scenario's line.

    Attributes:
        unknown: Attempts whose outcome was unknown at some time.
        marked: Attempts marked as possible duplicates: the message went out again.
        duplicated: Acceptances beyond the first of a message.
        violations: How many things were found that must not be.

    """

    scenario: str
    done: str
    messages: int
    accepted: int
    unknown: int
    marked: int
    duplicated: int
    lost: int
    violations: int


def describe(scenario: str, done: str, verdict: Verdict) -> Line:
    """Turn a verdict into a line."""
    return Line(
        scenario=scenario,
        done=done,
        messages=verdict.messages,
        accepted=verdict.accepted,
        unknown=verdict.unknown,
        marked=verdict.marked,
        duplicated=verdict.duplicated,
        lost=verdict.lost,
        violations=len(verdict.violations),
    )


def render(lines: Iterable[Line]) -> str:
    """Write the table, with a line of sums."""
    rows = [_cells(line) for line in lines]
    sums = [sum(int(row[column]) for row in rows) for column in range(2, len(_HEADINGS))]
    table = [
        list(_HEADINGS),
        ["---"] * 2 + ["---:"] * (len(_HEADINGS) - 2),
        *rows,
        ["all", f"{len(rows)} scenarios", *map(str, sums)],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n"


def _cells(line: Line) -> list[str]:
    return [str(value) for value in asdict(line).values()]
