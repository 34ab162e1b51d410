"""What a replay prints: a row per page, ticket or alert, as a table or as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.replay.delivery import Delivery
from alerts.replay.pages import Call, collect_calls
from alerts.replay.pending import Firing
from alerts.replay.tape import Labels, sort_labels
from outbound_slo.vocabulary.alerts import AlertName

_WIDE_ENOUGH: Final = 140


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it was told, or would have been.

    Attributes:
        at_s: Unix seconds.
        kind: page, ticket, or firing where nobody was told.
        alert: Its name.
        tier: Its tier.
        channel: Its channel.
        to: The receiver; empty where nobody was told.
        summary: Its summary.
        over_s: When it was over; None if it was not.

    """

    at_s: float
    kind: str
    alert: str
    tier: str
    channel: str
    to: str
    summary: str
    over_s: float | None

    def as_json(self) -> Mapping[str, Any]:
        """Give the row for machines."""
        return {
            "at": format_instant(self.at_s),
            "kind": self.kind,
            "alert": self.alert,
            "tier": self.tier,
            "channel": self.channel,
            "to": self.to,
            "summary": self.summary,
            "over": None if self.over_s is None else format_instant(self.over_s),
        }


def format_instant(at_s: float) -> str:
    """Write Unix seconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(round(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def list_told(
    firings: Sequence[Firing], delivery: Delivery | None, silent: frozenset[str]
) -> Sequence[Told]:
    """List what was told, by time; without a delivery, what fired."""
    if delivery is None:
        return [
            Told(
                firing.start_s,
                "firing",
                firing.alert,
                firing.label("tier"),
                firing.label("channel"),
                "",
                firing.summary,
                firing.end_s,
            )
            for firing in firings
            if firing.alert != AlertName.WATCHDOG
        ]
    calls = collect_calls(delivery.notifications, silent)
    rows = [row for call in calls for row in _rows_of(call, firings)]
    return sorted(rows, key=lambda row: (row.at_s, row.to, row.alert))


def _rows_of(call: Call, firings: Sequence[Firing]) -> Iterator[Told]:
    for identity in sorted(call.first):
        labels = dict(identity)
        yield Told(
            call.at_s,
            "page" if call.wakes else "ticket",
            labels["alertname"],
            labels.get("tier", ""),
            labels.get("channel", ""),
            call.receiver,
            _summary_of(identity, call.at_s, firings),
            call.over_s,
        )


def _summary_of(identity: Labels, at_s: float, firings: Sequence[Firing]) -> str:
    """Find the summary with which the alert last began to fire."""
    alike = [
        firing
        for firing in firings
        if sort_labels(dict(firing.labels) | {"alertname": firing.alert}) == identity
    ]
    before = [firing for firing in alike if firing.start_s <= at_s]
    chosen = before[-1:] or alike[:1]
    return chosen[0].summary if chosen else ""


def print_told(console: Console, rows: Sequence[Told]) -> None:
    """Print the rows for people."""
    if not rows:
        console.print("Nothing would have fired.")
        return
    # Side by side, eight columns leave a summary a dozen letters in a terminal of 80.
    is_narrow = console.width < _WIDE_ENOUGH
    table = Table(box=None, pad_edge=False)
    for heading in ("time (UTC)", "over", "kind", "to"):
        table.add_column(heading, no_wrap=True)
    for heading in ("alert",) if is_narrow else ("alert", "tier", "channel", "summary"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        about = (row.alert, row.tier, row.channel, row.summary)
        below = f"{row.alert}\ntier {row.tier}, {row.channel}: {row.summary}"
        table.add_row(
            format_instant(row.at_s)[:19].replace("T", " "),
            "" if row.over_s is None else format_instant(row.over_s)[11:19],
            row.kind,
            row.to,
            *(escape(each) for each in ((below,) if is_narrow else about)),
            style="bold" if row.kind == "page" else "",
        )
    console.print(table)
