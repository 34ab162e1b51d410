"""A drill: one alert of no rule's, sent the way that real ones go, to see whether it arrives (T18).

It goes through Alertmanager and the pager, never through the sender: a drill over the channel that
is watched would prove nothing about the night on which that channel is down.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from alerts.addresses import check_address
from outbound_slo.embedded.alertmanager import AlertmanagerApi
from outbound_slo.vocabulary.alerts import (
    DRILL_ALERT,
    PAGE_LABEL,
    PRIORITIES,
    TEAM,
    Family,
    Level,
    Priority,
    Slo,
)
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

DRILL_CHANNEL: Final = "drill"
"""Value of the label `channel` unless one is named: no real alert has it."""

_LOOK_FOR_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Drill:
    """What to try.

    Attributes:
        level: Up to which level people are called.
        priority: P0 and P1 page; P2 and P3 make a ticket.
        ends_at: When the alert ends by itself.
        channel: Whose provider's support level 4 is, where each channel has its own.

    """

    level: Level
    priority: Priority
    ends_at: datetime
    channel: str = DRILL_CHANNEL

    @property
    def labels(self) -> dict[str, str]:
        """Labels as a rule would give them; this family neither silences nor is silenced."""
        return {
            "alertname": DRILL_ALERT,
            "severity": PRIORITIES[self.priority].severity.value,
            "priority": self.priority.value,
            "level": self.level.value,
            "family": Family.OBSERVATION.value,
            "tier": "1",
            "channel": self.channel,
            "team": TEAM,
            "slo": Slo.NONE.value,
            PAGE_LABEL: DRILL_ALERT,
        }

    def describe(self) -> dict[str, object]:
        """Write the alert as Alertmanager's API takes it."""
        return {
            "labels": self.labels,
            "annotations": {
                "summary": "A drill: nothing is wrong, say that you got it",
                "description": f"Somebody tries the way to {self.level}. It ends by itself.",
            },
            "endsAt": self.ends_at.isoformat(),
        }


def post_drill(api: AlertmanagerApi, drill: Drill) -> tuple[str, ...]:
    """Send a drill, and tell to which receivers Alertmanager routes it.

    Raises:
        UserMistake: Alertmanager does not answer, refuses it, or does not show it.

    """
    api.post_alerts([drill.describe()])
    deadline = time.monotonic() + _LOOK_FOR_S
    while time.monotonic() < deadline:
        for alert in api.alerts():
            if dict(alert.labels) == drill.labels:
                return alert.receivers
        time.sleep(_LOOK_EVERY_S)
    raise UserMistake(
        f"Alertmanager at {api.url} took the drill and does not show it", "See its log"
    )


def drill_paging(
    alertmanager: Annotated[str, typer.Option(help="Address of Alertmanager.")],
    level: Annotated[Level, typer.Option(help="Up to whom: L4 is the provider's support.")],
    priority: Annotated[
        Priority, typer.Option(help="P0 and P1 page, P2 and P3 make a ticket.")
    ] = Priority.P1,
    minutes: Annotated[
        float, typer.Option(min=1, max=60, help="After how long the alert ends by itself.")
    ] = 5,
    channel: Annotated[
        str | None, typer.Option(help="With L4: the channel whose provider's support is tried.")
    ] = None,
) -> None:
    """Send an alert that nothing is wrong, to see whether it arrives; really calls people."""
    ends_at = datetime.now(UTC) + timedelta(minutes=minutes)
    check_address(alertmanager, "--alertmanager")
    drill = Drill(level, priority, ends_at, _choose_channel(channel, level))
    receivers = post_drill(AlertmanagerApi(alertmanager), drill)
    typer.echo(
        f"{DRILL_ALERT} goes to {', '.join(receivers)} and ends at {ends_at:%H:%M:%S} UTC.\n"
        "Ask each of them whether it came; over another way than the messages that we send."
    )


def _choose_channel(text: str | None, level: Level) -> str:
    if text is None:
        return DRILL_CHANNEL
    known = [channel.label for channel in Channel]
    if text not in known:
        raise UserMistake(f"--channel {text} is no channel", f"Name one of {', '.join(known)}")
    if level is not Level.L4:
        raise UserMistake(
            f"--channel {text} means nothing for {level}",
            "Only the providers' support has channels",
        )
    return text
