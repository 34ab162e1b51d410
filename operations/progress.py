"""How far a change is, shown to whoever waits for it, and the two ways to stop it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Watch:
    """A progress bar with a rate on standard error, and whether somebody asked to stop."""

    def __init__(self, total: int, console: Console, *, shown: bool) -> None:
        """Count up to `total` rows."""
        self.bar = Progress(
            TextColumn("changing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not shown,
            transient=True,
        )
        self._console = console
        self._task = self.bar.add_task("changing", total=total, rate="")
        self._stopped = False

    def is_stopped(self) -> bool:
        """Whether the change is to end after the batch under way."""
        return self._stopped

    def advance(self, rows: int) -> None:
        """Note that a batch is done."""
        self.bar.advance(self._task, rows)
        speed = self.bar.tasks[0].finished_speed or self.bar.tasks[0].speed
        self.bar.update(self._task, rate=f"{speed:,.0f}/s" if speed else "")

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """End after this batch; asked for twice, end at once and let the batch be undone."""
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
        self._console.print("Ending after this batch; once more ends now and undoes the batch.")


@contextmanager
def watch_progress(total: int, *, shown: bool) -> Iterator[Watch]:
    """Show progress where a person sees it, and take SIGINT and SIGTERM for a wish to stop."""
    console = Console(stderr=True)
    watch = Watch(total, console, shown=shown and console.is_terminal)
    before = {each: signal.signal(each, watch.stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with watch.bar:
            yield watch
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
