"""A long run of one sender process: `make bench-soak`. Its last line of output is one JSON object.

A million messages by default, with all their receipts; `--messages` makes it shorter. What grows
with the number of messages handled would show in the resident memory between a tenth of the run
and its end.
"""

from typing import Annotated

import typer

from benchmarks.processor import resident_bytes
from benchmarks.report import Goal, Report
from benchmarks.stack import Stack
from benchmarks.throughput import Run, measure_drain

GOALS = (
    Goal("messages", "messages sent, each with three receipts"),
    Goal("rss_growth", "resident memory at the end over that at a tenth", at_most=1.1),
    Goal("messages_per_second", "sent per second by one process, all on"),
    Goal("lost", "messages lost or sent twice", at_most=0),
)

WARM_SHARE = 0.1
"""Share of the messages after which caches and pools have their size."""

_TELLS = 20


class _Memory:
    """Follows the sender's resident memory."""

    def __init__(self, stack: Stack, report: Report, messages: int) -> None:
        self._stack = stack
        self._report = report
        self._messages = messages
        self._told = 0
        self.warm = 0
        self.last = 0

    def watch(self, accepted: int) -> None:
        """Note the memory now; called every half second."""
        self.last = resident_bytes(self._stack.senders[0].pid)
        if not self.warm and accepted >= WARM_SHARE * self._messages:
            self.warm = self.last
        step = accepted * _TELLS // self._messages
        if step > self._told:
            self._told = step
            self._report.tell(f"{accepted} accepted, {self.last / 1e6:.0f} MB resident")


def run_soak(
    messages: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    batch_size: Annotated[int, typer.Option(help="Of our sender.")] = 100,
    concurrency: Annotated[int, typer.Option(help="Of our sender.")] = 128,
) -> None:
    """Send many messages through one process and see whether it grows."""
    report = Report(GOALS)
    with Stack(batch_size=batch_size, concurrency=concurrency) as stack:
        memory = _Memory(stack, report, messages)
        drain = measure_drain(stack, Run(messages), memory.watch)
    report.note("messages", messages)
    report.note("rss_growth", drain.sender_rss_mb * 1e6 / memory.warm)
    report.note("messages_per_second", drain.sent_per_s)
    report.note("lost", drain.lost)
    report.finish()


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(run_soak)
    app()
