"""What must not stand in any span, looked for in the store's own file after real sends."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from sender.enqueue import NewMessage
from tests.integration.sending import (
    NUMBER,
    ORG,
    PROGRAM,
    Sending,
    own_environment,
    template_message,
    wait_until,
)
from tests.tracing_parts import open_store
from tracing.jaeger import JaegerClient

TOKEN = "EAAGm0PX4ZCpsBAKZC"
WORDS = "the verdict of the physician"
KEY = "of some thirty random characters"
FORMS = {
    "plain": {},
    "masked": {"OUTBOUND_TRACE_RECIPIENTS": "masked"},
    "hashed": {"OUTBOUND_TRACE_RECIPIENTS": "hashed", "OUTBOUND_TRACE_RECIPIENT_KEY": KEY},
}


@contextmanager
def told(
    database: str, folder: Path, settings: dict[str, str]
) -> Iterator[tuple[Callable[[], bytes], str, int]]:
    """Send a text and fail it twice; give what the store's files hold, its URL and the message."""
    with open_store(folder / "traces.db") as store, Supervisor(folder) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.execute(
            "INSERT INTO whatsapp_session_window (org_id, phone_number) VALUES (%s, %s)",
            ORG,
            NUMBER,
        )
        sending.start_simulator()
        sending.set_faults({"kind": "error", "provider": "meta", "for_requests": 2})
        sending.start_sender(
            OTEL_EXPORTER_OTLP_ENDPOINT=store, WHATSAPP_ACCESS_TOKEN=TOKEN, **settings
        )
        text = NewMessage(ORG, template_message().channel, NUMBER, payload={"text": WORDS})
        [message] = sending.queue(text)
        client = JaegerClient(store)
        wait_until(
            lambda: any(
                span.tags.get("new.status") == "DELIVERED"
                for trace in client.traces_of_message(message)
                for span in trace.spans
            ),
            "the story of the delivery",
        )

        def read() -> bytes:
            return b"".join(file.read_bytes() for file in folder.glob("traces.db*"))

        yield read, store, message


@pytest.mark.parametrize("form", list(FORMS))
def test_no_span_holds_content_or_token_and_recipients_are_found_as_they_are_named(
    database: str, tmp_path: Path, form: str
) -> None:
    settings = FORMS[form]
    with told(database, tmp_path, settings) as (read, store, message):
        held = read()
        asked = subprocess.run(
            [PROGRAM, "trace", "recipient", "+33 6 12 34 56 78", "--url", store, "--json"],
            env=own_environment(**settings),
            capture_output=True,
            text=True,
            check=False,
        )

    assert b"outbound-message-process" in held
    assert TOKEN.encode() not in held
    assert WORDS.encode() not in held
    assert KEY.encode() not in held
    assert (NUMBER.encode() in held) is (form == "plain")
    assert asked.returncode == 0, asked.stderr
    assert f'"messageId": {message}' in asked.stdout
