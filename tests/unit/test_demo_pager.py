import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from outbound_slo.demo.pager import MalformedNotification, Pager, PageState, read_notification

NOW = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)

# As Alertmanager 0.25 sent it, shortened.
NOTIFICATION: dict[str, Any] = {
    "receiver": "page-l2",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "WhatsAppProviderDown",
                "channel": "whatsapp",
                "priority": "P1",
                "severity": "critical",
            },
            "annotations": {
                "runbook_url": "https://runbooks.example.com/WhatsAppProviderDown.md",
                "summary": "WhatsApp accepts nothing",
            },
            "startsAt": "2026-11-22T03:29:23.1Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://127.0.0.1/graph",
            "fingerprint": "00b1c2",
        }
    ],
    "groupLabels": {"family": "provider"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://127.0.0.1:9093",
    "version": "4",
    "groupKey": "{}",
    "truncatedAlerts": 0,
}


def encode(**changes: object) -> bytes:
    document = deepcopy(NOTIFICATION)
    document["alerts"][0].update(changes)
    return json.dumps(document).encode()


def test_a_firing_alert_becomes_a_page_with_all_that_the_person_needs() -> None:
    [page] = read_notification(encode(), NOW)
    assert page.received_at == NOW
    assert page.alert == "WhatsAppProviderDown"
    assert page.state is PageState.FIRING
    assert (page.severity, page.priority) == ("critical", "P1")
    assert page.summary == "WhatsApp accepts nothing"
    assert page.runbook_url == "https://runbooks.example.com/WhatsAppProviderDown.md"
    assert page.started_at == datetime(2026, 11, 22, 3, 29, 23, 100000, tzinfo=UTC)
    assert page.ended_at is None


def test_a_resolved_alert_tells_when_it_ended() -> None:
    [page] = read_notification(encode(status="resolved", endsAt="2026-11-22T03:29:48Z"), NOW)
    assert page.state is PageState.RESOLVED
    assert page.ended_at == datetime(2026, 11, 22, 3, 29, 48, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"not json", "not JSON"),
        (b"[]", "no list alerts"),
        (b'{"alerts": {}}', "no list alerts"),
        (b'{"alerts": [3]}', r"alerts\[0\] has no dict labels"),
        (encode(status="exploded"), r"alerts\[0\]\.status is 'exploded'"),
        (encode(labels={"severity": "critical"}), r"alerts\[0\]\.labels has no alertname"),
        (encode(annotations=None), r"alerts\[0\] has no dict annotations"),
        (encode(startsAt="yesterday"), r"alerts\[0\]\.startsAt is no time"),
        (encode(fingerprint=7), r"alerts\[0\] has no str fingerprint"),
    ],
)
def test_a_malformed_body_is_refused_by_the_key_that_is_wrong(body: bytes, named: str) -> None:
    with pytest.raises(MalformedNotification, match=named):
        read_notification(body, NOW)


@pytest.fixture
def pager(tmp_path: Path) -> Iterator[Pager]:
    with Pager(journal=tmp_path / "pages.jsonl", clock=lambda: NOW) as running:
        yield running


def post(url: str, body: bytes) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, timeout=5)


def test_the_webhook_keeps_pages_in_memory_and_in_its_journal(pager: Pager, tmp_path: Path) -> None:
    assert post(pager.url, encode()).status_code == 200
    assert post(pager.url, encode(status="resolved", endsAt="2026-11-22T03:29:48Z")).ok
    assert [page.state for page in pager.pages] == [PageState.FIRING, PageState.RESOLVED]
    lines = (tmp_path / "pages.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["firing", "resolved"]
    assert json.loads(lines[0])["received_at"] == NOW.isoformat()


def test_the_webhook_refuses_what_is_no_notification_and_keeps_nothing_of_it(
    pager: Pager,
) -> None:
    half_good = deepcopy(NOTIFICATION)
    half_good["alerts"].append({"status": "firing"})
    answer = post(pager.url, json.dumps(half_good).encode())
    assert answer.status_code == 400
    assert "alerts[1] has no dict labels" in answer.text
    assert pager.pages == ()


def test_other_paths_methods_and_sizes_are_refused(pager: Pager) -> None:
    assert post(pager.url.replace("/page", "/elsewhere"), encode()).status_code == 404
    assert post(pager.url, b"x" * 1_000_001).status_code == 413
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(pager.url, timeout=5).status_code == 405
    assert pager.pages == ()


def test_pages_stand_in_the_journal(pager: Pager, tmp_path: Path) -> None:
    post(pager.url, encode())
    [line] = (tmp_path / "pages.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["alert"] == pager.pages[0].alert


def test_forgotten_pages_stay_in_the_journal(pager: Pager, tmp_path: Path) -> None:
    post(pager.url, encode())
    pager.forget()
    assert pager.pages == ()
    assert (tmp_path / "pages.jsonl").read_text(encoding="utf-8").count("\n") == 1


def test_a_stopped_pager_no_longer_listens() -> None:
    with Pager() as running:
        url = running.url
    with pytest.raises(requests.ConnectionError):
        post(url, encode())
