"""Who is served next: lanes, shares and floors. Pure; the clock is passed in.

A lane is one organisation's open messages of one priority on one channel. A claim takes from many
lanes at once, the urgent ones first and the others in equal shares, so that a campaign of 100,000
delays nobody else's one-time code.

Messages that were claimed leave dead entries in the index, and while any transaction keeps an old
snapshot nothing may remove them. A floor per lane lets a claim begin behind them. Now and then the
floor is taken back, for messages that became visible below it; the more that costs, the rarer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from outbound_slo.vocabulary.statuses import Priority, Turn

LOOK_S = 0.25
"""Shortest time in seconds between two looks for lanes while there is work."""

REWIND_S = 1.0
"""Shortest time in seconds between two claims from a lane's very beginning."""

DUTY = 0.05
"""Largest share of the time that looks, and that rewinds, may take."""

KEEP_S = 60.0
"""Seconds that an empty lane is remembered."""

BULK_SHARE = 0.1
"""Share of a claim that bulk messages keep while others wait."""

WIDEST = 16
"""How many times its share a claim may look at in a lane where it only meets followers."""

MOST_PROBES = 8
"""Urgent lanes that seemed empty and are looked into with each claim."""

_ROUND = 10


class LaneKey(NamedTuple):
    """What makes a lane."""

    channel: str
    priority: int
    org_id: str


