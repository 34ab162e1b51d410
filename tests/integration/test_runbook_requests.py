"""What 000 to 002 ask of the platform's HTTP face is answered, with the fields that they show.

Read from the runbooks themselves, like tests/integration/test_runbook_sql.py, and skipped with it
where a clone stands alone. test_sender_api_diagnostics.py has the same fields written down.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.integration.api_stand import TOKEN, Stand, open_stand
from tests.integration.sending import NUMBER, ORG
from tests.runbooks.answers import extract_answers, extract_requests
from tests.runbooks.source import DIRECTORY_VARIABLE, read_runbooks, runbook_directory

if not runbook_directory().is_dir():
    pytest.skip(
        f"No runbooks in {runbook_directory()}; set {DIRECTORY_VARIABLE} to test their requests",
        allow_module_level=True,
    )

RUNBOOKS = read_runbooks(runbook_directory())
ANSWERS = dict(answer for text in RUNBOOKS.values() for answer in extract_answers(text))
REQUESTS = sorted({request for text in RUNBOOKS.values() for request in extract_requests(text)})
_HOSTS = re.compile(r"https://api\.atlas-immobilier\.com|http://localhost:8080")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def stand(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """Run a platform with something of everything that the runbooks ask about."""
    url = postgres_server.create_database("runbook_requests", template=template_database)
    directory: Path = tmp_path_factory.mktemp("requests")
    with open_stand(url, directory) as stand:
        stand.sending.allow(NUMBER)
        stand.execute(
            "INSERT INTO whatsapp_session_window (org_id, phone_number) VALUES (%s, %s)",
            ORG,
            NUMBER,
        )
        stand.insert(attempt_count=2, error_code="130", error_message="Rate limit hit")
        stand.insert(status="DELIVERED")
        yield stand
    postgres_server.drop_database("runbook_requests")


def _run(stand: Stand, request: str, **variables: str) -> str:
    """Run a curl command as it stands, with this test's host in place of theirs."""
    command = _HOSTS.sub(stand.url, request)
    done = subprocess.run(
        ["bash", "-c", f"{command} -sS -w '\\n%{{http_code}}'"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "ADMIN_TOKEN": TOKEN} | variables,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "200", f"{command}: {done.stderr}{done.stdout}"
    return body


def test_the_runbooks_were_read_as_they_are() -> None:
    assert len(ANSWERS) == 5
    assert len(REQUESTS) == 11


@pytest.mark.parametrize("request_", REQUESTS)
def test_each_curl_line_is_answered_200(stand: Stand, request_: str) -> None:
    number = str(stand.insert(status="FAILED", attempts="FAILED", error_code="1"))
    names = {"MSG_ID": number, "MESSAGE_ID": number, "id": number, "ORG_ID": ORG, "org_id": ORG}
    assert _run(stand, request_, **names)


@pytest.mark.parametrize("path", ANSWERS)
def test_each_answer_has_the_fields_shown_with_values_of_their_kind(
    stand: Stand, path: str
) -> None:
    if path.endswith("dry-run-send"):
        answer = stand.ask("POST", path, body={"phoneNumber": NUMBER, "templateCode": None}).json()
    else:
        answer = stand.get(path, org="system-admin")
    found = answer["channelMetrics"]["WHATSAPP"] if "dashboard" in path else answer
    _compare(ANSWERS[path], found, path)


def _compare(shown: Any, found: Any, place: str) -> None:  # noqa: ANN401 - any JSON
    if isinstance(shown, dict):
        assert shown.keys() <= found.keys(), place
        for key, value in shown.items():
            _compare(value, found[key], f"{place} {key}")
    elif isinstance(shown, list):
        assert found, f"{place} is empty, so nothing was compared"
        for value in found:
            _compare(shown[0], value, place)
    else:
        assert type(found) is type(shown), f"{place}: {found!r}, not as {shown!r}"
        if isinstance(shown, str) and _TIME.fullmatch(shown):
            assert _TIME.fullmatch(found), f"{place}: {found!r}, not as {shown!r}"
