"""Sections of a dashboard: a heading, and panels below it placed from the section's own top."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import attr
from grafanalib import core

HEADING_HEIGHT = 1
"""Grid units that a heading takes."""

FIRST_HEADING_ID = 900
"""Numbers of headings: beyond those of panels, which people keep links to."""


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under one heading; their y counts from below it."""

    title: str
    panels: Sequence[core.Panel]


def stack(sections: Sequence[Section]) -> list[core.Panel]:
    """Put sections below each other, each with its heading."""
    return list(_stack(sections))


def _stack(sections: Sequence[Section]) -> Iterator[core.Panel]:
    top = 0
    for number, section in enumerate(sections):
        yield core.RowPanel(
            id=FIRST_HEADING_ID + number,
            title=section.title,
            gridPos=core.GridPos(h=HEADING_HEIGHT, w=24, x=0, y=top),
            collapsed=False,
        )
        top += HEADING_HEIGHT
        for panel in section.panels:
            place = panel.gridPos
            yield attr.evolve(panel, gridPos=attr.evolve(place, y=top + place.y))
        top += max(panel.gridPos.y + panel.gridPos.h for panel in section.panels)
