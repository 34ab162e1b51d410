"""A picture of the live view, for documents: the screen at the height of the incident, as SVG."""

import re
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console

from outbound_slo.demo.pager import PageState
from outbound_slo.demo.timeline import Phase, Timeline
from outbound_slo.demo.view import View, draw_screen
from outbound_slo.demo.watch import Snapshot
from outbound_slo.vocabulary.mistakes import UserMistake

_WIDTH = 132
_HEIGHT = 60
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


class Camera:
    """Shows snapshots through a view, and remembers the one that tells most.

    That is the last one in which an alert fires and the pager was called; without an incident, the
    first of all.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self.best: Snapshot | None = None

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._view.__exit__(kind, error, traceback)

    def show(self, snapshot: Snapshot) -> None:
        """Pass a snapshot on."""
        paged = any(page.state is PageState.FIRING for page in snapshot.pages)
        burning = snapshot.phase is Phase.INCIDENT and bool(snapshot.firing) and paged
        if self.best is None or burning:
            self.best = snapshot
        self._view.show(snapshot)


def check_place(path: Path) -> None:
    """Refuse a place for a picture before a whole demo is run for it.

    Raises:
        UserMistake: The directory is not there.

    """
    if not path.absolute().parent.is_dir():
        raise UserMistake(
            f"--picture {path}: there is no directory {path.absolute().parent}", "Make it first"
        )


def save_picture(path: Path, snapshot: Snapshot, timeline: Timeline) -> None:
    """Draw a snapshot as an SVG file, without the addresses, which are gone when it is looked at.

    Raises:
        UserMistake: The file can't be written.

    """
    console = Console(width=_WIDTH, file=StringIO(), record=True, force_terminal=True)
    console.print(draw_screen(snapshot, timeline, {}, _HEIGHT))
    # A picture in a document must not load fonts from somebody's server.
    text = _FONT_FACE.sub("", console.export_svg(title="make demo"))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise UserMistake(
            f"--picture {path} can't be written: {failure.strerror}", "Name another file"
        ) from failure
