"""Single messages: how soon one is with the provider, idle or beside a campaign; webhooks' answers.

Times are taken on one machine's clock: from the return of the commit that queued a message to the
entry in the simulator's ledger.
"""

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
import requests

from benchmarks.backlog import URGENT_ORG, Backlog, Campaign
from benchmarks.stack import Stack, has_passed
from outbound_slo.simulator.meta_webhooks import (
    StatusUpdate,
    build_notification,
    build_status_change,
)
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.enqueue import NewMessage, enqueue
from sender.signatures import sign_meta

_FIRST_URGENT = 1_000_000
_PATIENCE_S = 60.0
_POLL_S = 0.2
_STATUSES_PER_POST = 1000

WARM_UP = 10
"""Messages sent first and not counted: connections, plans and caches are made by them."""


@dataclass(frozen=True, slots=True)
class Urgency:
    """Seconds from commit to acceptance of urgent messages, at the 99th percentile and the median.

    Attributes:
        ratio: Of the two 99th percentiles: beside a campaign over idle.
        campaign_left: Messages of the campaign that were still queued when the last urgent one
            was; with none left the figure would flatter.
        campaign_per_s: Messages of the campaign sent per second meanwhile.

    """

    ratio: float
    idle_p99_s: float
    busy_p99_s: float
    idle_median_s: float
    busy_median_s: float
    campaign_left: int
    campaign_per_s: float


def percentile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def measure_urgency(stack: Stack, *, probes: int, per_s: float, campaign: int) -> Urgency:
    """Time urgent messages of one organisation, first on an idle queue, then beside a campaign.

    Args:
        stack: What it runs on.
        probes: Urgent messages timed in each state, to as many recipients.
        per_s: Urgent messages per second.
        campaign: Bulk messages of other organisations.

    """
    backlog = Backlog(stack.create_database())
    backlog.allow(Campaign(_FIRST_URGENT, WARM_UP + 2 * probes, org_id=URGENT_ORG))
    crowd = Campaign(0, campaign, priority=Priority.BULK)
    backlog.allow(crowd)
    backlog.vacuum()
    simulator = stack.start_simulator()
    try:
        stack.start_sender(backlog.database)
        _probe(stack, backlog, _FIRST_URGENT, WARM_UP, per_s)
        first = _FIRST_URGENT + WARM_UP
        idle = _probe(stack, backlog, first, probes, per_s)
        last = backlog.read_last_id()
        backlog.queue(crowd)
        began = time.monotonic()
        busy = _probe(stack, backlog, first + probes, probes, per_s)
        left = backlog.count_unsent(last)
        took = time.monotonic() - began
    finally:
        stack.stop_senders()
        stack.stop_child(simulator)
    stack.postgres.drop_database(backlog.name)
    idle_p99, busy_p99 = percentile(idle, 0.99), percentile(busy, 0.99)
    return Urgency(
        ratio=busy_p99 / idle_p99,
        idle_p99_s=idle_p99,
        busy_p99_s=busy_p99,
        idle_median_s=statistics.median(idle),
        busy_median_s=statistics.median(busy),
        campaign_left=left,
        campaign_per_s=(campaign - left) / took,
    )


def measure_idle_wake(stack: Stack, *, probes: int) -> float:
    """Give the median milliseconds from a commit to the provider's receipt, the sender asleep.

    The provider answers at once here: its own time is no part of the figure.
    """
    backlog = Backlog(stack.create_database())
    backlog.allow(Campaign(_FIRST_URGENT, WARM_UP + probes, org_id=URGENT_ORG))
    simulator = stack.start_simulator(latency_ms=0)
    try:
        stack.start_sender(backlog.database)
        # One a second: the sender has gone back to sleep each time.
        _probe(stack, backlog, _FIRST_URGENT, WARM_UP, 1.0)
        waits = _probe(stack, backlog, _FIRST_URGENT + WARM_UP, probes, 1.0)
    finally:
        stack.stop_senders()
        stack.stop_child(simulator)
    stack.postgres.drop_database(backlog.name)
    return 1000 * statistics.median(waits)


def measure_webhook(stack: Stack, *, posts: int) -> float:
    """Give the median milliseconds in which a POST of 1,000 statuses is answered."""
    backlog = Backlog(stack.create_database())
    simulator = stack.start_simulator(receipts=False)
    waits: list[float] = []
    try:
        stack.start_sender(backlog.database)
        with requests.Session() as session:
            session.trust_env = False
            for number in range(posts):
                first = number * _STATUSES_PER_POST
                backlog.add_sent(first, _STATUSES_PER_POST)
                body = _build_statuses(first)
                headers = {
                    "Content-Type": "application/json",
                    "X-Hub-Signature-256": sign_meta(body, stack.app_secret),
                }
                started = time.perf_counter()
                answer = session.post(
                    f"{stack.sender_url}/webhooks/whatsapp", data=body, headers=headers, timeout=30
                )
                waits.append(time.perf_counter() - started)
                answer.raise_for_status()
                _wait_until_applied(backlog)
    finally:
        stack.stop_senders()
        stack.stop_child(simulator)
    stack.postgres.drop_database(backlog.name)
    return 1000 * statistics.median(waits)


def _probe(stack: Stack, backlog: Backlog, first: int, probes: int, per_s: float) -> list[float]:
    """Queue urgent messages one by one at a steady pace; give the seconds until each was taken."""
    queued: dict[str, float] = {}
    with psycopg.connect(backlog.database) as connection:
        begun = time.monotonic()
        for number in range(probes):
            time.sleep(max(0.0, begun + number / per_s - time.monotonic()))
            message = NewMessage(
                URGENT_ORG,
                Channel.WHATSAPP,
                f"+336{first + number:08}",
                template_code="appointment_reminder",
                priority=Priority.URGENT,
            )
            [reference] = enqueue(connection, [message])
            connection.commit()
            queued[str(reference)] = time.time()
    return [_find_acceptance(stack, reference) - at for reference, at in queued.items()]


def _find_acceptance(stack: Stack, reference: str) -> float:
    """Wait for a message's entry in the ledger; gives its time, in epoch seconds."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        taken = stack.ask_simulator(f"ledger?message={reference}")["acceptances"]
        if taken or has_passed(deadline):
            # One that never comes counts as taken now: it must show in the percentile.
            return float(taken[0]["accepted_at"]) if taken else time.time()
        time.sleep(_POLL_S)


def _build_statuses(first: int) -> bytes:
    """Build a POST that tells of a thousand deliveries, as Meta writes it."""
    now = time.time()
    updates = [
        StatusUpdate("10001", f"wamid.bench-{number}", "delivered", f"+336{number:08}", now)
        for number in range(first, first + _STATUSES_PER_POST)
    ]
    change = build_status_change(updates, "15550783881", 26)
    return json.dumps(build_notification("102290129340398", [change])).encode()


def _wait_until_applied(backlog: Backlog) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while backlog.count_open_webhooks() and not has_passed(deadline):
        time.sleep(_POLL_S)
