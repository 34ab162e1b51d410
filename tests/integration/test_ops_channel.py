"""Switches turned by commands: what they say, what they hold, how they are taken back."""

from collections.abc import Iterator

import psycopg
import pytest

from operations.durations import read_duration
from operations.switching import wait_for_drain
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _paused(ops: Operator) -> set[str]:
    return {name for (name,) in ops.execute("SELECT channel FROM outbound_pause WHERE paused")}


def _switches(ops: Operator) -> list[tuple[object, ...]]:
    return ops.execute("SELECT to_jsonb(s) - 'resumed_at' FROM outbound_switch AS s ORDER BY 1")


def test_a_channel_is_paused_and_resumed(ops: Operator) -> None:
    before = _switches(ops)
    dry = ops.run("channel", "pause", "sms", "--dry-run", "--json").json()
    check_printed("survey", dry)
    assert (dry["keys"], _switches(ops)) == (["SMS"], before)
    done = ops.change("channel", "pause", "sms", "--reason", "Twilio is down", "--ticket", "INC-7")
    check_printed("outcome", done)
    assert _paused(ops) == {"SMS"}
    again = ops.run("channel", "pause", "sms", "--yes")
    assert again.out == "Nothing to do: no channels to change.\n"
    shown = ops.run("channel", "list", "--json").json()
    check_printed("channel_list", shown)
    [sms] = [each for each in shown["switches"] if each["switch"] == "sms"]
    assert (sms["state"], sms["reason"], sms["until"]) == ("paused", "Twilio is down", None)
    assert sms["updated_by"] == f"ops-{done['operation']}-channel-pause-ana-INC-7"
    ops.change("channel", "resume", "sms")
    assert _paused(ops) == set()
    assert ops.run("channel", "resume", "sms", "--yes").out.startswith("Nothing to do")


def test_a_pause_may_end_by_itself(ops: Operator) -> None:
    ops.change("channel", "pause", "sms", "--for", "1h30m")
    left = "SELECT round(EXTRACT(EPOCH FROM until - updated_at)) FROM outbound_switch"
    assert ops.ask(f"{left} WHERE channel = 'SMS'") == 5400
    assert _paused(ops) == {"SMS"}
    ops.execute("UPDATE outbound_switch SET until = now() WHERE channel = 'SMS'")
    assert _paused(ops) == set()
    assert ops.run("channel", "resume", "sms", "--yes").out.startswith("Nothing to do")
    ops.change("channel", "pause", "sms")  # and now for good
    assert ops.ask("SELECT until IS NULL FROM outbound_switch WHERE channel = 'SMS'")
    assert _paused(ops) == {"SMS"}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1D", 86400), ("0.5h", 1800)],
)
def test_lengths_of_time_are_read(written: str, seconds: float) -> None:
    assert read_duration("--for", written) == seconds


@pytest.mark.parametrize("written", ["", "2", "h", "2 h", "-1h", "0s", "31d", "2hours", "1e3s"])
def test_what_is_no_length_of_time_is_refused(written: str) -> None:
    with pytest.raises(UserMistake, match="--for"):
        read_duration("--for", written)


def test_everything_is_stopped_but_what_was_paused_by_itself_stays_so(ops: Operator) -> None:
    ops.change("channel", "pause", "sms")
    ops.add(1, status="QUEUED", attempts=0, code=None)
    ops.add(2, status="QUEUED", attempts=0, code=None, channel="SMS")
    ops.change("stop", "--reason", "wrong campaign")
    assert _paused(ops) == {"WHATSAPP", "SMS", "EMAIL"}
    states = {
        each["switch"]: (each["state"], each["due"])
        for each in ops.run("channel", "list", "--json").json()["switches"]
    }
    assert states == {
        "everything": ("paused", 3),
        "whatsapp": ("stopped", 1),
        "sms": ("paused", 2),
        "email": ("stopped", 0),
    }
    held = ops.run("channel", "resume", "sms", "--dry-run", "--json").json()
    assert held["warnings"] == ["everything is stopped and stays so: outbound-slo ops resume"]
    said = ops.run("resume", "--yes")
    assert said.code == 0
    assert "Due: 1 message, " in said.err
    assert "sms was paused by itself and stays so: outbound-slo ops channel resume sms" in said.err
    assert _paused(ops) == {"SMS"}


def test_turning_a_switch_is_undone(ops: Operator) -> None:
    before = _switches(ops)
    paused = ops.change("channel", "pause", "email", "--for", "2h", "--reason", "r")["operation"]
    held = _switches(ops)
    resumed = ops.change("channel", "resume", "email")["operation"]
    assert ops.change("undo", paused)["skipped"] == {"changed_since": 1}
    ops.change("undo", resumed)
    assert _switches(ops) == held
    assert _paused(ops) == {"EMAIL"}
    ops.change("undo", paused)
    assert _switches(ops) == before
    assert _paused(ops) == set()


