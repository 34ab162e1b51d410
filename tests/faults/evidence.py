"""Collects what the judge weighs: rows of the database, the simulator's ledger, the logs."""

import re
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import requests

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from tests.faults.judge import (
    Acceptance,
    AttemptRow,
    Evidence,
    MessageRow,
    OutcomeChange,
    StatusChange,
)
from tests.integrity_parts import find_contradictions

QUERIES: Mapping[str, str] = load_queries("tests.faults", "watch.sql")

_NUMBER = re.compile(r"\d+")
_BAR = re.compile(r"^ *[|] ?")
_PAUSE_S = 0.2
_TRACEBACK = "Traceback (most recent call last):"


def collect(
    database: str,
    simulator_url: str,
    *,
    confirmed: frozenset[str],
    lost_processes: Collection[int],
    logs: Iterable[Path],
    endings: tuple[str, ...],
    contradictions: Collection[str],
) -> Evidence:
    """Read everything once nothing moves any more.

    Args:
        database: URL of the scenario's database.
        simulator_url: Base URL of the simulator.
        confirmed: Keys of the messages that the producer was promised.
        lost_processes: Ids of the senders that were killed or frozen.
        logs: The senders' logs.
        endings: Processes that did not end well, in words.
        contradictions: What the exporter's checks for damage found on the way.

    """
    ledger = _read_ledger(simulator_url)
    with psycopg.connect(database) as connection:
        return Evidence(
            confirmed=confirmed,
            messages=tuple(
                MessageRow(number, key, MessageStatus(status), error)
                for number, key, status, error in _fetch(connection, "messages")
            ),
            attempts=tuple(
                AttemptRow(
                    message,
                    number,
                    AttemptOutcome(outcome),
                    http_status,
                    marked,
                    survived=not _is_one_of(worker, lost_processes),
                )
                for message, number, outcome, http_status, marked, worker in _fetch(
                    connection, "attempts"
                )
            ),
            status_changes=tuple(
                StatusChange(message, MessageStatus(old), MessageStatus(new), attempt, who)
                for message, old, new, attempt, who in _fetch(connection, "status_changes")
            ),
            outcome_changes=tuple(
                OutcomeChange(message, attempt, AttemptOutcome(old), AttemptOutcome(new), marked)
                for message, attempt, old, new, marked in _fetch(connection, "outcome_changes")
            ),
            acceptances=tuple(
                Acceptance(int(message), int(taken["attempt"]), taken["answered"])
                for message, acceptances in ledger["messages"].items()
                for taken in acceptances
            ),
            overlaps=_count_overlaps(ledger),
            endings=endings,
            contradictions=tuple(sorted({*contradictions, *find_contradictions(connection)})),
            crashes=tuple(crash for log in logs for crash in find_crashes(log.read_text("utf-8"))),
        )


def count_unfinished(database: str) -> int:
    """Count messages that wait or are in flight, and webhooks that nobody has applied."""
    while True:
        try:
            with psycopg.connect(database, connect_timeout=2) as connection:
                return sum(_fetch(connection, "unfinished")[0])
        except psycopg.OperationalError:
            # It is on its way back: whoever halts it starts it again.
            time.sleep(_PAUSE_S)


def look_for_damage(database: str) -> set[str]:
    """Ask for damage as the exporter does; a database that does not answer has none to tell."""
    with suppress(psycopg.OperationalError), psycopg.connect(database, connect_timeout=2) as asking:
        return find_contradictions(asking)
    return set()


def find_crashes(log: str) -> list[str]:
    """Give the last line of each traceback in a log: the first that is not indented.

    Groups of exceptions have a bar before each line.
    """
    crashes: list[str] = []
    for part in log.split(_TRACEBACK)[1:]:
        lines = (_BAR.sub("", line) for line in part.splitlines())
        crashes.append(next((line for line in lines if line[:1].strip()), "cut off"))
    return crashes


def _read_ledger(simulator_url: str) -> dict[str, Any]:
    answer = requests.get(f"{simulator_url}/_control/ledger", timeout=30)
    answer.raise_for_status()
    ledger: dict[str, Any] = answer.json()
    if ledger["totals"]["unreferenced"] or ledger["totals"]["forgotten"]:
        raise AssertionError(f"The ledger can't judge everything: {ledger['totals']}")
    return ledger


def _count_overlaps(ledger: Mapping[str, Any]) -> int:
    return int(ledger["totals"].get("overlaps", 0))


def _fetch(connection: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(QUERIES[query].encode()).fetchall()


def _is_one_of(worker: str | None, processes: Collection[int]) -> bool:
    return any(int(number) in processes for number in _NUMBER.findall(worker or ""))
