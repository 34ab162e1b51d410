"""How much a burden in the outbox slows the claim.

Two databases on one server, alike but for the burden, each with a sender process of its own. By
turns one of them gets a campaign that its sender drains at full rate, so drifts of the machine hit
both alike; the figure is the median of the ratios pair by pair. What is compared is the server's
own time (pg_stat_statements) in the statements that find and take messages, per message taken. It
tells more than the drain rate, in which the HTTP calls would hide a claim that takes twice as long;
the rate is shown beside it.

A burden of parked messages is measured once it is parked: parking is done once per message, and
its seconds are shown too.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from benchmarks.backlog import HOT_ORG, Backlog, Campaign
from benchmarks.stack import Stack, has_passed
from benchmarks.statements import Cost, read_statements, reset_statements

CLAIM_STATEMENTS = ("lanes", "claim")
"""Blocks of the sender's SQL that lead from due messages to claimed ones."""

HELD_RECIPIENTS = 1000
_FIRST_FREE = 1_000_000
"""Number of the first recipient whom no burden touches."""

_POLL_S = 0.2
_PATIENCE_S = 120.0


class BurdenName(StrEnum):
    """A burden that can be laid alone."""

    DEFERRED = "100k_deferred"
    BLOCKED = "100k_blocked"
    HOT_RECIPIENT = "hot_recipient"
    OLD_SNAPSHOT = "old_snapshot"
    HISTORY = "10m_rows"


@dataclass(frozen=True, slots=True)
class Burden:
    """Something in the outbox that must not slow the claim.

    Attributes:
        name: Its JSON key's last part.
        lay: Puts it into a database before the sender starts.
        waits: Whether the sender first has to put it aside.
        hold: Keeps up, while messages are processed, what is no row.
        warm_up: Messages drained before anything is measured.

    """

    name: str
    lay: Callable[[Backlog], None]
    waits: bool = False
    hold: Callable[[str], AbstractContextManager[object]] = nullcontext
    warm_up: int = 0


@dataclass(frozen=True, slots=True)
class Slowdown:
    """What a burden did.

    Attributes:
        ratio: Median of the pairs' ratios of claim time.
        plain_us: Median microseconds of claim per message without the burden.
        burdened_us: With it.
        looking_us: Of the burdened figure, what went into the look for lanes.
        blocks_ratio: Median of the pairs' ratios of pages looked at, which other work on the
            machine does not change.
        plain_batch: Messages per claim without the burden, at the median.
        burdened_batch: With it.
        rate_kept: Median of the pairs' ratios of messages per second.
        settled_in_s: Seconds that the sender took to put the burden aside.

    """

    name: str
    ratio: float
    plain_us: float
    burdened_us: float
    looking_us: float
    blocks_ratio: float
    plain_batch: float
    burdened_batch: float
    rate_kept: float
    settled_in_s: float


@dataclass(frozen=True, slots=True)
class _Turn:
    """One campaign drained: cost of the claim per message, messages per claim and per second."""

    claim_us: float
    looking_us: float
    blocks: float
    batch: float
    rate: float


