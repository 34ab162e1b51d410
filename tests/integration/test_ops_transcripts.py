"""What changing commands print, word for word, on a wide terminal and on a narrow one."""

import re

import pytest

from tests.ops_parts import Operator

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


@pytest.fixture
def ops(database: str) -> Operator:
    found = Operator(database)
    found.add(1234, code="131016")
    found.add(2, code="1", channel="SMS")
    found.add(1, status="SENDING", code=None, attempts=1, outcome="IN_FLIGHT", age="7 minutes")
    return found


def _shown(text: str) -> list[str]:
    lines = [line.rstrip() for line in _TIME.sub("2026-03-01 03:12:45Z", text).splitlines()]
    return [line for line in lines if line]


def test_a_dry_run(ops: Operator) -> None:
    shown = _shown(ops.run("retry", "--dry-run", "--limit", "2000").out)
    assert shown == [
        "ops retry",
        " Channel    Status   Code     Retry   messages",
        " ─────────────────────────────────────────────",
        " WHATSAPP   FAILED   131016   yes        1,234",
        " SMS        FAILED   1        yes            2",
        "1,236 messages to go back to the queue, due at once; a used-up budget is whole again.",
        "An undo does not bring back what a sender has taken meanwhile.",
        "Dry run: nothing was changed.",
    ]


def test_a_dry_run_on_a_narrow_terminal(ops: Operator) -> None:
    narrow = Operator(ops.database, columns=50)
    shown = _shown(narrow.run("stuck", "release", "--dry-run", "--force").out)
    assert shown == [
        "ops stuck release",
        " Channel    Status    Code   Retry   messages",
        " ────────────────────────────────────────────",
        " WHATSAPP   SENDING                         1",
        "1 message to go back to the queue, due at once; a",
        "used-up budget is whole again.",
        "Mind: 1 may have reached the provider already, and",
        "may arrive twice",
        "An undo does not bring back what a sender has",
        "taken meanwhile.",
        "Dry run: nothing was changed.",
    ]


def test_an_outcome_the_log_and_an_undo(ops: Operator) -> None:
    done = _shown(ops.run("retry", "--yes", "--per-second", "0", "--ticket", "INC-7").out)
    assert done == [
        "Operation 1: 100 of 100 messages changed.",
        "updated_by: ops-1-retry-ana-INC-7",
        "Take it back with: outbound-slo ops undo 1",
    ]
    assert _shown(ops.run("undo", "1", "--dry-run").out) == [
        "ops undo",
        " Table              Were      rows",
        " ─────────────────────────────────",
        " outbound_attempt   changed    100",
        " outbound_message   changed    100",
        "200 rows to become what they were before operation 1 (retry, ana), unless changed since.",
        "Dry run: nothing was changed.",
    ]
    assert _shown(ops.run("log").out) == [
        "Operations",
        " No.   When                   Command   By    Ticket   Ended   Changed   Undo",
        " ────────────────────────────────────────────────────────────────────────────────",
        "   1   2026-03-01 03:12:45Z   retry     ana   INC-7    done        100   possible",
    ]
