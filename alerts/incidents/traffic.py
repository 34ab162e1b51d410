"""The model: people write messages through the day, senders send them, the exporter counts.

Everything that alerts read is derived from the same few queues, so that an outage also fills the
queue, opens the breaker and stops the receipts. Pure: chance comes in as a seed.
"""

from collections.abc import Callable
from math import pi, sin
from random import Random
from typing import Final

from alerts.incidents.conditions import CHANNELS, WHATSAPP, Conditions
from alerts.incidents.lane import Lane, draw_number, draw_share
from alerts.incidents.recording import Page, Recorder
from alerts.replay.tape import Tape
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, SENDER_JOB

Weather = Callable[[float], Conditions]
"""Conditions by seconds since the tape's start."""

PER_MINUTE: Final = {WHATSAPP: 120.0, "sms": 30.0, "email": 45.0}
"""New messages per minute around noon."""

STEP_S: Final = 15

_DAY_S: Final = 86_400
_HOUR_S: Final = 3600
_QUOTA: Final = 10_000
_PROVIDERS: Final = {WHATSAPP: "whatsapp", "sms": "twilio", "email": "sendgrid"}
_QUERIES: Final = ("depth", "stuck", "attempts", "quota", "templates")
_TABLES: Final = ("outbound_message", "outbound_attempt")


def record(
    weather: Weather, *, start_s: int, duration_s: int, seed: int, step_s: int = STEP_S
) -> Tape:
    """Let the model run and record what Prometheus would have scraped.

    Args:
        weather: What the world is like.
        start_s: Unix seconds at which it begins; its time of day decides the demand.
        duration_s: Seconds for which it runs.
        seed: Of the noise.
        step_s: Seconds between scrapes.

    """
    model = _Model(Random(seed), start_s, step_s)  # noqa: S311 - noise, no secrets
    recorder = Recorder(start_s, step_s)
    exporter = Page()
    for elapsed in range(0, duration_s, step_s):
        conditions = weather(elapsed)
        model.advance(start_s + elapsed, conditions)
        if conditions.refreshing or not exporter.values:
            exporter = model.exporter_page(conditions)
        model.show_exporter_itself(exporter, conditions)
        recorder.scrape(
            exporter if conditions.scraped else Page(),
            model.sender_page() if conditions.senders else Page(),
            model.monitoring_page(conditions),
        )
    return recorder.finish()


def demand_at(now_s: int) -> float:
    """Share of noon's demand at a time of day (UTC): little at night, none before five."""
    hour = now_s % _DAY_S / _HOUR_S
    if 2 <= hour < 5:  # noqa: PLR2004 - the silent hours
        return 0.0
    # From six to eight in the evening it swells and ebbs; below zero is before and after.
    return 0.04 + 0.96 * max(0.0, sin(pi * (hour - 6) / 14))


