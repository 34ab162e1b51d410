"""Changing commands as processes: killed, interrupted, asked, and beside running senders."""

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from tests.integration.ops_processes import kill_midway, read_changed, start_ops
from tests.integration.sending import (
    NUMBER,
    PROGRAM,
    Sending,
    own_environment,
    template_message,
    wait_until,
)
from tests.ops_parts import Operator

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _queued(ops: Operator) -> int:
    count: int = ops.ask("SELECT count(*) FROM outbound_message WHERE status = 'QUEUED'")
    return count


def test_a_killed_change_has_done_whole_batches_and_is_finished_by_repeating_it(
    ops: Operator,
) -> None:
    numbers = ops.add(60)
    before = ops.picture(numbers)
    killed = kill_midway(ops, "retry", "--per-second", "4", least=8)
    assert killed % 4 == 0
    assert 0 < killed < 60
    assert _queued(ops) == killed
    rest = ops.change("retry")
    assert rest["changed"] == 60 - killed
    for number in (rest["operation"], rest["operation"] - 1):
        ops.change("undo", number)
    assert ops.picture(numbers) == before


def test_an_interrupted_change_ends_after_its_batch_and_says_so(ops: Operator) -> None:
    ops.add(60)
    with start_ops(ops, "retry", "--yes", "--per-second", "4") as process:
        wait_until(lambda: read_changed(ops) >= 4, "a batch")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Ending after this batch" in err
    assert b"run the command again for the rest" in out
    assert _queued(ops) == read_changed(ops) < 60
    assert ops.run("log", "--json").json()[0]["state"] == "interrupted"


def test_somebody_is_asked_with_the_count(ops: Operator) -> None:
    ops.add(3)
    refused = ops.run("retry")
    assert (refused.code, "a change of 3 messages" in refused.err) == (2, True)
    for answer, code, queued in ((b"n\n", 1, 0), (b"y\n", 0, 3)):
        master, terminal = pty.openpty()
        process = subprocess.Popen(
            [PROGRAM, "ops", "retry"],
            env=own_environment(DATABASE_URL=ops.database, OUTBOUND_OPERATOR="ana"),
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(terminal)
        os.write(master, answer)
        _, err = process.communicate(timeout=60)
        os.close(master)
        assert b"Change 3 messages?" in err
        assert (process.returncode, _queued(ops)) == (code, queued)


def test_two_operators_at_once_share_the_work_beside_senders(ops: Operator, tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, ops.database)
        recipients = [f"{NUMBER[:-3]}{place:03d}" for place in range(80)]
        sending.allow(*recipients)
        sending.start_simulator()
        sending.set_faults(OUTAGE)
        breaker = {"OUTBOUND_BREAKER_MINIMUM_CALLS": "100000"}
        sending.start_sender(**breaker, OUTBOUND_BREAKER_WINDOW_CALLS="100000")
        messages = [template_message(each, max_attempts=2) for each in recipients]
        numbers = sending.queue(*messages)
        wait_until(lambda: set(ops.statuses(numbers)) == {"FAILED"}, "dead letters")
        sending.set_faults()
        done = []
        with (
            start_ops(ops, "retry", "--yes", "--json", "--batch", "7") as one,
            start_ops(ops, "retry", "--yes", "--json", "--batch", "7") as two,
        ):
            done = [process.communicate(timeout=120) for process in (one, two)]
        assert {one.returncode, two.returncode} == {0}, done
        wait_until(lambda: set(ops.statuses(numbers)) == {"DELIVERED"}, "deliveries")
        assert sending.ledger()["duplicates"] == 0
        assert ops.ask("SELECT sum(changed) FROM outbound_operation") == 80
        assert ops.ask("SELECT count(*) FROM outbound_attempt WHERE possible_duplicate") == 0
        attempts = "SELECT max(attempt_no) FROM outbound_attempt"
        assert ops.ask(attempts) == 3


def test_what_a_sender_is_about_to_settle_is_not_released_and_arrives_once(
    ops: Operator, tmp_path: Path
) -> None:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, ops.database)
        sending.allow(NUMBER)
        sending.start_simulator("--latency-ms", "3000")
        sending.start_sender()
        numbers = sending.queue(template_message())
        wait_until(lambda: ops.statuses(numbers) == ["SENDING"], "the claim")
        released = ops.run("stuck", "release", numbers[0], "--yes")
        assert released.out == "Nothing to do: no messages to change.\n"
        wait_until(lambda: ops.statuses(numbers) == ["DELIVERED"], "the delivery")
        assert sending.ledger()["accepted"] == 1
