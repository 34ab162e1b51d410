"""How fast a demo runs: the production waits, divided by one time scale."""

from dataclasses import dataclass
from itertools import accumulate

from alerts.alertmanager import WAITS
from alerts.catalogue import GROUPS
from alerts.rule import Alert
from alerts.timing import Timing
from outbound_slo.demo.scenario import OUTAGE_ALERTS
from outbound_slo.settings import SenderSettings
from sender.enqueue import MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Pace:
    """Every wait between a failure and its page, and between healing and the last message.

    All in seconds, as the run really uses them.

    Attributes:
        scale: How many times shorter than in production the alert and retry waits are.
        refresh_s: Between two refreshes of the exporter.
        scrape_s: Between two scrapes, and between two evaluations of the rules.
        window_s: The alert's look-back window.
        for_s: How long its condition has to hold.
        keep_firing_s: How long it goes on firing after its condition has ended.
        group_wait_s: Alertmanager's wait before the first notification of a group.
        group_interval_s: Its wait before it tells of a change to the group, such as resolving.
        backoff_s: The sender's waits before attempts 2, 3, …
        backoff_spread: Largest share by which jitter lengthens one of them.
        poll_s: How long an idle sender waits before it looks for work.
        recovery_window_s: How long a message may be in SENDING before the sweep takes it out.
        breaker_open_s: How long an open breaker refuses before it probes.
        attempts: The budget of a message.
        receipt_s: Longest time from acceptance to the last webhook of a message.

    """

    scale: float
    refresh_s: float
    scrape_s: float
    window_s: float
    for_s: float
    keep_firing_s: float
    group_wait_s: float
    group_interval_s: float
    backoff_s: tuple[float, ...]
    backoff_spread: float
    poll_s: float
    recovery_window_s: float
    breaker_open_s: float
    attempts: int
    receipt_s: float

    @property
    def sight_s(self) -> float:
        """Longest wait from an event in the database to a rule that can see it."""
        return self.refresh_s + 2 * self.scrape_s

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


REFRESH_S = 1.0
"""The exporter's interval in a demo: as often as Prometheus looks at most."""

WINDOW_S = 300.0
"""What the failure rate looks back over in production (001: `[5m]`)."""

RECEIPT_S = 6.0
"""Longest time from acceptance to the last webhook, by the behaviour that the demo asks for."""


def build_pace(scale: float) -> Pace:
    """Shorten every wait that the incident depends on.

    Raises:
        UserMistake: The scale is below 1 or no finite number.

    """
    timing = Timing(scale)
    sender = SenderSettings.model_construct()
    slowest = max(_outage_alerts(), key=lambda alert: alert.pending_s)
    waits = WAITS[slowest.priority]
    return Pace(
        scale=scale,
        refresh_s=REFRESH_S,
        scrape_s=timing.scrape_interval_s,
        window_s=timing.seconds(WINDOW_S),
        for_s=timing.seconds(slowest.pending_s),
        keep_firing_s=timing.seconds(slowest.keep_firing_s),
        group_wait_s=timing.seconds(waits.group_wait_s),
        group_interval_s=timing.seconds(waits.group_interval_s),
        backoff_s=tuple(timing.seconds(wait) for wait in sender.backoff_seconds),
        backoff_spread=sender.retry_jitter,
        poll_s=max(timing.seconds(sender.poll_interval_ms / 1000), 0.05),
        recovery_window_s=timing.seconds(sender.recovery_window_s),
        breaker_open_s=timing.seconds(sender.breaker_open_s),
        attempts=MAX_ATTEMPTS,
        receipt_s=RECEIPT_S,
    )


def _outage_alerts() -> list[Alert]:
    return [alert for group in GROUPS for alert in group.alerts if alert.name in OUTAGE_ALERTS]
