"""What a claim's rows become."""

from dataclasses import astuple, fields, replace
from datetime import UTC, datetime

from outbound_slo.vocabulary.statuses import Priority, Turn
from sender.lanes import Verdict
from sender.outbox import ClaimedMessage, read_claim
from tests.unit.test_sender_rules import GOOD

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FIELDS = [field.name for field in fields(ClaimedMessage)]
# As the statement has them: a candidate's key stands first among a message's columns.
COLUMNS = ["id", "channel", "priority", "org_id"]
REST = [name for name in FIELDS if name not in COLUMNS]


def _row(message: ClaimedMessage, verdict: Verdict = Verdict.CLAIMED) -> tuple[object, ...]:
    values = dict(zip(FIELDS, astuple(message), strict=True))
    told = [values[name] for name in (*COLUMNS, *REST)]
    return (verdict.value, Turn.OPEN.value, NOW, *told)


def _read(*rows: tuple[object, ...]) -> list[ClaimedMessage]:
    return read_claim(["verdict", "turn", "due_at", *COLUMNS, *REST], rows).messages


def test_urgent_messages_are_started_first() -> None:
    bulk = [replace(GOOD, id=number, priority=Priority.BULK.value) for number in (1, 2)]
    urgent = replace(GOOD, id=3, priority=Priority.URGENT.value)

    assert _read(*map(_row, [bulk[1], bulk[0], urgent])) == [urgent, *bulk]


def test_what_was_looked_at_and_not_taken_is_no_message() -> None:
    assert _read(_row(GOOD, Verdict.PARKED), _row(GOOD)) == [GOOD]
