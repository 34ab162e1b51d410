"""The log: one line per event whatever is in it, no secret in any, and never a reason to stop."""

import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from outbound_slo.vocabulary.statuses import AttemptOutcome, MessageStatus
from sender.callbacks import Caller
from sender.journal import correlate, name_message, tell_attempt, tell_receipt
from sender.logs import configure_logs, escape, write_text
from sender.outbox import Settlement
from sender.receipts import Effect, Receipt
from sender.redaction import HIDDEN, Redactor, find_secrets, hide_people
from sender.settlement import Settled, Tidings
from tests.unit.test_sender_rules import GOOD

TRACE = "a" * 32
SECRET = "hunter2-hunter2"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Give a log in memory; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = handlers, level


def _start(stream: io.StringIO, log_format: str = "text", level: str = "info") -> None:
    configure_logs(log_format, level=level, redactor=Redactor([SECRET]), stream=stream)


def test_a_line_has_a_time_a_level_a_component_and_its_fields(stream: io.StringIO) -> None:
    _start(stream)
    structlog.get_logger(component="OutboundJobWorker").warning("held", messageId=12, why="too far")
    assert re.fullmatch(
        r'\S+Z WARNING \[OutboundJobWorker\] held why="too far" messageId=12\n', stream.getvalue()
    )


NASTY = "a\nb\r\n2026-01-01 ERROR \x1b[31m[x]\u2028\x85\x7f\u202e forged"


def test_nothing_in_a_field_breaks_or_colours_a_line(stream: io.StringIO) -> None:
    _start(stream)
    structlog.get_logger().info(NASTY, **{"key\n": NASTY, "list": [NASTY]})
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue()[:-1].isprintable()


@given(st.text(), st.text(), st.one_of(st.text(), st.lists(st.text()), st.none(), st.integers()))
def test_every_text_gives_one_line_that_a_terminal_can_show(
    event: str, key: str, value: object
) -> None:
    line = write_text(None, "info", {"event": event, f"k{key}": value})
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"])))
def test_what_can_be_shown_stays_as_it_is(text: str) -> None:
    assert escape(text) == text


def _fail() -> None:
    raise ValueError(f"first\n2026-01-01T00:00:00Z ERROR   [x] forged {SECRET}")


def test_no_line_of_a_traceback_passes_for_a_line_of_the_log(stream: io.StringIO) -> None:
    _start(stream)
    try:
        _fail()
    except ValueError:
        structlog.get_logger().exception("crashed")
    first, *rest = stream.getvalue().splitlines()
    assert "ERROR" in first
    assert rest
    assert all(line.startswith("    | ") for line in rest)
    assert SECRET not in stream.getvalue()


def test_json_lines_are_json_and_hide_secrets_too(stream: io.StringIO) -> None:
    _start(stream, "json")
    structlog.get_logger().info(NASTY, password="x", url=f"postgresql://me:{SECRET}@db/x")
    [line] = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record["event"] == NASTY
    assert record["password"] == HIDDEN
    assert record["url"] == f"postgresql://{HIDDEN}@db/x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access_token", "x"),
        ("appSecret", "x"),
        ("Authorization", b"x"),
        ("note", f"it was {SECRET}."),
        ("note", "Bearer abcdefgh12345"),
        ("note", "EAAGm0PX4ZCpsBAKZCabcdefghijk"),
        ("note", "SG.abcdefgh.ijklmnop"),
        ("note", "https://graph.example/v26.0?access_token=abc&x=1"),
        ("note", "host=db password=abc"),
        ("note", {"deep": [{"api_key": "x"}]}),
        ("note", ("a", f"b {SECRET}")),
    ],
)
def test_a_secret_is_hidden_by_its_name_its_value_or_its_looks(name: str, value: object) -> None:
    shown = json.dumps(Redactor([SECRET]).clean(name, value))
    assert HIDDEN in shown
    assert not re.search(r'hunter2|abcdefgh|=abc|"x"', shown)


def test_what_is_no_secret_is_shown(stream: io.StringIO) -> None:
    _start(stream)
    structlog.get_logger().info("sent", messageId=12345, errorCode="131016", open=None, ok=True)
    assert "sent errorCode=131016 open=null ok=true messageId=12345" in stream.getvalue()


class _Settings(BaseModel):
    url: str = "postgresql://me:pass%2Fword@db/x"
    token: SecretStr = SecretStr("a-token-of-length")
    unset: SecretStr = SecretStr("")
    plain: str = "visible"


def test_the_secrets_of_settings_are_found_with_the_passwords_in_addresses() -> None:
    assert sorted(find_secrets(_Settings())) == ["a-token-of-length", "pass/word"]


def test_a_short_secret_tears_no_holes_into_words() -> None:
    assert Redactor(["key"]).scrub("monkey") == "monkey"


_SUSPECTS = ["x", SECRET, "Bearer abcdefghij", "password=open", "postgres://me:pw@host", "EAA", ""]


@given(
    st.dictionaries(
        st.sampled_from(["event", "messageId", "accessToken", "errorMessage", "orgs"]),
        st.sampled_from(_SUSPECTS) | st.integers() | st.lists(st.sampled_from(_SUSPECTS)),
    )
)
def test_one_look_at_a_line_passes_only_what_a_look_at_every_field_leaves_alone(
    line: dict[str, object],
) -> None:
    redactor = Redactor([SECRET])
    field_by_field = {name: redactor.clean(name, value) for name, value in line.items()}

    assert redactor(None, "info", dict(line)) == field_by_field


