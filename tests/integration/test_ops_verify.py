"""`ops verify`: each recovery criterion on both sides of its line, and the screens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from operations.verification import Scope, find_block
from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.recoveries import CRITERIA, RECOVERIES, RecoveryName
from tests.integration.sending import NUMBER, Sending, template_message, wait_until
from tests.ops_parts import Operator, Printed
from tests.ops_schemas import check_printed
from tests.ops_verify_parts import CASES, Case

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}
TABLES = (
    "outbound_message, outbound_attempt, whatsapp_rate_limit, whatsapp_session_window, message,"
    " provider_webhook, provider_webhook_health, outbound_sender"
)


@pytest.fixture(scope="module")
def kept(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    database = postgres_server.create_database("ops_verify", template=template_database)
    yield Operator(database)
    postgres_server.drop_database("ops_verify")


@pytest.fixture
def operator(kept: Operator) -> Operator:
    """Give an empty outbox."""
    kept.execute(f"TRUNCATE {TABLES}")
    return kept


WIDE = """\
Failed messages were sent again (retry)

 Verdict   Criterion                      Measured                       Wanted
 ──────────────────────────────────────────────────────────────────────────────────────────────────
 met       Retried messages get out       81.81 % (11 messages, 0        > 80 %, last 30 min
                                          failed, 2 pending)
 NOT MET   Few attempts fail              18.18 % (11 attempts, 2        < 10 %, last 10 min
                                          failed)
 met       The queue does not grow:       -9 messages (2 waiting)        <= 0 messages, last 10 min
           change of messages due
 NOT MET   No new temporary errors        2 errors (11 attempts)         == 0 errors, last 10 min

Not over: 2 of 4 criteria are not met, or nothing tells.
"""
NARROW = """\
Failed messages were sent again (retry)

 Verdict   Criterion        Measured        Wanted
 ──────────────────────────────────────────────────────────
 met       Retried          81.81 % (11     > 80 %, last 30
           messages get     messages, 0     min
           out              failed, 2
                            pending)
 NOT MET   Few attempts     18.18 % (11     < 10 %, last 10
           fail             attempts, 2     min
                            failed)
 met       The queue does   -9 messages     <= 0 messages,
           not grow:        (2 waiting)     last 10 min
           change of
           messages due
 NOT MET   No new           2 errors (11    == 0 errors,
           temporary        attempts)       last 10 min
           errors

