"""The live view: what happens now, on a terminal with rich, or as plain lines elsewhere."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from outbound_slo.demo.pager import Page, PageState
from outbound_slo.demo.timeline import Phase, Timeline
from outbound_slo.demo.watch import QUEUE_STATES, Snapshot

_PHASE_STYLES = {
    Phase.WARM_UP: "bold cyan",
    Phase.INCIDENT: "bold white on red",
    Phase.RECOVERY: "bold yellow",
    Phase.SETTLE: "bold green",
}
_PHASE_WORDS = {
    Phase.WARM_UP: "all is well",
    Phase.INCIDENT: "the provider fails",
    Phase.RECOVERY: "healed; retries drain",
    Phase.SETTLE: "no new messages; the last receipts come in",
}
_BREAKER_STYLES = {"closed": "green", "half-open": "yellow", "open": "bold red"}
_STATE_STYLES = {"WAITING": "yellow", "FAILED": "red", "DELIVERED": "green"}
_MOST_PAGES = 6
# Lines of the screen that are always there: clock 5, two frames and a line of the right column 5.
_FIXED_LINES = 10
_LINES_PER_PAGE = 3
_PLAIN_EVERY_S = 10.0


class View(Protocol):
    """Something that shows snapshots; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest snapshot."""


def open_view(
    console: Console, timeline: Timeline, links: Mapping[str, str], *, plain: bool
) -> View:
    """Choose the live view for a terminal, lines for anything else or where asked for."""
    if plain or not console.is_terminal:
        return PlainView(console)
    return LiveView(console, timeline, links)


class LiveView:
    """One screen that is drawn again for each snapshot, and left as it is at the end."""

    def __init__(self, console: Console, timeline: Timeline, links: Mapping[str, str]) -> None:
        self._console = console
        self._timeline = timeline
        self._links = links
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the screen again."""
        screen = draw_screen(snapshot, self._timeline, self._links, self._console.size.height)
        self._live.update(screen, refresh=True)


class PlainView:
    """A line for each change of phase, alert and page, and one every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Snapshot | None = None
        self._last_line_s = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the lines where they are."""

    def show(self, snapshot: Snapshot) -> None:
        """Print what changed since the snapshot before."""
        lines = list(describe_changes(self._last, snapshot))
        if lines or snapshot.elapsed_s - self._last_line_s >= _PLAIN_EVERY_S:
            lines.append(describe_queue(snapshot))
            self._last_line_s = snapshot.elapsed_s
        for line in lines:
            stamped = f"{snapshot.elapsed_s:6.1f}s  {line}"
            self._console.print(stamped, markup=False, highlight=False, soft_wrap=True)
        self._last = snapshot


def describe_changes(before: Snapshot | None, now: Snapshot) -> Sequence[str]:
    """Tell in lines what is new: phase, breaker, alerts, pages."""
    lines: list[str] = []
    if before is None or before.phase is not now.phase:
        lines.append(f"== {now.phase}: {_PHASE_WORDS[now.phase]}")
    if before is not None and before.breaker != now.breaker:
        lines.append(f"circuit breaker: {now.breaker or 'unknown'}")
    known = set(before.firing) if before else set()
    lines += [f"alert fires in Prometheus: {name}" for name in now.firing if name not in known]
    lines += [f"alert ended in Prometheus: {n}" for n in sorted(known) if n not in now.firing]
    pages = now.pages[len(before.pages) if before else 0 :]
    lines += [f"PAGE {describe_page(page)}" for page in pages]
    return lines


def describe_page(page: Page) -> str:
    """Write a page in one line."""
    kind = f"{page.state.upper()} {page.priority} {page.severity}".replace("  ", " ")
    return f"{kind} {page.alert}: {page.summary} ({page.runbook_url})"


def describe_queue(snapshot: Snapshot) -> str:
    """Write the queue and the rates in one line."""
    queue = " ".join(f"{state.lower()}={snapshot.queue.get(state, 0)}" for state in QUEUE_STATES)
    rates = " ".join(f"{name}={value:.1f}/s" for name, value in snapshot.rates.items())
    return f"{queue} | {rates} | breaker {snapshot.breaker or 'unknown'}"