def test_lines_of_libraries_are_cleaned_and_written_alike(stream: io.StringIO) -> None:
    _start(stream)
    logging.getLogger("psycopg.pool").warning("lost %s\nforged", f"postgresql://u:{SECRET}@h/d")
    assert stream.getvalue().count("\n") == 1
    assert SECRET not in stream.getvalue()
    assert "WARNING" in stream.getvalue()


def test_the_level_is_kept_to(stream: io.StringIO) -> None:
    _start(stream, level="error")
    structlog.get_logger().warning("no")
    structlog.get_logger().error("yes")
    assert "yes" in stream.getvalue()
    assert "no" not in stream.getvalue()


class _Gone(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_is_gone_stops_nobody() -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        _start(_Gone())
        structlog.get_logger().error("to nobody")
        logging.getLogger("library").error("to nobody")
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, level


def _settlement(outcome: AttemptOutcome, **more: object) -> Settlement:
    base = Settlement(GOOD.id, 2, outcome, MessageStatus.FAILED, http_status=400)
    return replace(base, **more)  # type: ignore[arg-type]  # the fields' own types


def test_every_line_while_a_message_is_worked_on_bears_its_ids(stream: io.StringIO) -> None:
    _start(stream)
    name_message(replace(GOOD, id=12345, session_id="abc-123-def"), TRACE)
    structlog.get_logger().info("anything")
    shown = stream.getvalue()
    ids = f"messageId=12345 traceId={TRACE} correlationId=abc-123-def correlation_id=abc-123-def"
    assert shown.endswith(f"anything {ids}\n")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (replace(GOOD, session_id="s", run_id="r", traceparent=f"00-{'c' * 32}-1-01"), "s"),
        (replace(GOOD, session_id=None, run_id="r", traceparent=f"00-{'c' * 32}-1-01"), "r"),
        (replace(GOOD, session_id=None, run_id=None, traceparent=f"00-{'c' * 32}-1-01"), "c" * 32),
        (replace(GOOD, session_id=None, run_id=None, traceparent="nonsense"), TRACE),
        (replace(GOOD, session_id=None, run_id=None, traceparent=None), TRACE),
    ],
)
def test_the_correlation_id_is_the_one_that_most_others_know(
    message: object, expected: str
) -> None:
    assert correlate(message, TRACE) == expected  # type: ignore[arg-type]  # a ClaimedMessage


@pytest.mark.parametrize(
    ("outcome", "level", "event", "names_provider"),
    [
        (AttemptOutcome.SENT, "INFO", "sent", True),
        (AttemptOutcome.FAILED, "ERROR", "handleFailure", True),
        (AttemptOutcome.UNKNOWN, "ERROR", "handleFailure", True),
        (AttemptOutcome.REFUSED, "WARNING", "handleFailure", False),
        (AttemptOutcome.DEFERRED, "INFO", "deferred", False),
    ],
)
def test_an_outcome_is_told_at_its_level_and_only_the_providers_own_name_it(
    stream: io.StringIO, outcome: AttemptOutcome, level: str, event: str, names_provider: bool
) -> None:
    _start(stream)
    tell_attempt(GOOD, _settlement(outcome, error_code="131016", provider_message_id="wamid.1"))
    line = stream.getvalue()
    assert f" {level}" in line
    assert f"[OutboundJobWorker] {event} " in line
    assert ("provider=WhatsApp" in line) is names_provider
    assert ("errorCode=131016" in line) is (outcome is not AttemptOutcome.SENT)


def test_a_providers_words_are_told_without_the_recipient(stream: io.StringIO) -> None:
    _start(stream)
    text = "No account for +33612345678 (ann@example.org)"
    tell_attempt(GOOD, _settlement(AttemptOutcome.FAILED, error_code="1", error_message=text))
    assert 'errorMessage="No account for [number] ([address])"' in stream.getvalue()


def test_people_are_hidden_and_codes_are_not() -> None:
    assert hide_people("131026 to 33612345678") == "131026 to [number]"


def _settled(effect: Effect, **receipt: object) -> Settled:
    told = Receipt("wamid.1", **receipt)  # type: ignore[arg-type]  # the fields' own types
    tidings = Tidings(Caller.WHATSAPP, None, datetime(2026, 9, 1, tzinfo=UTC), told)
    return Settled(tidings, effect, 12345, f"00-{TRACE}-{'b' * 16}-01")


def test_a_failure_told_by_webhook_is_an_error_with_the_messages_ids(stream: io.StringIO) -> None:
    _start(stream)
    failed = {"failed_s": 1.0, "error_code": "131026", "error_message": "to +33612345678"}
    tell_receipt(_settled(Effect.MOVED, **failed))
    tell_receipt(_settled(Effect.REPEATED, **failed))
    tell_receipt(_settled(Effect.MOVED, delivered_s=1.0))
    [line] = stream.getvalue().splitlines()
    assert " ERROR " in line
    assert "handleFailure errorCode=131026" in line
    assert "provider=WhatsApp" in line
    assert line.endswith(f"messageId=12345 traceId={TRACE}")
    assert "33612345678" not in line


def test_psycopg_does_not_tell_again_what_was_dealt_with(stream: io.StringIO) -> None:
    _start(stream)
    logger = logging.getLogger("psycopg")
    logger.warning("error ignored terminating %s: %s", "pipeline", "aborted")
    logger.warning("something else")
    assert "ignored" not in stream.getvalue()
    assert "something else" in stream.getvalue()