class _Model:
    def __init__(self, random: Random, start_s: int, step_s: int) -> None:
        self._random = random
        self._step_s = step_s
        self._now_s = start_s
        self._lanes = {
            channel: Lane(random, m.SEND_LATENCY_BUCKETS, m.DELIVERY_LATENCY_BUCKETS)
            for channel in CHANNELS
        }
        self._webhooks = dict.fromkeys(CHANNELS, 0)
        self._accepted_at = dict.fromkeys(CHANNELS, start_s)
        self._rejected = 0
        self._rejected_at = 0
        self._rate_limited = 0
        self._seen_at = self._refreshed_at = self._settled_at = start_s
        self._started_s = start_s

    def advance(self, now_s: int, conditions: Conditions) -> None:
        """Let one step pass."""
        self._now_s = now_s
        if conditions.senders:
            self._seen_at = now_s
        if conditions.refreshing:
            self._refreshed_at = now_s
        for channel, lane in self._lanes.items():
            provider = conditions.providers[channel]
            expected = PER_MINUTE[channel] / 60 * self._step_s
            expected *= conditions.demand * demand_at(now_s)
            new = draw_number(self._random, expected)
            if channel == WHATSAPP:
                lane.enqueue(now_s, conditions.poison, poisoned=True)
                new = conditions.trickle if conditions.trickle is not None else new
                new += conditions.burst
            lane.enqueue(now_s, new)
            most = round(conditions.capacity * conditions.senders * self._step_s)
            lane.send_due(now_s, most, provider)
            believed = conditions.believed if channel == WHATSAPP else 1.0
            came = lane.receive(now_s, tells=provider.tells and believed > 0)
            # Receipts that are refused come again later; the model lets them be lost.
            refused = draw_share(self._random, came, 1 - believed)
            self._webhooks[channel] += came - refused
            if came - refused:
                self._accepted_at[channel] = now_s
            if channel == WHATSAPP:
                refused += draw_number(self._random, conditions.forged / 60 * self._step_s)
                self._rejected += refused
                self._rejected_at = now_s if refused else self._rejected_at

    def exporter_page(self, conditions: Conditions) -> Page:
        """Show what the exporter counts in the database."""
        page = Page()
        for channel, lane in self._lanes.items():
            self._show_lane(page, channel, lane)
            provider = _PROVIDERS[channel]
            page.put(m.WEBHOOK_ACCEPTED_AT, float(self._accepted_at[channel]), provider=provider)
            page.put(m.WEBHOOKS_OPEN, 0.0, provider=provider, state="waiting")
            page.put(m.WEBHOOKS_OPEN, 0.0, provider=provider, state="given_up")
            page.put(m.OLDEST_WEBHOOK, 0.0, provider=provider, state="waiting")
        if self._rejected_at:
            page.put(m.WEBHOOK_REJECTED_AT, float(self._rejected_at), provider="whatsapp")
        for org, share in conditions.quota_used.items():
            page.put(m.QUOTA_LIMIT, float(_QUOTA), org_id=org)
            page.put(m.QUOTA_USED, float(round(share * _QUOTA)), org_id=org)
            page.put(m.QUOTA_REMAINING, float(round((1 - share) * _QUOTA)), org_id=org)
        throttled = sum(share >= 1 for share in conditions.quota_used.values())
        page.put(m.THROTTLED_ORGS, float(throttled))
        page.put(m.SESSION_ACTIVE, 40.0, channel=WHATSAPP)
        page.put(m.SESSION_EXPIRATION, 36_000.0, channel=WHATSAPP)
        page.put(m.RATE_LIMIT_HITS, float(self._lanes[WHATSAPP].attempts["failed", "130429"]))
        page.put(m.TEMPLATES, 12.0, status="approved", quality="green")
        page.put(m.TEMPLATES, float(conditions.paused_templates), status="paused", quality="red")
        for kind, count in conditions.notices.items():
            page.put(
                m.RECENT_NOTICES, float(count), provider="whatsapp", kind=kind, severity="critical"
            )
        self._show_database(page, conditions)
        return page

    def show_exporter_itself(self, page: Page, conditions: Conditions) -> None:
        """Show what the exporter says of itself; that goes on without a database."""
        page.put(m.EXPORTER_UP, float(conditions.refreshing))
        page.put(m.EXPORTER_SNAPSHOT_AGE, float(self._refreshed_at))
        page.put(m.COUNTER_REBASES, 0.0)
        page.put(m.CONFIG_RELOAD_SUCCESS, 1.0)
        page.put(m.EXPORTER_LEADER, 1.0)
        for query in _QUERIES:
            page.put(m.QUERY_SUCCESS, float(conditions.refreshing), pack="outbound", query=query)
            page.put(m.QUERY_DROPPED_SERIES, 0.0, pack="outbound", query=query)

    def sender_page(self) -> Page:
        """Show what the sender says of itself."""
        page = Page()
        for channel, lane in self._lanes.items():
            page.put(m.BREAKER_STATE, float(lane.breaker.state), name=channel)
            page.put(m.BREAKER_NOT_PERMITTED, float(lane.breaker.not_permitted), name=channel)
            provider, accepted = _PROVIDERS[channel], float(self._webhooks[channel])
            rejected = float(self._rejected) if channel == WHATSAPP else 0.0
            page.put(m.WEBHOOKS, accepted, provider=provider, result="accepted")
            page.put(m.WEBHOOKS, rejected, provider=provider, result="rejected")
            page.put(m.RECEIPTS, accepted, provider=provider, effect="moved")
            page.put(m.CLAIMED, float(sum(lane.attempts.values())), channel=channel)
            page.put(m.RESENDS_HELD, 0.0, channel=channel)
            page.put_histogram(
                m.PROVIDER_CALL, lane.calls.edges, lane.calls.counts, lane.calls.total, channel
            )
        page.put(m.SIGNATURE_FAILURES, float(self._rejected))
        page.put(m.LAST_PROCESSED, float(self._settled_at))
        page.put(m.IN_FLIGHT, 0.0)
        page.put(m.DROPPED_SPANS, 0.0)
        page.put(m.API_VERSION_DAYS, 400.0, version="v23.0")
        page.put(m.TOKEN_DAYS, 50.0)
        return page

    def monitoring_page(self, conditions: Conditions) -> Page:
        """Show what Prometheus and Alertmanager say of themselves and their targets."""
        page = Page()
        targets = (
            (EXPORTER_JOB, "exporter:9109", conditions.scraped),
            (SENDER_JOB, "sender:8080", conditions.senders > 0),
            ("prometheus", "localhost:9090", True),
            ("alertmanager", "alertmanager:9093", True),
        )
        for job, instance, up in targets:
            page.put(m.UP, float(up), job=job, instance=instance)
        minutes = float((self._now_s - self._started_s) // 60)
        page.put(m.RULE_FAILURES, 0.0, job="prometheus", rule_group="outbound-provider")
        page.put(m.RULE_ITERATIONS_MISSED, 0.0, job="prometheus", rule_group="outbound-provider")
        page.put(m.ALERTS_DROPPED, 0.0, job="prometheus")
        page.put(m.ALERTMANAGERS_FOUND, 1.0, job="prometheus")
        page.put(m.NOTIFICATIONS, minutes, job="alertmanager", integration="webhook")
        page.put(m.NOTIFICATIONS_FAILED, 0.0, job="alertmanager", integration="webhook")
        page.put(m.CONFIG_RELOADED, 1.0, job="alertmanager")
        return page

    def _show_lane(self, page: Page, channel: str, lane: Lane) -> None:
        now_s = self._now_s
        for (outcome, code), count in lane.attempts.items():
            page.put(m.ATTEMPTS, float(count), channel=channel, outcome=outcome, error_code=code)
        for (outcome, code), count in lane.finished.items():
            page.put(m.FINISHED, float(count), channel=channel, outcome=outcome, error_code=code)
        for outcome in ("unknown", "refused", "deferred", "corrected"):
            page.put(m.ATTEMPTS, 0.0, channel=channel, outcome=outcome)
        page.put(m.FINISHED, 0.0, channel=channel, outcome="refused")
        for (code, category), count in lane.dead.items():
            page.put(
                m.DEAD_LETTERS, float(count), channel=channel, error_code=code, category=category
            )
        sent = lane.finished["sent", ""]
        depths = {
            "queued": lane.queued,
            "sending": 0,
            "sent": sent - lane.delivered,
            "delivered": lane.delivered,
            "failed": sum(lane.dead.values()),
        }
        for status, depth in depths.items():
            page.put(m.QUEUE_DEPTH, float(depth), channel=channel, status=status)
        overdue = float(lane.overdue(now_s))
        page.put(m.STUCK, overdue, channel=channel, status="queued", reason="overdue")
        for status, reason in (
            ("queued", "queued_too_long"),
            ("queued", "no_progress"),
            ("sending", "sending_too_long"),
        ):
            page.put(m.STUCK, 0.0, channel=channel, status=status, reason=reason)
        page.put(m.RETRY_COUNT, float(lane.retrying), channel=channel)
        due_age = lane.due_age_s(now_s)
        page.put(m.OLDEST_AGE, due_age, channel=channel, state="due")
        page.put(m.OLDEST_AGE, due_age, channel=channel, state="queued")
        page.put(m.OLDEST_AGE, 0.0, channel=channel, state="sending")
        for metric in (m.BLOCKED, m.OLDEST_BLOCKED, m.CHANNEL_PAUSED, m.PAUSED_SINCE):
            page.put(metric, 0.0, channel=channel)
        for metric, histogram in (
            (m.SEND_LATENCY, lane.send),
            (m.DELIVERY_LATENCY, lane.delivery),
            (m.JUDGED_DELIVERY, lane.delivery),
            (m.ATTEMPT_DURATION, lane.calls),
        ):
            page.put_histogram(metric, histogram.edges, histogram.counts, histogram.total, channel)

    def _show_database(self, page: Page, conditions: Conditions) -> None:
        page.put(m.SENDERS, float(conditions.senders), state="claiming")
        page.put(m.SENDERS, 0.0, state="idle")
        page.put(m.SENDER_SEEN_AT, float(self._seen_at))
        page.put(m.INTEGRITY, float(conditions.violations), check="attempts_beyond_maximum")
        page.put(m.INTEGRITY, 0.0, check="checksum_failures")
        page.put(m.OLDEST_SNAPSHOT, conditions.oldest_snapshot_s, holder="transaction")
        page.put(m.OLDEST_SNAPSHOT, 0.0, holder="prepared")
        for table in _TABLES:
            page.put(m.AUTOVACUUM_AGE, 600.0, table=table)
            page.put(m.DEAD_ROWS, conditions.dead_rows * 100_000, table=table)
            page.put(m.DEAD_ROWS_RATIO, conditions.dead_rows, table=table)
            page.put(m.FROZEN_AGE_RATIO, 0.2, table=table)
        page.put(m.ROLLUP_READY, 1.0)
        page.put(m.ROLLUP_DRIFT, 0.0)
        page.put(m.ROLLUP_DELTAS, 500.0)
        page.put(m.ROLLUP_MISSING_TRIGGERS, 0.0)
        page.put(m.ROLLUP_VERIFIED, float(self._refreshed_at))
        page.put(m.ROLLUP_EPOCH, 1.0)
