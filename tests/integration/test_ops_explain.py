"""`outbound-slo ops stuck explain ID`: every hold by name, and what the real sender then does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbound_slo.database import parse_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from tests.integration.sending import NUMBER, Sending, template_message, wait_until
from tests.ops_parts import Operator, Printed
from tests.ops_schemas import check_printed

CLOSED = '{"WHATSAPP": "closed", "SMS": "closed", "EMAIL": "closed"}'
ORG = "org"


@pytest.fixture(scope="module")
def home(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    yield postgres_server.create_database("ops_explain", template=template_database)
    postgres_server.drop_database("ops_explain")


@pytest.fixture
def operator(home: str) -> Operator:
    """Give an outbox with a living sender, and nothing in it."""
    operator = Operator(home)
    operator.execute(
        "TRUNCATE outbound_message, outbound_sender, consentement, contact_preferences,"
        " whatsapp_rate_limit, whatsapp_provider_config, provider_webhook_health CASCADE"
    )
    operator.execute("UPDATE outbound_switch SET paused = false")
    live(operator)
    return operator


def live(operator: Operator, breakers: str = CLOSED, *, claiming: bool = True) -> None:
    operator.execute(
        "INSERT INTO outbound_sender VALUES ('w:1', '1', now(), now(), %s, 0, %s)"
        " ON CONFLICT (worker) DO UPDATE SET seen_at = now(), breakers = EXCLUDED.breakers,"
        " claiming = EXCLUDED.claiming",
        claiming,
        breakers,
    )


def put(operator: Operator, changes: str = "", **more: Any) -> int:  # noqa: ANN401 - add's own
    """Queue a message that nothing holds, but for what `changes` sets in its row."""
    options = {"status": "QUEUED", "code": None, "attempts": 0, "age": "1 minute"} | more
    [number] = operator.add(**options)
    operator.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " SELECT org_id, to_recipient, channel, 'GRANTED' FROM outbound_message WHERE id = %s",
        number,
    )
    if changes:
        operator.execute(f"UPDATE outbound_message SET {changes} WHERE id = %s", number)
    return number


def explain(operator: Operator, number: int, **settings: str) -> tuple[Printed, list[str]]:
    """Ask as a machine; the holds' names are given beside what was printed."""
    printed = operator.run("stuck", "explain", number, "--json", **settings)
    document = printed.json()
    check_printed("stuck_explain", document)
    assert printed.code == (1 if document["needs_person"] else 0)
    return printed, [hold["kind"] for hold in document["holds"]]


def test_nothing_holds_a_message_that_is_due(operator: Operator) -> None:
    first, second = put(operator), put(operator)

    printed = operator.run("stuck", "explain", second)
    assert printed.code == 0
    lines = printed.out.splitlines()
    assert lines[0] == f"Message {second} of org: WHATSAPP, QUEUED, OPEN, attempt 0 of 5"
    assert lines[1].endswith("; 1 before it in its lane")
    assert lines[2] == "Nothing holds it: the next claims take it."
    assert explain(operator, first)[0].json()["ahead"] == 0


@pytest.mark.parametrize(
    ("changes", "more", "kinds", "needs_person"),
    [
        ("", {"status": "DELIVERED"}, ["final"], False),
        ("", {"status": "FAILED", "code": "131021", "attempts": 5}, ["final"], True),
        ("scheduled_at = now() + interval '1 h'", {}, ["scheduled"], False),
        (
            "scheduled_at = now() + interval '1 h', error_code = 'quota_exhausted'",
            {},
            ["deferred"],
            False,
        ),
        ("updated_at = now() + interval '4 h'", {}, ["deferred"], False),
        (
            "next_retry_at = now() + interval '1 h'",
            {"attempts": 2, "code": "131016"},
            ["back_off"],
            False,
        ),
        ("expires_at = now() - interval '1 s'", {}, ["expired"], False),
        ('template_code = NULL, payload_json = \'{"text": "a"}\'', {}, ["refused"], True),
        ("to_recipient = 'nobody'", {}, ["refused"], True),
        ("", {"age": "1 hour"}, ["unexplained"], True),
    ],
)
def test_what_a_row_says_by_itself(
    operator: Operator, changes: str, more: dict[str, Any], kinds: list[str], needs_person: bool
) -> None:
    printed, found = explain(operator, put(operator, changes, **more))

    assert found == kinds
    assert printed.code == int(needs_person)


