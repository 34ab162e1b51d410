"""Where the finished spans of a trace wait while it is open whether anybody shall see them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

Stages = Mapping[str, tuple[int, int]]
"""Spans by name: ns from the start of the attempt to theirs, and how long they took."""


@dataclass(slots=True)
class Shelf:
    """Holds what a trace's spans have become so far, until it is kept or dropped.

    Attributes:
        deliver: Takes the spans that are kept.

    """

    deliver: Callable[[bytes], None] | None
    _kept: bool | None = None
    _held: list[bytes] = field(default_factory=list)
    _times: list[tuple[str, int, int]] = field(default_factory=list)

    def take(self, name: str, start_ns: int, end_ns: int, span: bytes) -> None:
        """Take a finished span: hold it, pass it on, or forget it."""
        if self._kept is None:
            self._held.append(span)
            self._times.append((name, start_ns, end_ns))
        elif self._kept and self.deliver is not None:
            self.deliver(span)

    def stages(self, since_ns: int) -> Stages:
        """Tell when the spans held so far began, counted from `since_ns`, and what they took."""
        return {name: (start - since_ns, end - start) for name, start, end in self._times}

    def decide(self, *, keep: bool) -> None:
        """Keep or drop what is held and what comes; the last word counts for what comes."""
        self._kept = keep
        held, self._held = self._held, []
        if keep and self.deliver is not None:
            for span in held:
                self.deliver(span)


DROPPED: Final = Shelf(None, _kept=False)
"""For spans of traces that the head left out and nothing can bring back."""
