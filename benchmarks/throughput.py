"""Messages per second of real processes: queue first, then send, then wait for the receipts.

Rates are those of the simulator's ledger: messages over the time from its first acceptance to its
last. Our own senders are given three receipts per message meanwhile (sent, delivered, read).
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.backlog import Backlog, Campaign
from benchmarks.processor import processor_seconds, resident_bytes
from benchmarks.stack import Stack, has_passed
from benchmarks.statements import Cost, read_statements, reset_statements
from outbound_slo.vocabulary import metrics

_POLL_S = 0.5
_LONGEST_LIST = 200_000
"""Messages whose entries are read one by one; beyond it the ledger's totals must do."""

_DRAIN_PATIENCE_S = 60.0
"""Seconds without any progress after which a run is judged as it stands."""


@dataclass(frozen=True, slots=True)
class Run:
    """How our senders are run.

    Attributes:
        processes: How many of them.
        traced: Whether they export spans; if not, no collector is configured.
        receipts: Whether the provider sends any.
        settings: Further environment variables.

    """

    messages: int
    processes: int = 1
    traced: bool = True
    receipts: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drain:
    """What a run over one backlog showed.

    Attributes:
        sent_per_s: Messages per second from the first acceptance to the last.
        finished_per_s: The same until the last receipt was applied.
        receipt_lag_s: Seconds from the last acceptance until then.
        lost: Messages that were not delivered and read, or not exactly once in the ledger.
        dropped_spans: Spans that the senders lost.
        processor_ms: Milliseconds of processor time per message, by part.
        statements: What each statement cost the server.
        sender_rss_mb: Resident memory of the largest sender at the end.
        load: The machine's load average over the last minute.

    """

    messages: int
    sent_per_s: float
    finished_per_s: float
    receipt_lag_s: float
    lost: int
    dropped_spans: int
    processor_ms: Mapping[str, float]
    statements: Mapping[str, Cost]
    sender_rss_mb: float
    load: float


@dataclass(frozen=True, slots=True)
class _Acceptances:
    """What the simulator's ledger holds: messages, those taken once only, first and last time."""

    messages: int
    once: int
    first_s: float
    last_s: float

    @property
    def per_s(self) -> float:
        return self.messages / (self.last_s - self.first_s)


def measure_drain(stack: Stack, run: Run, watch: Callable[[int], None] | None = None) -> Drain:
    """Queue a campaign, start the senders, wait until every receipt is applied.

    Args:
        stack: What it runs on.
        run: How.
        watch: Told time and again how many messages were accepted so far.

    """
    backlog = Backlog(stack.create_database())
    campaign = Campaign(0, run.messages)
    backlog.allow(campaign)
    backlog.queue(campaign)
    backlog.vacuum()
    simulator = stack.start_simulator(receipts=run.receipts)
    parts = {"postgres": stack.postgres_pid, "simulator": simulator.pid, "sink": stack.sink.pid}
    before = {name: processor_seconds(pid) for name, pid in parts.items()}
    reset_statements(stack.server_url)
    try:
        for _ in range(run.processes):
            stack.start_sender(backlog.database, traced=run.traced, settings=run.settings)
        _wait_for_receipts(stack, backlog, run.messages, watch)
        finished_at = time.time()
        spent = {name: processor_seconds(pid) - before[name] for name, pid in parts.items()}
        spent["senders"] = sum(processor_seconds(child.pid) for child in stack.senders)
        dropped = stack.read_metric(metrics.DROPPED_SPANS.name)
        resident = max(resident_bytes(child.pid) for child in stack.senders)
        statements = read_statements(stack.server_url, backlog.name)
        taken = _read_ledger(stack, backlog, run.messages)
    finally:
        stack.stop_senders()
        stack.stop_child(simulator)
    unfinished = backlog.count_unfinished() if run.receipts else 0
    stack.postgres.drop_database(backlog.name)
    return Drain(
        messages=run.messages,
        sent_per_s=taken.per_s,
        finished_per_s=taken.messages / (finished_at - taken.first_s),
        receipt_lag_s=finished_at - taken.last_s,
        lost=max(run.messages - taken.once, unfinished),
        dropped_spans=int(dropped),
        processor_ms={name: 1000 * seconds / run.messages for name, seconds in spent.items()},
        statements=statements,
        sender_rss_mb=resident / 1e6,
        load=os.getloadavg()[0],
    )


def measure_baseline(stack: Stack, name: str, messages: int) -> float:
    """Run a baseline over a queue of its own; gives messages per second by the same ledger."""
    database = stack.create_database(migrated=False)
    simulator = stack.start_simulator(receipts=False)
    try:
        worker = stack.run_baseline(name, database, messages)
        _wait_for_acceptances(stack, messages, None)
        taken = _read_list(stack)
        stack.stop_child(worker)
    finally:
        stack.stop_child(simulator)
    stack.postgres.drop_database(database.rsplit("/", 1)[1])
    return taken.per_s


def _read_ledger(stack: Stack, backlog: Backlog, messages: int) -> _Acceptances:
    if messages <= _LONGEST_LIST:
        return _read_list(stack)
    totals = stack.ask_simulator("ledger?messages=false")["totals"]
    first_s, last_s = backlog.read_answer_times()
    once = totals["messages"] - totals["duplicated_messages"]
    return _Acceptances(totals["messages"], once, first_s, last_s)


def _read_list(stack: Stack) -> _Acceptances:
    listed = stack.ask_simulator("ledger")["messages"].values()
    times = [one["accepted_at"] for several in listed for one in several]
    once = sum(len(several) == 1 for several in listed)
    return _Acceptances(len(listed), once, min(times), max(times))


def _wait_for_acceptances(stack: Stack, messages: int, watch: Callable[[int], None] | None) -> None:
    # The simulator counts over its whole ledger each time it is asked.
    pause = _POLL_S * max(1.0, messages / _LONGEST_LIST)
    accepted, progress_at = 0, time.monotonic()
    while accepted < messages and not has_passed(progress_at + _DRAIN_PATIENCE_S):
        time.sleep(pause)
        seen = stack.ask_simulator("stats")["accepted"]
        if seen > accepted:
            accepted, progress_at = seen, time.monotonic()
        else:
            stack.require_running()
        if watch is not None:
            watch(accepted)


def _wait_for_receipts(
    stack: Stack, backlog: Backlog, messages: int, watch: Callable[[int], None] | None
) -> None:
    """Wait until every message is accepted and every receipt posted and applied.

    Asks the simulator, and a partial index of stored webhooks: the queue is left alone meanwhile.
    """
    _wait_for_acceptances(stack, messages, watch)
    least, progress_at = None, time.monotonic()
    while not has_passed(progress_at + _DRAIN_PATIENCE_S):
        waiting = stack.ask_simulator("stats")["webhooks"]["pending"]
        waiting += backlog.count_open_webhooks()
        if waiting == 0:
            return
        if least is None or waiting < least:
            least, progress_at = waiting, time.monotonic()
        time.sleep(_POLL_S)
