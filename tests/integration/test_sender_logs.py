"""The log of a real sender, searched with the runbooks' own commands by the real grep."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage
from tests.integration.sending import APP_SECRET, NUMBER, ORG, Sending, wait_until
from tests.runbooks.source import read_runbooks, runbook_directory

GREPS = (
    ("001", 'grep -i "Invalid webhook signature"'),
    ("001", 'grep -c "Invalid webhook signature"'),
    ("002", 'grep "OutboundJobWorker"'),
    ("002", 'grep "correlation_id=XXXX"'),
    ("002", 'grep "Processing.*pending outbound messages"'),
    ("002", 'grep "messageId=12345"'),
    ("002", 'grep "correlationId=abc-123-def"'),
    ("002", 'grep "OutboundJobWorker" | grep "Processing"'),
    ("002", 'grep "handleFailure" | grep "errorCode"'),
    ("002", 'grep -E "(Twilio|SendGrid|WhatsApp)" | grep "ERROR"'),
)
"""Every search of a log in runbooks 000 to 002; what stands before them is kubectl's part."""

_SEARCH = re.compile(r"kubectl logs[^|\n]*\|\s*(?:\\\n\s*)?(grep [^\n]*)")
_OTHERWISE = re.compile(r"\s*\|\|.*")


def _read_greps(number: str, text: str) -> set[tuple[str, str]]:
    """Find the searches of the log in a runbook, without what it does if they find nothing."""
    return {(number, _OTHERWISE.sub("", found).strip()) for found in _SEARCH.findall(text)}


def test_the_list_has_every_search_of_the_runbooks() -> None:
    """Beside the project, where it stands with the runbooks, they are read again."""
    directory = runbook_directory()
    if directory.is_dir():
        texts = read_runbooks(directory)
        found = {grep for number, text in texts.items() for grep in _read_greps(number, text)}
        assert found == set(GREPS)
    assert _read_greps("9", 'N=$(kubectl logs x | \\\n  grep -c "y" || echo "0")') == {
        ("9", 'grep -c "y"')
    }


def _search(command: str, log: Path) -> subprocess.CompletedProcess[str]:
    """Run a runbook's search as its shell would, over a log."""
    shell = shutil.which("bash")
    assert shell is not None
    with log.open("rb") as lines:
        return subprocess.run(
            [shell, "-o", "pipefail", "-c", command],
            stdin=lines,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def sending(database: str, tmp_path: Path) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        yield Sending(supervisor, database)


def _live(sending: Sending, **settings: str) -> Path:
    """Drive a sender through success, failures of every provider, a refusal and a forgery."""
    sending.allow(NUMBER)
    sending.start_simulator()
    fault = {"kind": "error", "http_status": 500, "for_requests": 1}
    sending.set_faults(
        fault | {"provider": "meta", "code": 131016},
        fault | {"provider": "twilio", "code": 20500},
        fault | {"provider": "sendgrid", "code": 500},
    )
    sending.start_sender(**settings)
    statement = (
        "INSERT INTO outbound_message (id, org_id, channel, to_recipient, template_code,"
        " session_id, run_id) VALUES (%s, %s, 'WHATSAPP', %s, 'appointment_reminder', %s, %s)"
    )
    sending.execute(statement, 12345, ORG, NUMBER, "abc-123-def", None)
    sending.execute(statement, 12346, ORG, NUMBER, None, "XXXX")
    hello = {"text": "Hello"}
    others = sending.queue(
        NewMessage(ORG, Channel.SMS, NUMBER, payload=hello),
        NewMessage(ORG, Channel.EMAIL, "ann@example.org", subject="Hi", payload=hello),
        NewMessage(ORG, Channel.WHATSAPP, NUMBER, payload=hello),
    )
    assert sending.post_webhook({"entry": []}, secret="forged").status_code == 401
    ends = {"SENT", "DELIVERED", "FAILED"}
    numbers = [12345, 12346, *others]
    wait_until(
        lambda: {status for status, _ in sending.statuses(numbers)} <= ends, "all to come to an end"
    )
    return sending.supervisor.directory / "sender-1.log"


def test_every_search_of_the_runbooks_finds_what_it_looks_for(sending: Sending) -> None:
    log = _live(sending)
    found = {(number, grep): _search(grep, log) for number, grep in GREPS}
    assert {key: done.stderr for key, done in found.items() if done.returncode != 0} == {}
    shown = {grep: done.stdout.splitlines() for (_, grep), done in found.items()}
    assert shown['grep -c "Invalid webhook signature"'] == ["1"]
    errors = shown['grep -E "(Twilio|SendGrid|WhatsApp)" | grep "ERROR"']
    for provider, code in (("WhatsApp", "131016"), ("Twilio", "20500"), ("SendGrid", "sendgrid_")):
        assert any(f"provider={provider} " in line and code in line for line in errors), provider
    failures = shown['grep "handleFailure" | grep "errorCode"']
    assert any("errorCode=session_expired" in line for line in failures)
    # One failed attempt and one good one, and nothing of any other message.
    life = shown['grep "messageId=12345"']
    assert [("handleFailure" in line, "] sent" in line) for line in life] == [
        (True, False),
        (False, True),
    ]
    assert life == shown['grep "correlationId=abc-123-def"']
    assert all("messageId=12346" in line for line in shown['grep "correlation_id=XXXX"'])


def test_the_log_as_json_has_the_same_fields_and_no_secret(sending: Sending) -> None:
    log = _live(sending, OUTBOUND_LOG_FORMAT="json")
    text = log.read_text("utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    [sent] = [r for r in records if r["event"] == "sent" and r.get("messageId") == 12345]
    assert sent["correlationId"] == "abc-123-def"
    assert re.fullmatch("[0-9a-f]{32}", sent["traceId"])
    assert APP_SECRET not in text
    assert "ann@example.org" not in text
    assert NUMBER.lstrip("+") not in text