Not over: 2 of 4 criteria are not met, or nothing tells.
"""


def strip(printed: Printed) -> str:
    return "".join(f"{line.rstrip()}\n" for line in printed.out.splitlines())


def find_recovery(key: str) -> RecoveryName:
    return next(name for name, each in RECOVERIES.items() if CRITERIA[key] in each.criteria)


def measure(operator: Operator, key: str, *options: object) -> dict[str, Any]:
    printed = operator.run("verify", find_recovery(key), *options, "--json")
    found = printed.json()
    check_printed("verify", found)
    assert printed.code == (0 if found["met"] else 1)
    [criterion] = [each for each in found["criteria"] if each["key"] == key]
    return dict(criterion)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.key}-{case.measured}")
def test_a_criterion_is_judged(operator: Operator, case: Case) -> None:
    case.lay(operator)

    found = measure(operator, case.key)

    assert found["verdict"] == case.verdict
    assert found["measured"] == (
        None if case.measured is None else pytest.approx(case.measured, abs=case.within)
    )


def test_every_criterion_is_met_once_and_once_not() -> None:
    tried = {key: {case.verdict for case in CASES if case.key == key} for key in CRITERIA}

    # Where no recipient writes, nobody can tell whether they could.
    assert {key for key, verdicts in tried.items() if not {"met", "not_met"} <= verdicts} == {
        "inbound"
    }
    assert tried["inbound"] == {"met", "no_data"}


def test_without_any_traffic_what_needs_some_is_not_met(operator: Operator) -> None:
    for name in (RecoveryName.RETRY, RecoveryName.OUTAGE, RecoveryName.LATENCY):
        found = operator.run("verify", name, "--json").json()

        assert not found["met"]
        assert "no_data" in {each["verdict"] for each in found["criteria"]}
    for name in (RecoveryName.STUCK, RecoveryName.QUEUE, RecoveryName.DLQ):
        assert operator.run("verify", name, "--json").json()["met"]


def test_stuck_messages_are_those_that_the_exporter_counts(operator: Operator) -> None:
    for status, attempts, age in (
        ("SENDING", 1, "6 minutes"), ("SENDING", 1, "4 minutes"), ("QUEUED", 0, "6 minutes"),
        ("QUEUED", 0, "4 minutes"), ("QUEUED", 3, "3 hours"),
    ):  # fmt: skip
        operator.add(2, status=status, attempts=attempts, age=age, outcome="FAILED")
    operator.execute(
        "UPDATE outbound_message SET scheduled_at = now() + interval '1 hour' WHERE id = ("
        "SELECT min(id) FROM outbound_message WHERE status = 'QUEUED')"
    )
    counted = operator.ask(
        "SELECT sum(messages)::int FROM ("
        + load_queries("exporter", "packs/outbound/state.sql")["stuck_messages"]
        + ") AS s"
    )

    assert measure(operator, "stuck")["measured"] == counted == 5


def test_one_organisation_and_one_channel_are_judged_alone(operator: Operator) -> None:
    operator.add(2, status="SENT", outcome="SENT", attempts=1, age="1 minute", org="good")
    operator.add(2, attempts=1, age="1 minute", org="bad")
    operator.add(4, status="SENT", outcome="SENT", attempts=1, age="1 minute", channel="SMS")

    assert measure(operator, "failures")["measured"] == 25
    assert measure(operator, "failures", "--org", "bad")["measured"] == 100
    assert measure(operator, "failures", "--channel", "whatsapp")["measured"] == 50
    assert measure(operator, "failures", "--org", "bad", "--channel", "sms")["verdict"] == "no_data"


def test_how_far_back_can_be_said(operator: Operator) -> None:
    operator.add(1, attempts=1, age="5 minutes")
    operator.add(3, status="SENT", outcome="SENT", attempts=1, age="1 minute")

    assert measure(operator, "temporary_errors")["measured"] == 1
    found = measure(operator, "temporary_errors", "--since", "2m")
    assert (found["measured"], found["window_s"]) == (0, 120)
    assert measure(operator, "stuck", "--since", "2m")["window_s"] == 0


def test_what_an_error_code_means_follows_the_policy(operator: Operator) -> None:
    operator.add(1, code="0", attempts=1, age="1 minute")

    assert measure(operator, "temporary_errors")["measured"] == 1
    found = operator.run("verify", "retry", "--json", WHATSAPP_ERROR_POLICY="meta").json()
    assert found["criteria"][3]["measured"] == 0


def test_the_screen(operator: Operator) -> None:
    operator.add(9, status="SENT", outcome="SENT", attempts=2, age="5 minutes", code=None)
    operator.add(2, status="QUEUED", attempts=2, age="5 minutes")
    operator.execute("UPDATE outbound_message SET due_since = now() - interval '1 hour'")

    wide = operator.run("verify", "retry")
    narrow = Operator(operator.database, 60).run("verify", "retry")

    assert wide.code == narrow.code == 1
    assert strip(wide) == WIDE
    assert strip(narrow) == NARROW


def test_the_screen_of_a_recovery(operator: Operator) -> None:
    printed = operator.run("verify", "stuck")

    assert printed.code == 0
    assert [line.rstrip() for line in printed.out.splitlines()] == [
        "No message is stuck (stuck)",
        "",
        " Verdict   Criterion             Measured     Wanted",
        " " + "─" * 58,
        " met       No message is stuck   0 messages   == 0 messages",
        "",
        "Over: every criterion is met.",
    ]


def test_without_an_argument_the_recoveries_are_listed(operator: Operator) -> None:
    printed = operator.run("verify")
    as_json = operator.run("verify", "--json").json()

    check_printed("verify-list", as_json)
    assert printed.code == 0
    assert all(f" {name} " in printed.out for name in RecoveryName)
    assert [each["recovery"] for each in as_json] == list(RecoveryName)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "There is no recovery 'nothing'. Give one of retry, outage, quota, "),
        (["retry", "--since", "soon"], "--since 'soon' is not a span of time. Write 90s, 10m or"),
        (["retry", "--since", "0m"], "--since '0m' is not a span of time. "),
        (["retry", "--operation", "99"], "There is no operation 99. See 'outbound-slo ops log'"),
        (["stuck", "--operation", "1"], "No criterion of 'stuck' is about the messages of one op"),
    ],
)
def test_mistakes_are_told(operator: Operator, arguments: list[str], told: str) -> None:
    printed = operator.run("verify", *arguments)

    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith(told)


def test_messages_of_one_operation_are_judged_alone(operator: Operator) -> None:
    operator.add(3, attempts=2, age="1 minute")
    numbers = operator.add(4, attempts=2, age="1 minute", code="131026")
    done = operator.change("retry", *numbers)
    number = done["operation"]

    before = measure(operator, "retried", "--operation", number)
    operator.execute("UPDATE outbound_message SET status = 'SENT' WHERE id = ANY (%s)", numbers[:3])
    after = measure(operator, "retried", "--operation", number)
    operator.change("retry", numbers[3], "--force")
    later = measure(operator, "retried", "--operation", number)

    assert (before["measured"], before["behind"]["pending"]) == (0, 4)
    assert (after["verdict"], after["measured"]) == ("not_met", 75)
    # A message that a later operation took up again is that one's.
    assert (later["verdict"], later["measured"]) == ("met", 100)


def test_no_statement_reads_a_whole_table(operator: Operator) -> None:
    queries = load_queries("operations", "sql/verification.sql")
    values = {
        "window_s": 600, "org_id": None, "channel": None, "operation": 1, "codes": ["1"], "line": 1,
    }  # fmt: skip
    blocks = [find_block(each, Scope()) for each in CRITERIA.values()]
    read = set()
    with psycopg.connect(operator.database) as connection:
        connection.execute(queries["plan_by_index"].encode())
        for block in [*blocks, "retried_by_operation"]:
            rows = connection.execute(b"EXPLAIN " + queries[block].encode(), values).fetchall()
            read |= {
                (block, line.strip())
                for (line,) in rows
                if "Seq Scan on outbound_message" in line or "Seq Scan on outbound_attempt" in line
            }

    assert read == set()


def test_an_outage_is_over_when_its_messages_were_sent_and_errors_lie_back(
    database: str, tmp_path: Path
) -> None:
    ops = Operator(database)
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        recipients = [f"{NUMBER[:-3]}{place:03d}" for place in range(10)]
        sending.allow(*recipients)
        sending.start_simulator()
        sending.set_faults(OUTAGE)
        sending.start_sender(OUTBOUND_BREAKER_MINIMUM_CALLS="100000")
        numbers = sending.queue(*(template_message(each, max_attempts=2) for each in recipients))
        wait_until(lambda: set(ops.statuses(numbers)) == {"FAILED"}, "dead letters")
        during = ops.run("verify", "retry", "--json")
        sending.set_faults()
        number = ops.change("retry")["operation"]
        wait_until(lambda: set(ops.statuses(numbers)) == {"DELIVERED"}, "deliveries")

    soon = ops.run("verify", "retry", "--operation", number, "--json")
    ops.execute(
        "UPDATE outbound_attempt SET started_at = started_at - interval '11 minutes'"
        " WHERE outcome = 'FAILED'"
    )
    late = ops.run("verify", "retry", "--operation", number)

    def list_verdicts(printed: Printed) -> dict[str, str]:
        return {each["key"]: each["verdict"] for each in printed.json()["criteria"]}

    assert (during.code, list_verdicts(during)["retried"]) == (1, "not_met")
    assert (soon.code, list_verdicts(soon)) == (
        1,
        {"retried": "met", "failures": "not_met", "trend": "met", "temporary_errors": "not_met"},
    )
    assert (late.code, late.out.splitlines()[-1]) == (0, "Over: every criterion is met.")
