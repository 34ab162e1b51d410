"""When what happens in a demo: four phases, and the shortest run in which an incident can show.

Pure: the pace (every wait that matters, already shortened) comes in, the phases come out. Seconds
count from the start of the work, after everything has been started.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from math import ceil

from outbound_slo.vocabulary.mistakes import UserMistake


class Phase(StrEnum):
    """What a stretch of the run is for."""

    WARM_UP = "warm-up"
    INCIDENT = "incident"
    RECOVERY = "recovery"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class Pace:
    """Every wait between a failure and its page, and between healing and the last message.

    All in seconds, as the run really uses them.

    Attributes:
        scale: How many times shorter than in production the alert and retry waits are.
        sight_s: From an event in the database to a rule that can see it: refresh, scrape and
            evaluation, each at its interval.
        window_s: The alert's look-back window.
        for_s: How long its condition has to hold.
        keep_firing_s: How long it goes on firing after its condition has ended.
        group_wait_s: Alertmanager's wait before the first notification of a group.
        group_interval_s: Its wait before it tells of a change to the group, such as resolving.
        backoff_s: The sender's waits before attempts 2, 3, …
        backoff_spread: Largest share by which jitter lengthens one of them.
        breaker_open_s: How long an open breaker refuses before it probes.
        attempts: The budget of a message.
        receipt_s: Longest time from acceptance to the last webhook of a message.

    """

    scale: float
    sight_s: float
    window_s: float
    for_s: float
    keep_firing_s: float
    group_wait_s: float
    group_interval_s: float
    backoff_s: tuple[float, ...]
    backoff_spread: float
    breaker_open_s: float
    attempts: int
    receipt_s: float

    @property
    def until_page_s(self) -> float:
        """Longest wait from the first failure to the page."""
        return self.sight_s + self.window_s + self.for_s + self.group_wait_s

    @property
    def until_resolved_s(self) -> float:
        """Longest wait from healing to the page that says so."""
        return (
            self.breaker_open_s
            + self.sight_s
            + self.window_s
            + self.keep_firing_s
            + self.group_interval_s
        )

    def attempt_starts(self) -> tuple[float, ...]:
        """When attempt 1, 2, … of a message starts if all fail at once, from the first on."""
        return tuple(accumulate(self.backoff_s, initial=0.0))

    def longest_wait_after(self, incident_s: float) -> float:
        """Longest back-off that a message may still have to sit out after such an incident.

        An attempt made just before healing waits its back-off from there. Which back-off that can
        be depends on how many attempts fit into the incident.
        """
        failed = sum(start < incident_s for start in self.attempt_starts())
        wait = self.backoff_s[min(failed, len(self.backoff_s)) - 1]
        return wait * (1 + self.backoff_spread) + self.breaker_open_s

    @property
    def longest_harmless_s(self) -> float:
        """Longest incident in which no message uses its last attempt but one.

        Beyond it the provider would eat messages for good, or the last back-off would outlast
        any demo.
        """
        starts = self.attempt_starts()
        return starts[min(self.attempts - 2, len(starts) - 1)]


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
        UserMistake: The run is shorter than the incident needs.

    """
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
