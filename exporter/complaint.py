"""How a mistake in a file is told: the file, the key, the value, the mend."""

import json
from dataclasses import dataclass

from outbound_slo.vocabulary.mistakes import UserMistake

_SHOWN_CHARACTERS = 60


def show(value: object) -> str:
    """Write a value of the document for an error line, shortened to fit it."""
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 3]}..."


@dataclass(frozen=True, slots=True)
class Complaint:
    """Makes the mistakes of one file.

    Attributes:
        where: The file's name.

    """

    where: str

    def about(self, key: str, what: str, mend: str) -> UserMistake:
        """Make a mistake; `what` continues a sentence that begins with the file and the key."""
        return UserMistake(f"{self.where}: {key} {what}", mend)
