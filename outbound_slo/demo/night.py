"""What somebody on call would see at the height of the incident: `outbound-slo ops status`."""

import io
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from operations.facts import Facts
from operations.judgement import judge_facts, living
from operations.status_commands import read_facts
from operations.status_screen import draw_status
from outbound_slo.demo.pager import PageState
from outbound_slo.demo.scenario import OUTAGE_ALERTS
from outbound_slo.demo.timeline import Phase
from outbound_slo.demo.watch import Snapshot
from outbound_slo.vocabulary.errors import ErrorPolicy

STATUS_FILE = "ops-status.txt"

WIDTH = 100
"""Columns of the recording."""


@dataclass(slots=True)
class NightWatch:
    """Records the screen once: when the page has come and a sender tells of its open breaker.

    Senders tell every few seconds, so that a screen from before is taken first and replaced.

    Attributes:
        database: URL of the outbox.
        file: Where the recording goes.
        is_done: Whether the page and the open breaker have been seen together.

    """

    database: str
    file: Path
    is_done: bool = False

    def consider(self, snapshot: Snapshot) -> None:
        """Look, where somebody who was paged would look.

        Raises:
            UserMistake: The database does not answer.

        """
        paged = any(
            page.state is PageState.FIRING and page.alert in OUTAGE_ALERTS
            for page in snapshot.pages
        )
        if self.is_done or not paged or snapshot.phase is not Phase.INCIDENT:
            return
        facts = read_facts(self.database, None, ErrorPolicy.RUNBOOK)
        self.file.write_text(print_status(facts), encoding="utf-8")
        self.is_done = any("open" in sender.breakers.values() for sender in living(facts))


def print_status(facts: Facts) -> str:
    """Give the screen as a terminal without colours shows it."""
    screen = io.StringIO()
    console = Console(file=screen, width=WIDTH, color_system=None, highlight=False)
    draw_status(console, facts, judge_facts(facts))
    return "\n".join(line.rstrip() for line in screen.getvalue().splitlines()) + "\n"