def list_burdens(size: int, history: int) -> list[Burden]:
    """List the burdens.

    Args:
        size: Messages of each burden but the history; the acceptance text says 100,000.
        history: Old rows; the acceptance text says ten million.

    """

    def defer(backlog: Backlog) -> None:
        backlog.queue(Campaign(0, size, delay_s=86_400))

    def block(backlog: Backlog) -> None:
        backlog.hold_in_flight(0, HELD_RECIPIENTS)
        backlog.queue(Campaign(0, size, recipients=HELD_RECIPIENTS))

    def crowd(backlog: Backlog) -> None:
        backlog.allow(Campaign(0, 1, org_id=HOT_ORG))
        backlog.queue(Campaign(0, size, recipients=1, org_id=HOT_ORG))

    def remember(backlog: Backlog) -> None:
        backlog.add_history(history)

    return [
        Burden(BurdenName.DEFERRED, defer),
        Burden(BurdenName.BLOCKED, block, waits=True),
        Burden(BurdenName.HOT_RECIPIENT, crowd, waits=True),
        Burden(BurdenName.OLD_SNAPSHOT, _lay_nothing, hold=_hold_snapshot, warm_up=size // 2),
        Burden(BurdenName.HISTORY, remember),
    ]


def _lay_nothing(_backlog: Backlog) -> None:
    return


@contextmanager
def _hold_snapshot(database: str) -> Iterator[None]:
    """Read once in a REPEATABLE READ transaction and leave it open, as a forgotten report does."""
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM outbound_message WHERE status = 'SENDING'")
        yield


def measure_slowdown(stack: Stack, burden: Burden, *, turns: int, messages: int) -> Slowdown:
    """Measure one burden.

    Args:
        stack: What it runs on.
        burden: What burdens the one database.
        turns: Pairs of campaigns that are counted.
        messages: Of each campaign.

    """
    plain, burdened = Backlog(stack.create_database()), Backlog(stack.create_database())
    burden.lay(burdened)
    needed = burden.warm_up + turns * messages
    for backlog in (plain, burdened):
        backlog.allow(Campaign(_FIRST_FREE, needed))
        backlog.vacuum()
    simulator = stack.start_simulator(receipts=False)
    try:
        stack.start_sender(burdened.database)
        settled_in = _wait_until_put_aside(burdened) if burden.waits else 0.0
        stack.start_sender(plain.database)
        with burden.hold(burdened.database):
            if burden.warm_up:
                for backlog in (plain, burdened):
                    _drain(stack, backlog, Campaign(_FIRST_FREE, burden.warm_up))
            pairs = [
                (
                    _drain(stack, plain, Campaign(first, messages)),
                    _drain(stack, burdened, Campaign(first, messages)),
                )
                for first in range(_FIRST_FREE + burden.warm_up, _FIRST_FREE + needed, messages)
            ]
    finally:
        stack.stop_senders()
        stack.stop_child(simulator)
    for backlog in (plain, burdened):
        stack.postgres.drop_database(backlog.name)
    return Slowdown(
        name=burden.name,
        ratio=statistics.median(loaded.claim_us / free.claim_us for free, loaded in pairs),
        plain_us=statistics.median(free.claim_us for free, _ in pairs),
        burdened_us=statistics.median(loaded.claim_us for _, loaded in pairs),
        looking_us=statistics.median(loaded.looking_us for _, loaded in pairs),
        blocks_ratio=statistics.median(loaded.blocks / free.blocks for free, loaded in pairs),
        plain_batch=statistics.median(free.batch for free, _ in pairs),
        burdened_batch=statistics.median(loaded.batch for _, loaded in pairs),
        rate_kept=statistics.median(loaded.rate / free.rate for free, loaded in pairs),
        settled_in_s=settled_in,
    )


def _wait_until_put_aside(backlog: Backlog) -> float:
    started = time.monotonic()
    while backlog.count_ready() > 1:
        if has_passed(started + _PATIENCE_S):
            break
        time.sleep(_POLL_S)
    return time.monotonic() - started


def _drain(stack: Stack, backlog: Backlog, campaign: Campaign) -> _Turn:
    """Queue a campaign for a sender that runs, and wait until none of it is left to send."""
    last = backlog.read_last_id()
    reset_statements(stack.server_url)
    backlog.queue(campaign)
    started = time.monotonic()
    while backlog.count_unsent(last) and not has_passed(started + _PATIENCE_S):
        time.sleep(_POLL_S)
    seconds = time.monotonic() - started
    costs = read_statements(stack.server_url, backlog.name)
    claiming = sum((costs.get(name, Cost()) for name in CLAIM_STATEMENTS), start=Cost())
    return _Turn(
        claim_us=1e6 * claiming.seconds / campaign.messages,
        looking_us=1e6 * costs.get("lanes", Cost()).seconds / campaign.messages,
        blocks=claiming.blocks / campaign.messages,
        batch=campaign.messages / max(costs.get("claim", Cost()).calls, 1),
        rate=campaign.messages / seconds,
    )
