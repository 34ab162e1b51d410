"""The pages in docs/runbooks: where they lie, and their parts that are generated, put in place.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`. A page without the
marks, written by hand as yet, gets them: the table of tiers below its title, the rest below the
headings they belong to. All else of a page is a person's and stays as it is.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from alerts.blocks import write_detection, write_escalation, write_recovery, write_tiers
from alerts.catalogue import GROUPS
from alerts.detection import Pace
from alerts.rule import Alert
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake

SECTIONS: Final = (
    "Meaning",
    "Impact",
    "Diagnosis",
    "Mitigation",
    "Recovered when",
    "Escalation",
)
"""Headings of every page, in order."""

DIRECTORY: Final = "docs/runbooks"
"""Where the pages lie, from the project's root."""

_PACKAGE: Final = Path(__file__).resolve().parent
_PLACES: Final = {"recovery": "Recovered when", "escalation": "Escalation"}
_END: Final = "<!-- end -->"
_BLOCK: Final = re.compile(
    r"<!-- generated: (?P<name>[a-z-]+) -->\n.*?<!-- end -->\n\n?", re.DOTALL
)
_MARK: Final = re.compile(r"<!-- (?:generated: [a-z-]+|end) -->\n\n?")
_TABLE: Final = re.compile(r"(?:\|.*\n)+")


def collect_tiers() -> Mapping[AlertName, tuple[Alert, ...]]:
    """Collect the tiers of each alert, mildest first.

    An alert that every objective has comes once, as its first objective has it.
    """
    tiers: dict[AlertName, dict[int, Alert]] = {name: {} for name in AlertName}
    for group in GROUPS:
        for alert in group.alerts:
            tiers[alert.name].setdefault(alert.tier, alert)
    return {name: tuple(found[tier] for tier in sorted(found)) for name, found in tiers.items()}


def describe_tiers(name: str) -> str:
    """Write an alert's tiers as the Markdown table that its page begins with."""
    return write_tiers(collect_tiers()[AlertName(name)]) + "\n"


def find_pages() -> Path:
    """Find the directory of the pages: the checkout's, else those that were installed.

    Raises:
        UserMistake: There is neither.

    """
    for directory in (_PACKAGE / "runbooks", _PACKAGE.parent / DIRECTORY):
        if directory.is_dir():
            return directory
    raise UserMistake(
        "The alerts' pages are not installed", "Install the wheel, or run this in a checkout"
    )


def read_page(name: AlertName) -> str:
    """Read an alert's page as people read it, without the marks.

    Raises:
        UserMistake: The alert has no page.

    """
    path = find_pages() / f"{name}.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserMistake(
            f"{path} can't be read: {error.strerror}", "Install the project again"
        ) from None
    return _MARK.sub("", text)


def build_pages(root: Path) -> Mapping[str, str]:
    """Bring the generated parts of a checkout's pages up to date.

    Args:
        root: The project's directory; pages that are not there are left to the tests.

    Returns:
        Path from the root to text, for every alert that has tiers and a page.

    """
    pace = Pace.production()
    files = {}
    for name, tiers in collect_tiers().items():
        path = root / DIRECTORY / f"{name}.md"
        if tiers and path.is_file():
            text = path.read_text(encoding="utf-8")
            files[f"{DIRECTORY}/{name}.md"] = refresh_page(text, build_blocks(tiers, pace))
    return files


def build_blocks(tiers: tuple[Alert, ...], pace: Pace) -> Mapping[str, str]:
    """Build the generated parts by name, in the order of a page; one may be empty."""
    return {
        "tiers": write_tiers(tiers),
        "detection": write_detection(tiers, pace),
        "recovery": write_recovery(tiers),
        "escalation": write_escalation(tiers),
    }


def refresh_page(page: str, blocks: Mapping[str, str]) -> str:
    """Put the generated parts in place; the same page comes out if it is done again.

    Raises:
        UserMistake: The page has a mark of another name, or lacks a title or heading.

    """
    present = {found["name"] for found in _BLOCK.finditer(page)}
    unknown = present - blocks.keys()
    if unknown:
        raise UserMistake(
            f"A page has the mark 'generated: {min(unknown)}', and nothing makes that",
            f"Use {', '.join(blocks)}, or take it out",
        )
    for name, body in blocks.items():
        if name in present:
            page = _BLOCK.sub(partial(_replace, name, body), page)
        elif body:
            page = _insert(page, name, body)
    return page


def _replace(name: str, body: str, found: re.Match[str]) -> str:
    if found["name"] != name:
        return found[0]
    gap = "\n" if found[0].endswith("\n\n") else ""
    return _write_block(name, body) + gap if body else ""


def _insert(page: str, name: str, body: str) -> str:
    before, after = _split(page, name)
    if name == "tiers":
        # A table that was written by hand gives way to the generated one.
        after = _TABLE.sub("", after, count=1) if after.startswith("|") else after
    part = _write_block(name, body)
    return f"{before.rstrip()}\n\n{part}\n{after.lstrip()}".rstrip() + "\n"


def _split(page: str, name: str) -> tuple[str, str]:
    """Split a page where a part belongs: below the title, below the tiers, below a heading."""
    pattern = {
        "tiers": r"\A# .+\n\n",
        "detection": r"(?s)\A.*?<!-- generated: tiers -->\n.*?<!-- end -->\n\n?",
    }.get(name) or rf"(?m)^## {_PLACES[name]}\n\n?"
    found = re.search(pattern, page)
    if found is None:
        raise UserMistake(
            f"A page has no place for its part '{name}'",
            "Begin it with '# ' and the alert's name, and give it all headings",
        )
    return page[: found.end()], page[found.end() :]


def _write_block(name: str, body: str) -> str:
    return f"<!-- generated: {name} -->\n\n{body}\n\n{_END}\n"