def draw_screen(
    snapshot: Snapshot, timeline: Timeline, links: Mapping[str, str], height: int
) -> RenderableType:
    """Draw the whole screen from one snapshot.

    Args:
        snapshot: What to show.
        timeline: The phases.
        links: Names and addresses to look at; left out where the terminal is too low for them.
        height: Lines of the terminal. As many of the newest pages are shown as fit.

    """
    alert_lines = len(snapshot.firing) + len(snapshot.pending)
    room = height - _FIXED_LINES - alert_lines
    fitting = min(_MOST_PAGES, max(1, room // _LINES_PER_PAGE))
    body = Table.grid(expand=True, padding=(0, 1))
    body.add_column(ratio=2)
    body.add_column(ratio=3)
    body.add_row(
        Group(_draw_queue(snapshot), _draw_rates(snapshot)),
        Group(_draw_alerts(snapshot), _draw_pages(snapshot, fitting)),
    )
    has_room = room - _MOST_PAGES * _LINES_PER_PAGE >= len(links)
    return Group(_draw_clock(snapshot, timeline), body, *([_draw_links(links)] if has_room else []))


def _draw_clock(snapshot: Snapshot, timeline: Timeline) -> RenderableType:
    line = Text()
    for stretch in timeline.stretches:
        style = _PHASE_STYLES[stretch.phase] if stretch.phase is snapshot.phase else "dim"
        line.append(f" {stretch.phase} ", style=style)
        line.append(f" until {stretch.end_s:.0f} s   ", style="dim")
    words = f"{snapshot.elapsed_s:.0f} of {snapshot.duration_s:.0f} s: "
    return Panel(
        Group(
            line,
            Text(words + _PHASE_WORDS[snapshot.phase]),
            # Last, since rich ends a bar without a line break.
            ProgressBar(total=snapshot.duration_s, completed=snapshot.elapsed_s),
        ),
        title="outbound-slo demo",
    )


def _draw_queue(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(ratio=1)
    top = max(snapshot.queue.values(), default=0) or 1
    for state in QUEUE_STATES:
        count = snapshot.queue.get(state, 0)
        style = _STATE_STYLES.get(state, "cyan")
        table.add_row(
            state.lower(),
            str(count),
            ProgressBar(total=top, completed=count, complete_style=style, finished_style=style),
        )
    return Panel(table, title=f"outbox, {snapshot.queued} messages queued so far")


def _draw_rates(snapshot: Snapshot) -> RenderableType:
    line = Text()
    for outcome, rate in snapshot.rates.items():
        line.append(f"{outcome} {rate:.1f}/s   ", style="red" if outcome == "failed" else "green")
    line.append("\ncircuit breaker ")
    line.append(snapshot.breaker or "unknown", style=_BREAKER_STYLES.get(snapshot.breaker, "dim"))
    return Panel(line, title="sending")


def _draw_alerts(snapshot: Snapshot) -> RenderableType:
    line = Text()
    for name in snapshot.firing:
        line.append(f"{name} fires\n", style="bold red")
    for name in snapshot.pending:
        line.append(f"{name} is pending\n", style="yellow")
    if not snapshot.firing and not snapshot.pending:
        line.append("none", style="green")
    line.rstrip()
    return Panel(line, title="alerts in Prometheus")


def _draw_pages(snapshot: Snapshot, count: int) -> RenderableType:
    lines = Text()
    for page in snapshot.pages[-count:]:
        style = "bold red" if page.state is PageState.FIRING else "green"
        lines.append(f"{page.received_at.astimezone():%H:%M:%S} ", style="dim")
        lines.append(f"{page.state} {page.priority} {page.severity} {page.alert}\n", style=style)
        lines.append(f"  {page.summary}\n  {page.runbook_url}\n")
        # A line each, or a page would take more room than was counted.
        lines.no_wrap, lines.overflow = True, "ellipsis"
    if not snapshot.pages:
        lines.append("quiet", style="green")
    lines.rstrip()
    return Panel(lines, title="pager")


def _draw_links(links: Mapping[str, str]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name, url in links.items():
        table.add_row(Text(name, style="dim"), Text(url, style=f"link {url}"))
    return table