def test_one_organisations_account_is_switched(ops: Operator) -> None:
    ops.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, webhook_secret_encrypted)"
        " VALUES ('org', '1', 'secret'), ('other', '2', NULL)"
    )
    account = "SELECT enabled FROM whatsapp_provider_config WHERE org_id = 'org'"
    done = ops.change("channel", "pause", "whatsapp", "--org", "org")
    assert (ops.ask(account), _paused(ops)) == (False, set())
    kept = "SELECT before || after FROM outbound_operation_row WHERE operation_id = %s"
    assert "webhook_secret_encrypted" not in ops.ask(kept, done["operation"])
    shown = ops.run("channel", "list", "--json").json()
    check_printed("channel_list", shown)
    assert [each["org"] for each in shown["disabled_accounts"]] == ["org"]
    again = ops.run("channel", "pause", "whatsapp", "--org", "org", "--yes")
    assert again.out == "Nothing to do: no accounts to change.\n"
    ops.change("channel", "resume", "whatsapp", "--org", "org")
    assert ops.ask(account)
    ops.change("channel", "pause", "whatsapp", "--org", "org")
    ops.change("undo", done["operation"] + 2)
    assert ops.ask(account)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pause", "telegram"], "'telegram' is no channel"),
        (["pause", "all"], "'outbound-slo ops stop' is for all"),
        (["pause", "sms", "--org", "org"], "--org is WhatsApp's: sms has one account for all"),
        (["pause", "whatsapp", "--org", "org", "--for", "2h"], "--for and --reason are for whole"),
        (["pause", "whatsapp", "--org", "nobody"], "nobody has no row in whatsapp_provider_config"),
        (["pause", "sms", "--for", "soon"], "--for 'soon' is no length of time"),
        (["pause", "sms", "--reason", "x" * 201], "--reason is longer than 200 characters"),
    ],
)
def test_a_mistake_is_told_in_one_line(ops: Operator, arguments: list[str], said: str) -> None:
    printed = ops.run("channel", *arguments, "--yes")
    assert (printed.code, said in printed.err) == (2, True), printed
    assert _paused(ops) == set()


def test_what_stays_in_flight_is_told_with_an_exit_code_of_its_own(ops: Operator) -> None:
    ops.add(2, status="SENDING", code=None, attempts=1, outcome="IN_FLIGHT")
    ops.add(1, status="SENDING", code=None, attempts=1, outcome="UNKNOWN")
    impatient = {"OUTBOUND_REQUEST_TIMEOUT_SECONDS": "0.1"}
    said = ops.run("channel", "pause", "whatsapp", "--yes", **impatient)
    assert said.code == 3
    assert "2 in flight: waiting for them, up to 0.1 s.\n2 still in flight" in said.err
    assert _paused(ops) == {"WHATSAPP"}
    assert ops.run("stop", "--yes", "--no-wait").code == 0


def test_a_claim_that_has_not_seen_the_switch_is_waited_for(ops: Operator) -> None:
    with (
        psycopg.connect(ops.database, application_name="outbound-slo sender") as sender,
        psycopg.connect(ops.database, autocommit=True) as mine,
    ):
        sender.execute("SELECT FROM outbound_message FOR UPDATE SKIP LOCKED")
        looks: list[int] = []
        drain = wait_for_drain(mine, ["SMS"], 0.0, on_look=looks.append)
        assert (drain.in_flight, drain.claims, drain.done) == (0, 1, False)
        drain = wait_for_drain(
            mine, ["SMS"], 60.0, on_look=looks.append, sleep=lambda _: sender.rollback()
        )
        assert drain.done
        assert looks == [0, 0, 0]


@pytest.fixture
def onlooker(ops: Operator) -> Iterator[str]:
    """Give a role that may read and write the outbox, and see nothing of others' sessions."""
    ops.execute("CREATE ROLE drainer")
    ops.execute("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO drainer")
    yield "drainer"
    ops.execute("DROP OWNED BY drainer")
    ops.execute("DROP ROLE drainer")


def test_a_claim_is_seen_by_a_role_without_rights_to_monitor(ops: Operator, onlooker: str) -> None:
    with (
        psycopg.connect(ops.database, application_name="outbound-slo sender") as sender,
        psycopg.connect(ops.database, autocommit=True) as mine,
    ):
        mine.execute(f"SET ROLE {onlooker}".encode())
        sender.execute("SELECT FROM outbound_message FOR UPDATE SKIP LOCKED")

        def claim_anew(_seconds: float) -> None:
            # The next one has seen the switch: it is not waited for.
            sender.rollback()
            sender.execute("SELECT FROM outbound_message FOR UPDATE SKIP LOCKED")

        assert wait_for_drain(mine, ["SMS"], 0.0).claims == 1
        assert wait_for_drain(mine, ["SMS"], 60.0, sleep=claim_anew).done
        mine.execute("RESET ROLE")


def test_a_drain_counts_no_longer_than_a_moment(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.switching._COUNT_MS", 100)
    perform = "operations.channel_commands.perform"

    class Done:
        changed = 1

    monkeypatch.setattr(perform, lambda *_: Done())
    with psycopg.connect(ops.database) as other:
        other.execute("LOCK outbound_attempt")
        said = ops.run("stop", "--yes", OUTBOUND_REQUEST_TIMEOUT_SECONDS="0.1")
    assert (said.code, "is not known: the database took too long" in said.err) == (3, True)