class Verdict(StrEnum):
    """What a claim made of a message.

    CLAIMED: it is in flight. PARKED: another one to its recipient is.
    LEFT: it was looked at and stays where it is.
    """

    CLAIMED = "CLAIMED"
    PARKED = "PARKED"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane as the database shows it.

    Attributes:
        key: Which lane.
        due_in_s: Seconds until its first message is due; 0 when it is.
        held_s: Seconds that the organisation is throttled, out of quota or switched off; else 0.
        quota_left: Messages left of the organisation's quota; None without one.

    """

    key: LaneKey
    due_in_s: float
    held_s: float
    quota_left: int | None


@dataclass(frozen=True, slots=True)
class Share:
    """What a claim may take of one lane: `share` messages beyond the floor."""

    key: LaneKey
    share: int
    after_due: datetime | None
    after_id: int


class Candidate(NamedTuple):
    """A message that a claim has looked at."""

    id: int
    key: LaneKey
    turn: Turn
    due_at: datetime
    verdict: Verdict


@dataclass(slots=True)
class _Lane:
    due_at_s: float
    held_until_s: float
    quota_left: int | None
    floor: tuple[datetime, int] | None = None
    seen_s: float = 0.0
    rewound_s: float = float("-inf")
    rewind_every_s: float = REWIND_S
    drained: bool = False
    suspected: bool = False
    stride: int = 1


@dataclass(slots=True)
class LaneBook:
    """What one process knows of the lanes; refreshed by looks, and by what claims bring."""

    _lanes: dict[LaneKey, _Lane] = field(default_factory=dict)
    _rests: dict[tuple[str, str], float] = field(default_factory=dict)
    _looked_s: float = float("-inf")
    _look_every_s: float = LOOK_S
    _turn: int = 0
    _places: dict[tuple[str, int], int] = field(default_factory=dict)

    def needs_look(self, now: float) -> bool:
        """Whether the last look is too old."""
        return now - self._looked_s >= self._look_every_s

    def next_look_s(self, now: float) -> float:
        """Seconds until the last look is too old."""
        return max(0.0, self._looked_s + self._look_every_s - now)

    def suspect_news(self) -> None:
        """Try every known lane again: a message was queued, and a look may cost more than that."""
        for lane in self._lanes.values():
            lane.drained = False
            lane.suspected = True

    def note_look(
        self,
        states: Sequence[LaneState],
        now: float,
        took_s: float,
        asked_s: float | None = None,
    ) -> None:
        """Take what a look has found; a look that took long makes the next one come later.

        Args:
            states: The lanes that it found.
            now: Monotonic time in seconds.
            took_s: Seconds that the server took.
            asked_s: When it was asked for, if that was before now.

        """
        self._looked_s = now if asked_s is None else asked_s
        self._look_every_s = max(LOOK_S, took_s / DUTY)
        known, self._lanes = self._lanes, {}
        for key, lane in known.items():
            if now - lane.seen_s < KEEP_S:
                # Empty now; its floor is worth keeping for the next message.
                lane.drained = True
                lane.due_at_s = float("inf")
                self._lanes[key] = lane
        for state in states:
            lane = known.get(state.key) or _Lane(0.0, 0.0, None)
            lane.due_at_s = now + state.due_in_s
            lane.held_until_s = now + state.held_s
            lane.quota_left = state.quota_left
            lane.drained = False
            lane.seen_s = now
            self._lanes[state.key] = lane
        self._rests = {lanes: end for lanes, end in self._rests.items() if end > now}

    def hold(self, channel: str, org_id: str, seconds: float, now: float) -> None:
        """Leave an organisation's messages on a channel alone: the provider asked for a pause."""
        lanes = (channel, org_id)
        self._rests[lanes] = max(self._rests.get(lanes, 0.0), now + seconds)

    def held(self, channel: str, now: float) -> list[str]:
        """Organisations whose messages on a channel are not to be claimed now."""
        stored = {
            key.org_id
            for key, lane in self._lanes.items()
            if key.channel == channel and lane.held_until_s > now
        }
        resting = {org for (name, org), end in self._rests.items() if name == channel and end > now}
        return sorted(stored | resting)

    def has_work(self, now: float, channels: Collection[str]) -> bool:
        """Whether some lane of these channels is believed to have messages that may go now."""
        return any(
            key.channel in channels and self._open(key, lane, now)
            for key, lane in self._lanes.items()
        )

    def next_due_s(self, now: float, channels: Collection[str]) -> float:
        """Seconds until something of these channels may go; infinity if nothing is known."""
        times = [
            max(
                lane.due_at_s,
                self._held_until(key, lane),
                lane.rewound_s + lane.rewind_every_s if lane.drained else now,
            )
            for key, lane in self._lanes.items()
            if key.channel in channels
        ]
        return max(0.0, min(times, default=float("inf")) - now)

    def plan(
        self, rooms: Mapping[str, int], now: float, in_flight: Mapping[str, int]
    ) -> list[Share]:
        """Share a claim among the lanes.

        Args:
            rooms: Messages wanted per channel.
            now: Monotonic time in seconds.
            in_flight: Messages of each organisation that this process has in flight, which its
                quota does not count yet.

        """
        self._turn += 1
        shares: list[Share] = []
        for channel, room in rooms.items():
            lanes = {
                priority: [
                    key
                    for key, lane in self._lanes.items()
                    if key.channel == channel
                    and key.priority == priority
                    and self._open(key, lane, now)
                ]
                for priority in Priority
            }
            for priority, part in _divide(room, lanes, self._turn).items():
                shares += self._share_out(lanes[priority], part, now, in_flight)
            shares += self._probe_urgent(channel, room, lanes[Priority.URGENT], now, in_flight)
        return shares

    def note_claim(
        self, shares: Sequence[Share], candidates: Iterable[Candidate], now: float, took_s: float
    ) -> None:
        """Move the floors behind what a claim took, and see which lanes are empty."""
        found: dict[LaneKey, list[Candidate]] = {}
        for candidate in candidates:
            if candidate.turn is Turn.OPEN:
                found.setdefault(candidate.key, []).append(candidate)
        for share in shares:
            lane = self._lanes.get(share.key)
            if lane is None:
                continue
            if share.after_due is None:
                lane.rewound_s = now
                lane.rewind_every_s = max(REWIND_S, took_s / DUTY)
            taken = found.get(share.key, [])
            parked = sum(candidate.verdict is Verdict.PARKED for candidate in taken)
            # A heap of followers is parked in a few strides, not in as many claims as messages.
            lane.stride = min(lane.stride * 2, WIDEST) if parked * 2 > share.share else 1
            lane.drained = len(taken) < share.share
            lane.suspected = lane.suspected and not lane.drained
            for candidate in taken:
                if candidate.verdict is Verdict.LEFT:
                    lane.drained = False
                    break
                lane.floor = (candidate.due_at, candidate.id)

    def _probe_urgent(
        self,
        channel: str,
        room: int,
        served: Sequence[LaneKey],
        now: float,
        in_flight: Mapping[str, int],
    ) -> list[Share]:
        """Look in passing into urgent lanes that seemed empty: nobody there waits for a look."""
        quiet = [
            key
            for key, lane in self._lanes.items()
            if key.channel == channel
            and key.priority == Priority.URGENT
            and key not in served
            and self._held_until(key, lane) <= now
            and lane.quota_left != 0
        ]
        return self._share_out(quiet, min(room, MOST_PROBES), now, in_flight)

    def knows_urgent(self, channel: str) -> bool:
        """Whether the channel has a lane of urgent messages, be it empty."""
        return any(
            key.channel == channel and key.priority == Priority.URGENT for key in self._lanes
        )

    def _open(self, key: LaneKey, lane: _Lane, now: float) -> bool:
        return (
            not lane.drained
            and (lane.suspected or lane.due_at_s <= now)
            and self._held_until(key, lane) <= now
            and lane.quota_left != 0
        )

    def _held_until(self, key: LaneKey, lane: _Lane) -> float:
        return max(lane.held_until_s, self._rests.get((key.channel, key.org_id), 0.0))

    def _share_out(
        self, keys: Sequence[LaneKey], part: int, now: float, in_flight: Mapping[str, int]
    ) -> list[Share]:
        """Give each lane as many; where there are more lanes than places, they take turns."""
        if not keys or part <= 0:
            return []
        # A place of its own for each group: counted together, groups would keep step and one lane
        # could miss every one of its turns.
        group = keys[0][:2]
        start = self._places.get(group, 0) % len(keys)
        served = [*keys[start:], *keys[:start]][:part]
        self._places[group] = start + len(served)
        each = -(-part // len(served))
        shares = []
        for key in served:
            lane = self._lanes[key]
            share = each * lane.stride
            if lane.quota_left is not None:
                share = min(share, lane.quota_left - in_flight.get(key.org_id, 0))
            if share <= 0:
                continue
            if now - lane.rewound_s >= lane.rewind_every_s:
                lane.floor = None
            due, number = lane.floor or (None, 0)
            shares.append(Share(key, share, due, number))
        return shares


def _divide(
    room: int, lanes: Mapping[Priority, Sequence[LaneKey]], turn: int
) -> dict[Priority, int]:
    """Divide a channel's room among the priorities that have messages.

    Urgent messages may take all but a quarter, bulk ones a tenth of the rest while normal ones
    wait. Where there is no room for everyone, a few turns in each ten make up for it.
    """
    waiting = [priority for priority in Priority if lanes[priority]]
    if not waiting or room <= 0:
        return {}
    if room < len(waiting):
        place = turn % _ROUND
        chosen = waiting[0]
        if place == 0:
            chosen = waiting[-1]
        elif place % 4 == 0:
            chosen = waiting[len(waiting) // 2]
        return {chosen: room}
    parts: dict[Priority, int] = {}
    left = room
    for priority, following in zip(waiting, [*waiting[1:], None], strict=True):
        if following is None:
            parts[priority] = left
        elif priority is Priority.URGENT:
            parts[priority] = max(1, left - max(left // 4, len(waiting) - 1))
        else:
            parts[priority] = left - max(1, round(left * BULK_SHARE))
        left -= parts[priority]
    return parts
