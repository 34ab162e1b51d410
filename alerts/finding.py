"""Something that a check found wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to mend.

    Attributes:
        file: The file's name.
        subject: The rule, case or part that is wrong.
        what: What is wrong with it, and what it should be.

    """

    file: str
    subject: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.subject}: {self.what}"
