"""Where the runbooks are: beside the project, or where OUTBOUND_SLO_SEEDS says."""

import os
from collections.abc import Mapping
from pathlib import Path

NUMBERS = ("000", "001", "002")
"""The runbooks whose database is ours; 003 and 004 describe other platforms."""

DIRECTORY_VARIABLE = "OUTBOUND_SLO_SEEDS"
PROJECT = Path(__file__).resolve().parents[2]


def runbook_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Give the directory of the runbooks, whether it exists or not."""
    named = environ.get(DIRECTORY_VARIABLE)
    return Path(named) if named else PROJECT.parent / "shared" / "seeds"


def read_runbooks(directory: Path) -> Mapping[str, str]:
    """Read the runbooks' texts by their numbers.

    Raises:
        FileNotFoundError: A runbook is absent, or there are two with its number.

    """
    texts: dict[str, str] = {}
    for number in NUMBERS:
        match sorted(directory.glob(f"{number}_*.txt")):
            case [file]:
                texts[number] = file.read_text("utf-8")
            case found:
                raise FileNotFoundError(f"{len(found)} runbooks {number}_*.txt in {directory}")
    return texts
