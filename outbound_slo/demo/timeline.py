"""When what happens in a demo: four phases, and the shortest run in which an incident can show.

Pure: the pace (every wait that matters, already shortened) comes in, the phases come out. Seconds
count from the start of the work, after everything has been started.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from math import ceil, isfinite

from outbound_slo.demo.pace import Pace
from outbound_slo.vocabulary.mistakes import UserMistake


class Phase(StrEnum):
    """What a stretch of the run is for."""

    WARM_UP = "warm-up"
    INCIDENT = "incident"
    RECOVERY = "recovery"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Stretch:
    """One phase of the run, from `start_s` up to but not including `end_s`."""

    phase: Phase
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The phases of a run, without gaps."""

    stretches: tuple[Stretch, ...]

    @property
    def duration_s(self) -> float:
        """Length of the whole run."""
        return self.stretches[-1].end_s

    @property
    def last_message_s(self) -> float:
        """When the last message is queued: what comes later could not finish in the run."""
        return self.start_of(Phase.SETTLE)

    def start_of(self, phase: Phase) -> float:
        """Give the start of a phase."""
        return next(s.start_s for s in self.stretches if s.phase is phase)

    def phase_at(self, elapsed_s: float) -> Phase:
        """Give the phase of a moment; the last one for any moment after the end."""
        for stretch in self.stretches:
            if elapsed_s < stretch.end_s:
                return stretch.phase
        return self.stretches[-1].phase


WARM_UP_SHARE = 40 / 180
INCIDENT_SHARE = 50 / 180
"""How a run of about three minutes is divided where nothing forces it otherwise."""

_SHORTEST_WARM_UP_S = 8.0
# A late receipt has to be stored, applied, exported and scraped.
_SLACK_S = 3.0


def shortest_duration(pace: Pace) -> float:
    """Seconds that a run needs at least, so that the incident can be seen from end to end."""
    incident = _shortest_incident(pace)
    return _shortest_warm_up(pace) + incident + _recovery_after(incident, pace) + _settle(pace)


def plan_timeline(duration_s: float, pace: Pace) -> Timeline:
    """Divide a run into its phases.

    A longer run makes warm-up and incident longer, but the incident never so long that a message
    could lose its budget; what is left over goes to the recovery.

    Raises:
        UserMistake: The run is shorter than the incident needs, or no finite number; or the scale
            is so large that retries end before the incident can be seen.

    """
    if not isfinite(duration_s):
        raise UserMistake(
            f"--duration {duration_s:g} is no length of time", "Give a number of seconds"
        )
    if _shortest_incident(pace) > pace.longest_harmless_s:
        raise UserMistake(
            f"A time scale of {pace.scale:g} can't be used: messages would run out of attempts "
            "before the page comes",
            "Give a smaller --time-scale",
        )
    least = shortest_duration(pace)
    if duration_s < least:
        raise UserMistake(
            f"--duration {duration_s:g} is too short: at a time scale of {pace.scale:g} the "
            f"incident needs {ceil(least)} s from its first failure to the page that it is over",
            f"Give at least {ceil(least)}, or shorten the waits with a larger --time-scale",
        )
    incident = _pick_incident(duration_s, pace)
    recovery, settle = _recovery_after(incident, pace), _settle(pace)
    most_warm_up = duration_s - incident - recovery - settle
    warm_up = min(max(_shortest_warm_up(pace), WARM_UP_SHARE * duration_s), most_warm_up)
    recovery = duration_s - warm_up - incident - settle
    bounds = accumulate((warm_up, incident, recovery, settle), initial=0.0)
    return Timeline(
        tuple(
            Stretch(phase, start, end)
            for phase, (start, end) in zip(Phase, pairwise(bounds), strict=True)
        )
    )


def _shortest_warm_up(pace: Pace) -> float:
    # The failure rate is a share of the traffic in the window: let it fill first.
    return max(_SHORTEST_WARM_UP_S, pace.window_s)


def _shortest_incident(pace: Pace) -> float:
    return pace.until_page_s + _SLACK_S


def _recovery_after(incident_s: float, pace: Pace) -> float:
    return max(pace.until_resolved_s, pace.longest_wait_after(incident_s)) + _SLACK_S


def _settle(pace: Pace) -> float:
    return pace.receipt_s + pace.sight_s + _SLACK_S


def _pick_incident(duration_s: float, pace: Pace) -> float:
    """Take the incident's share of the run, or the most of it that still leaves time to recover.

    The time to recover grows in steps, each time one more attempt fits into the incident.
    """
    shortest = _shortest_incident(pace)
    room = duration_s - _shortest_warm_up(pace) - _settle(pace)
    wanted = max(shortest, min(INCIDENT_SHARE * duration_s, pace.longest_harmless_s))
    edges = [start for start in pace.attempt_starts() if shortest < start < wanted]
    fitting = [shortest]
    for candidate in (*edges, wanted):
        longest = min(candidate, room - _recovery_after(candidate, pace))
        fitting.append(max(longest, shortest))
    return max(fitting)
