"""Looking at the running stack: one snapshot a second, and when each alert was first seen where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from outbound_slo.database import load_queries
from outbound_slo.demo.pager import Page, Pager
from outbound_slo.demo.timeline import Phase
from outbound_slo.embedded.alertmanager import AlertmanagerApi, NotificationState
from outbound_slo.embedded.prometheus_api import AlertState, PrometheusApi
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus

_QUERIES = load_queries("outbound_slo.demo", "sql/watch.sql")

WAITING = "WAITING"
"""Queued messages that are not due yet: in back-off, or put off."""

QUEUE_STATES = (
    MessageStatus.QUEUED.value,
    WAITING,
    MessageStatus.SENDING.value,
    MessageStatus.SENT.value,
    MessageStatus.DELIVERED.value,
    MessageStatus.FAILED.value,
)

BREAKER_WORDS: Mapping[int, str] = {0: "closed", 1: "open", 2: "half-open"}
# Long enough to bridge a late scrape, short enough to follow the incident.
_RATE_WINDOW = "8s"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stack at one moment.

    Attributes:
        elapsed_s: Seconds since the work began.
        queued: Messages put on the queue so far.
        queue: Messages by `QUEUE_STATES`.
        rates: Attempts per second by outcome label, as Prometheus has them.
        breaker: State of the WhatsApp circuit breaker, as Prometheus has it; empty if unknown.
        pending: Alerts whose condition holds, but not for long enough yet.
        firing: Alerts that fire.
        pages: All pages so far.

    """

    phase: Phase
    elapsed_s: float
    duration_s: float
    queued: int
    queue: Mapping[str, int]
    rates: Mapping[str, float]
    breaker: str
    pending: Sequence[str]
    firing: Sequence[str]
    pages: Sequence[Page]


class Watch:
    """Looks at every part of the stack and remembers first sightings of alerts."""

    def __init__(
        self,
        connection: psycopg.Connection,
        prometheus: PrometheusApi,
        alertmanager: AlertmanagerApi,
        pager: Pager,
    ) -> None:
        """Read through these; the connection is in autocommit mode."""
        self._connection = connection
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._pager = pager
        self.fired: dict[str, datetime] = {}
        self.reached: dict[str, datetime] = {}

    def look(
        self, now: datetime, phase: Phase, elapsed_s: float, duration_s: float, queued: int
    ) -> Snapshot:
        """Take a snapshot.

        Raises:
            UserMistake: Prometheus or Alertmanager does not answer.

        """
        # The Watchdog fires always: that is its work, and no news.
        alerts = [a for a in self._prometheus.alerts() if a.name != AlertName.WATCHDOG]
        firing = sorted({alert.name for alert in alerts if alert.state is AlertState.FIRING})
        pending = sorted({alert.name for alert in alerts if alert.state is AlertState.PENDING})
        for name in firing:
            self.fired.setdefault(name, now)
        for held in self._alertmanager.alerts():
            if held.state is NotificationState.ACTIVE:
                self.reached.setdefault(held.labels["alertname"], now)
        return Snapshot(
            phase=phase,
            elapsed_s=elapsed_s,
            duration_s=duration_s,
            queued=queued,
            queue=self._count_queue(),
            rates=self._read_rates(),
            breaker=self._read_breaker(),
            pending=pending,
            firing=firing,
            pages=self._pager.pages,
        )

    def _count_queue(self) -> dict[str, int]:
        counts: dict[str, int] = dict(
            self._connection.execute(_QUERIES["count_queue"].encode()).fetchall()
        )
        return {state: counts.get(state, 0) for state in QUEUE_STATES}

    def _read_rates(self) -> dict[str, float]:
        expression = f"sum by (outcome) (rate({metrics.ATTEMPTS.name}[{_RATE_WINDOW}]))"
        found = {s.labels.get("outcome", ""): s.value for s in self._prometheus.query(expression)}
        shown = (AttemptOutcome.SENT, AttemptOutcome.FAILED)
        return {outcome.label: found.get(outcome.label, 0.0) for outcome in shown}

    def _read_breaker(self) -> str:
        channel = Channel.WHATSAPP.label
        samples = self._prometheus.query(f'max({metrics.BREAKER_STATE.name}{{name="{channel}"}})')
        return BREAKER_WORDS.get(int(samples[0].value), "") if samples else ""