WORLD = {
    "paused until somebody ends it": (["paused"], 1),
    "paused for an hour": (["paused"], 0),
    "switched off": (["disabled"], 1),
    "no sender yet": (["no_sender"], 1),
    "silent sender": (["no_sender"], 1),
    "idle sender": (["no_sender"], 1),
    "sender of other channels": (["no_sender"], 1),
    "open breaker": (["breaker_open"], 0),
    "throttled": (["throttled"], 0),
    "quota used up": (["quota"], 0),
    "throttled, no quota left, at night": (["throttled", "quota", "quiet_hours"], 0),
    "opted out": (["refused"], 1),
    "no consent": (["refused"], 1),
}
"""What makes each of them so is in ops_worlds.sql."""

WORLDS = parse_queries(Path(__file__).with_name("ops_worlds.sql").read_text("utf-8"), "worlds")


def make_world(operator: Operator, case: str) -> None:
    with psycopg.connect(operator.database) as connection:
        connection.execute(WORLDS[case.replace(",", "").replace(" ", "_")].encode())


@pytest.mark.parametrize("case", WORLD)
def test_what_the_world_holds_a_message_with(operator: Operator, case: str) -> None:
    kinds, code = WORLD[case]
    number = put(operator)
    make_world(operator, case)

    printed, found = explain(operator, number)
    assert (found, printed.code) == (kinds, code)


def test_holds_are_told_in_order_with_their_mends(operator: Operator) -> None:
    number = put(operator, "next_retry_at = '2099-01-01', error_code = '131016'", attempts=2)
    make_world(operator, "paused until somebody ends it")
    operator.execute("DELETE FROM outbound_sender")
    printed = operator.run("stuck", "explain", number)

    assert printed.code == 1
    assert printed.out.splitlines()[2:] == [
        "1. Waits for attempt 3 after 131016, until 2099-01-01 00:00:00Z",
        f"   wait, or send it now: outbound-slo ops stuck release {number} --force",
        "2. WHATSAPP is paused by ana: Meta is down",
        "   outbound-slo ops channel resume all",
        "3. No sender has been seen",
        "   start one: outbound-slo sender",
    ]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ("worker = 'w:1', outcome = 'IN_FLIGHT'", ["in_flight"]),
        ("worker = 'gone:1', outcome = 'IN_FLIGHT'", ["recovery_window"]),
        ("worker = 'w:1', outcome = 'UNKNOWN'", ["recovery_window"]),
    ],
)
def test_a_message_on_its_way(operator: Operator, changes: str, kinds: list[str]) -> None:
    number = put(operator, status="SENDING", attempts=1, age="1 minute")
    operator.execute(f"UPDATE outbound_attempt SET {changes}, finished_at = NULL")

    printed, found = explain(operator, number)
    assert (found, printed.code) == (kinds, 0)


def test_silence_holds_what_may_have_arrived(operator: Operator) -> None:
    number = put(operator, status="SENDING", attempts=1, age="1 hour", outcome="UNKNOWN")
    operator.execute(
        "INSERT INTO provider_webhook_health VALUES"
        " ('whatsapp', now() - interval '2 hours', now() - interval '1 minute')"
    )
    # Time before the server started does not count, so the window has to be shorter than its life.
    settings = {
        "OUTBOUND_RECOVERY_WINDOW_SECONDS": "0.001",
        "OUTBOUND_REQUEST_TIMEOUT_SECONDS": "0.0005",
    }
    printed, found = explain(operator, number, **settings)

    assert found[0] == "silence"
    assert printed.code == 1
    assert f"stuck release {number} --force" in printed.json()["holds"][0]["mend"]


def test_a_parked_message_names_what_it_waits_for(operator: Operator) -> None:
    first = put(operator, status="SENDING", attempts=1)
    second = put(operator, "turn = 'PARKED'")
    operator.execute(
        "UPDATE outbound_message SET to_recipient ="
        " (SELECT to_recipient FROM outbound_message WHERE id = %s) WHERE id = %s",
        first,
        second,
    )
    printed = operator.run("stuck", "explain", second)

    assert printed.code == 0
    assert f"1. Parked behind message {first} to the same recipient (SENDING for " in printed.out
    assert f"   outbound-slo ops stuck explain {first}" in printed.out


def test_with_strict_order_an_earlier_one_goes_first(operator: Operator) -> None:
    first, second = put(operator), put(operator)
    operator.execute("UPDATE outbound_message SET to_recipient = '+33600000001'")
    operator.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " VALUES ('org', '+33600000001', 'WHATSAPP', 'GRANTED')"
    )

    assert explain(operator, second)[1] == []
    printed, found = explain(operator, second, OUTBOUND_STRICT_ORDER="true")
    assert found == ["behind"]
    assert f"message {first} " in printed.json()["holds"][0]["text"]


def test_a_number_that_no_message_has_is_a_mistake(operator: Operator) -> None:
    number = put(operator)
    for arguments in ((number + 1,), (number, "--org", "another")):
        printed = operator.run("stuck", "explain", *arguments)
        assert (printed.code, printed.out) == (2, "")
        assert printed.err.startswith(f"There is no message {arguments[0]}")


def test_what_is_foretold_is_what_the_sender_does(database: str, tmp_path: Path) -> None:
    """The sender is asked to prove it: each message ends as its explanation said."""
    operator = Operator(database)
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.start_simulator()
        sending.allow(NUMBER, "+33612345679")
        people = [NUMBER, "+33612345670", "+33612345671", "+33612345679"]
        free, consentless, opted_out, paused = sending.queue(*map(template_message, people))
        sending.execute("SELECT init_contact_preferences(%s)", people[2])
        sending.execute("UPDATE contact_preferences SET opted_out = true")
        sending.execute(
            "UPDATE outbound_message SET channel = 'SMS', template_code = NULL,"
            ' payload_json = \'{"text": "Hello"}\' WHERE id = %s',
            paused,
        )
        sending.execute("UPDATE outbound_switch SET paused = true WHERE channel = 'SMS'")

        def holds(number: int) -> list[str]:
            document = operator.run("stuck", "explain", number, "--json").json()
            return [f"{one['kind']} {one['text']}" for one in document["holds"]]

        assert holds(free) == ["no_sender No sender has been seen"]
        codes = [
            next(code for code in ("consent_missing", "opted_out") if code in holds(number)[1])
            for number in (consentless, opted_out)
        ]
        sending.start_sender()
        told = _read(lambda: sending.statuses([consentless, opted_out]), "FAILED")
        assert [code for _, code in told] == codes
        _read(lambda: sending.statuses([free]), "DELIVERED")
        assert [one.split()[0] for one in holds(paused)] == ["paused"]
        assert sending.statuses([paused]) == [("QUEUED", None)]


def _read(
    ask: Callable[[], list[tuple[str, str | None]]], status: str
) -> list[tuple[str, str | None]]:
    wait_until(lambda: {found for found, _ in ask()} == {status}, status)
    return ask()


def test_a_session_that_holds_rows_is_named(operator: Operator) -> None:
    number = put(operator, age="1 hour")
    with psycopg.connect(operator.database, application_name="forgotten psql") as session:
        session.execute("SELECT FROM outbound_message WHERE id = %s FOR UPDATE", (number,))
        assert explain(operator, number)[1] == ["unexplained"]
        # A minute makes it a suspect; here the statement's own interval is shortened instead.
        assert _shorten(operator, number) == ["locked"]


def _shorten(operator: Operator, number: int) -> list[str]:
    from operations import stuck_looking

    kept = stuck_looking._QUERIES
    hasty = dict(kept)
    hasty["lockers"] = kept["lockers"].replace("interval '1 minute'", "interval '0'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stuck_looking, "_QUERIES", hasty)
        printed, found = explain(operator, number)
    assert "forgotten psql" in printed.json()["holds"][0]["text"]
    return found
