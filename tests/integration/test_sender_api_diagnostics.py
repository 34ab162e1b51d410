"""000's diagnostics and 001's dashboard, on a real sender process and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.integration.api_stand import DIAGNOSTICS, HEALTH, Stand, open_stand

SESSION = {"id", "phoneNumber", "windowExpiresAt", "active", "secondsRemaining"}
WAITING = {
    *("messageId", "toPhone", "status", "attemptCount", "maxAttempts", "errorCode", "nextRetryAt")
}
REHEARSAL = {
    *("phoneNumber", "sessionWindowActive", "sessionWindowExpiresAt", "canSend", "valid"),
    *("duplicateDetected", "validationMessage", "timestamp"),
}
PATTERNS = {
    *("errorPatterns", "totalErrors", "hoursAnalyzed", "totalMessagesInPeriod", "failureRate"),
    "timestamp",
}
CHANNEL = {
    *("channel", "totalMessages", "successfulMessages", "failedMessages", "successRate"),
    "averageLatencyMs",
}


@pytest.fixture(scope="module")
def stand(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stand]:
    """One process for the module; each test has an organisation of its own."""
    url = postgres_server.create_database("api_diagnostics", template=template_database)
    directory: Path = tmp_path_factory.mktemp("api")
    with open_stand(url, directory) as stand:
        yield stand
    postgres_server.drop_database("api_diagnostics")


@pytest.fixture
def org(stand: Stand) -> str:
    return f"org-{stand.unique()}"


def _open_window(stand: Stand, org: str, phone: str, remaining: str) -> None:
    stand.execute(
        "INSERT INTO whatsapp_session_window (org_id, phone_number, window_expires_at)"
        " VALUES (%s, %s, now() + %s::interval)",
        org,
        phone,
        remaining,
    )


def _allow(stand: Stand, org: str, phone: str) -> None:
    stand.execute(
        "INSERT INTO consentement (org_id, recipient, channel, status)"
        " VALUES (%s, %s, 'WHATSAPP', 'GRANTED')",
        org,
        phone,
    )


def _rehearse(stand: Stand, org: str | None, **asked: object) -> dict[str, Any]:
    answer = stand.ask("POST", f"{DIAGNOSTICS}/dry-run-send", org=org, body=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found.keys() >= REHEARSAL
    return found


def test_windows_are_listed_with_the_one_that_closes_next_first(stand: Stand, org: str) -> None:
    _open_window(stand, org, "+33600000001", "3 hours")
    _open_window(stand, org, "+33600000002", "50 minutes")
    _open_window(stand, org, "+33600000003", "-1 hour")
    path = f"{DIAGNOSTICS}/sessions"
    active = stand.get(f"{path}?active=true", org=org)
    assert [each["phoneNumber"][-1] for each in active["sessions"]] == ["2", "1"]
    assert all(each.keys() >= SESSION and each["active"] for each in active["sessions"])
    assert 2900 < active["sessions"][0]["secondsRemaining"] <= 3000
    assert (active["totalCount"], active["activeCount"], active["timeZone"]) == (2, 2, "UTC")
    closed = stand.get(f"{path}?active=false", org=org)
    assert [each["secondsRemaining"] for each in closed["sessions"]] == [0]
    assert (closed["totalCount"], closed["activeCount"]) == (1, 0)
    every = stand.get(path, org=org)
    assert [each["phoneNumber"][-1] for each in every["sessions"]] == ["2", "1", "3"]
    assert (every["totalCount"], every["activeCount"]) == (3, 2)


def test_windows_can_be_asked_for_by_number_and_limit(stand: Stand, org: str) -> None:
    for last in "123":
        _open_window(stand, org, f"+3360000000{last}", f"{last} hours")
    for plus in ("%2B", "+"):
        found = stand.get(f"{DIAGNOSTICS}/sessions?phoneNumber={plus}33600000002", org=org)
        assert [each["phoneNumber"] for each in found["sessions"]] == ["+33600000002"]
    few = stand.get(f"{DIAGNOSTICS}/sessions?limit=2", org=org)
    assert (len(few["sessions"]), few["totalCount"]) == (2, 3)


def test_a_request_without_an_organisation_sees_all(stand: Stand, org: str) -> None:
    other = f"org-{stand.unique()}"
    for each in (org, other):
        stand.insert(org_id=each, attempt_count=1, error_code="131016")
    path = f"{DIAGNOSTICS}/retry-queue"
    assert {each["orgId"] for each in stand.get(path, org=org)["messages"]} == {org}
    for everybody in (None, "system-admin"):
        seen = {each["orgId"] for each in stand.get(path, org=everybody)["messages"]}
        assert seen >= {org, other}


def test_the_retry_queue_holds_what_was_tried_and_says_when_next(stand: Stand, org: str) -> None:
    stand.insert(org_id=org)
    stand.insert(org_id=org, channel="SMS", attempt_count=1)
    late = stand.insert(org_id=org, attempt_count=2, next_retry_at="2099-01-01T10:00:00Z")
    soon = stand.insert(org_id=org, attempt_count=1, error_code="130")
    found = stand.get(f"{DIAGNOSTICS}/retry-queue?limit=50", org=org)
    assert [each["messageId"] for each in found["messages"]] == [soon, late]
    assert found["totalCount"] == 2
    first, second = found["messages"]
    assert first.keys() >= WAITING
    assert (first["overdue"], first["errorCode"], first["status"]) == (True, "130", "QUEUED")
    assert (second["overdue"], second["nextRetryAt"]) == (False, "2099-01-01T10:00:00")
    assert len(stand.get(f"{DIAGNOSTICS}/retry-queue?limit=1", org=org)["messages"]) == 1


def test_error_patterns_count_by_code_organisation_and_template(stand: Stand) -> None:
    orgs = [f"org-{stand.unique()}" for _ in range(2)]
    code = "133004"
    for org, template in ((orgs[0], "a"), (orgs[0], "b"), (orgs[1], "a")):
        stand.insert(
            org_id=org,
            template_code=template,
            status="FAILED",
            error_code=code,
            attempt_count=5,
            error_message="Template not found",
        )
    stand.insert(org_id=orgs[0], attempt_count=1, error_code=code)
    for _ in range(4):
        stand.insert(org_id=orgs[0], status="DELIVERED")
    stand.execute("UPDATE outbound_message SET created_at = now() - interval '3 hours'")
    found = stand.get(f"{DIAGNOSTICS}/error-patterns?hours=6", org=None)
    assert found.keys() >= PATTERNS
    [pattern] = [each for each in found["errorPatterns"] if each["errorCode"] == code]
    assert (pattern["count"], pattern["errorMessage"]) == (4, "Template not found")
    assert (pattern["deadLetters"], pattern["waitingForRetry"]) == (3, 1)
    assert pattern["organisationCount"] == 2
    assert pattern["organisations"] == [
        {"orgId": orgs[0], "count": 3},
        {"orgId": orgs[1], "count": 1},
    ]
    assert {each["templateCode"]: each["count"] for each in pattern["templates"]} == {
        "a": 2,
        "b": 1,
        "appointment_reminder": 1,
    }
    assert pattern["meaning"]["cataloguesDiffer"] is True
    own = stand.get(f"{DIAGNOSTICS}/error-patterns?hours=6", org=orgs[0])
    assert (own["totalErrors"], own["totalMessagesInPeriod"], own["failureRate"]) == (3, 7, 42.9)
    late = stand.get(f"{DIAGNOSTICS}/error-patterns?hours=2", org=orgs[0])
    assert (late["errorPatterns"], late["totalErrors"], late["failureRate"]) == ([], 0, 0.0)


def test_a_dry_run_says_what_000_shows_for_an_open_window(stand: Stand, org: str) -> None:
    phone = "+33612340001"
    _open_window(stand, org, phone, "1 hour")
    _allow(stand, org, phone)
    found = _rehearse(stand, None, phoneNumber=phone, templateCode=None)
    assert found["validationMessage"] == "Session window is active. Message can be sent."
    assert (found["canSend"], found["valid"], found["sessionWindowActive"]) == (True, True, True)
    assert (found["duplicateDetected"], found["orgId"], found["errorCode"]) == (False, org, None)


@pytest.mark.parametrize(
    ("change", "code", "valid"),
    [
        ("DELETE FROM consentement WHERE org_id = %s", "consent_missing", False),
        ("UPDATE consentement SET status = 'REVOKED' WHERE org_id = %s", "opted_out", False),
        (
            "INSERT INTO whatsapp_rate_limit VALUES (%s, 0, 1000, DEFAULT, now() + '90 s')",
            "throttled",
            True,
        ),
        (
            "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count) VALUES (%s, 1000)",
            "quota_exhausted",
            True,
        ),
        (
            "INSERT INTO whatsapp_provider_config VALUES (DEFAULT, %s, '1', NULL, false)",
            "channel_disabled",
            True,
        ),
        ("DELETE FROM whatsapp_session_window WHERE org_id = %s", "session_expired", False),
    ],
    ids=["consent", "opt-out", "throttle", "quota", "switched off", "window"],
)
def test_a_dry_run_names_what_the_sender_would_object_to(
    stand: Stand, org: str, change: str, code: str, valid: bool
) -> None:
    phone = f"+3361235{stand.unique():04d}"
    _open_window(stand, org, phone, "1 hour")
    _allow(stand, org, phone)
    assert _rehearse(stand, org, phoneNumber=phone)["canSend"] is True
    stand.execute(change, org)
    found = _rehearse(stand, org, phoneNumber=phone)
    assert (found["errorCode"], found["canSend"], found["valid"]) == (code, False, valid)
    assert (found["waitSeconds"] is not None) is valid


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"phoneNumber": "0612345678"}, "has no country code"),
        ({"phoneNumber": "+33612345678", "dossierId": 99}, "has no dossier 99"),
        (
            {"phoneNumber": "+33612345678", "payload": {"text": "x" * 4097}},
            "has 4097 characters",
        ),
    ],
)
def test_a_dry_run_says_what_could_never_be_queued(
    stand: Stand, org: str, asked: dict[str, object], words: str
) -> None:
    found = _rehearse(stand, org, **asked)
    assert (found["valid"], found["canSend"]) == (False, False)
    assert words in found["validationMessage"]


def test_a_dry_run_knows_the_organisation_from_the_dossier(stand: Stand, org: str) -> None:
    phone = f"+3361236{stand.unique():04d}"
    _allow(stand, org, phone)
    [(dossier,)] = stand.execute("INSERT INTO dossier (org_id) VALUES (%s) RETURNING id", org)
    found = _rehearse(stand, None, phoneNumber=phone, templateCode="t", dossierId=dossier)
    assert (found["orgId"], found["canSend"]) == (org, True)
    for each in "ab":
        stand.execute(
            "INSERT INTO whatsapp_provider_config (org_id, phone_number_id) VALUES (%s, '1')",
            f"{org}{each}",
        )
    unknown = _rehearse(stand, None, phoneNumber="+33699999999", templateCode="t")
    assert (unknown["orgId"], unknown["valid"]) == (None, False)
    assert "X-Org-Id" in unknown["validationMessage"]


@pytest.mark.parametrize("status", ["QUEUED", "SENDING", "SENT", "DELIVERED"])
def test_a_dry_run_detects_a_duplicate(stand: Stand, org: str, status: str) -> None:
    phone = f"+3361237{stand.unique():04d}"
    _allow(stand, org, phone)
    number = stand.insert(org_id=org, to_recipient=phone, status=status)
    asked = {"phoneNumber": phone, "templateCode": "appointment_reminder"}
    assert _rehearse(stand, org, **asked)["duplicateDetected"] is True
    assert _rehearse(stand, org, **asked | {"templateCode": "b"})["duplicateDetected"] is False
    stand.execute(
        "UPDATE outbound_message SET created_at = now() - interval '2 hours' WHERE id = %s", number
    )
    waits = status in {"QUEUED", "SENDING"}
    assert _rehearse(stand, org, **asked)["duplicateDetected"] is waits


def test_a_dry_run_compares_the_text_where_there_is_no_template(stand: Stand, org: str) -> None:
    phone = f"+3361238{stand.unique():04d}"
    stand.insert(
        org_id=org, to_recipient=phone, template_code=None, payload_json='{"text": "Hello"}'
    )
    for text, same in (("Hello", True), ("Hello!", False)):
        found = _rehearse(stand, org, phoneNumber=phone, payload={"text": text})
        assert found["duplicateDetected"] is same
    assert _rehearse(stand, org, phoneNumber=phone)["duplicateDetected"] is False


def test_a_dry_run_sends_and_changes_nothing(stand: Stand, org: str) -> None:
    phone = f"+3361239{stand.unique():04d}"
    _allow(stand, org, phone)
    tables = "SELECT (SELECT count(*) FROM outbound_message), (SELECT count(*) FROM consentement)"
    before = stand.execute(tables)
    _rehearse(stand, org, phoneNumber=phone, templateCode="t")
    assert stand.execute(tables) == before


def test_health_counts_what_is_over_and_times_what_was_sent(stand: Stand, org: str) -> None:
    for status, count in (("SENT", 2), ("DELIVERED", 3), ("FAILED", 2), ("QUEUED", 4)):
        for _ in range(count):
            stand.insert(org_id=org, status=status, to_recipient=f"+336{stand.unique():08d}")
    stand.execute(
        "UPDATE outbound_message SET sent_at = due_since + interval '1.5 s'"
        " WHERE org_id = %s AND status IN ('SENT', 'DELIVERED')",
        org,
    )
    stand.insert(org_id=org, status="FAILED", created_at="2020-01-01")
    found = stand.get(HEALTH, org=org)
    whatsapp = found["channelMetrics"]["WHATSAPP"]
    assert whatsapp.keys() >= CHANNEL
    assert whatsapp == {
        "channel": "WHATSAPP",
        "totalMessages": 7,
        "successfulMessages": 5,
        "failedMessages": 2,
        "successRate": 71.4,
        "averageLatencyMs": 1500,
        "pendingMessages": 4,
    }
    idle = found["channelMetrics"]["SMS"]
    assert (idle["totalMessages"], idle["successRate"], idle["averageLatencyMs"]) == (0, 100.0, 0)
    assert found["channelMetrics"].keys() == {"WHATSAPP", "SMS", "EMAIL"}


def test_the_system_admin_sees_every_organisations_health(stand: Stand, org: str) -> None:
    stand.insert(org_id=org, channel="EMAIL", status="SENT", to_recipient="ann@example.org")
    own = stand.get(HEALTH, org=org)["channelMetrics"]["EMAIL"]["totalMessages"]
    every = stand.get(HEALTH, org="system-admin")
    assert own == 1
    assert every["orgId"] is None
    [(all_of_it,)] = stand.execute(
        "SELECT count(*) FROM outbound_message WHERE channel = 'EMAIL'"
        " AND status IN ('SENT', 'DELIVERED', 'FAILED') AND created_at > now() - interval '1 hour'"
    )
    assert every["channelMetrics"]["EMAIL"]["totalMessages"] == all_of_it
    assert stand.get(HEALTH, org="nobody")["channelMetrics"]["EMAIL"]["totalMessages"] == 0


@pytest.mark.parametrize(
    ("block", "index"),
    [
        ("open_windows", "idx_whatsapp_session_window_expires"),
        ("closed_windows", "idx_whatsapp_session_window_expires"),
        ("retry_queue", "idx_outbound_message_retry"),
        ("count_retry_queue", "idx_outbound_message_retry"),
        ("error_patterns", "idx_outbound_message_status_created"),
        ("count_messages", "idx_outbound_message_status_created"),
        ("channel_health", "idx_outbound_message_status_created"),
        ("find_duplicate", "idx_outbound_message_org_created"),
        ("read_message", "outbound_message_pkey"),
        ("read_attempts", "outbound_attempt_once"),
    ],
)
def test_a_question_follows_an_index_on_a_table_full_of_old_messages(
    grown_database: str, block: str, index: str
) -> None:
    """Even where the planner has to say so itself: nothing forbids it a scan of the table."""
    values = {
        "org_id": "org-1" if block == "find_duplicate" else None,
        "phone": "+33600000001" if block == "find_duplicate" else None,
        "template": "t",
        "text": None,
        "limit": 100,
        "ceiling": 1000,
        "hours": 1,
        "codes": 100,
        "parts": 5,
        "id": 17,
    }
    statement = load_queries("sender", "sql/diagnostics.sql")[block]
    with psycopg.connect(grown_database) as connection:
        rows = connection.execute(b"EXPLAIN " + statement.encode(), values)
        plan = "\n".join(line for (line,) in rows)
    assert index in plan, plan
    assert "Seq Scan on outbound_" not in plan, plan


@pytest.fixture(scope="module")
def grown_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """Fill a database with many old messages and few new ones, and statistics that say so."""
    url = postgres_server.create_database("api_grown", template=template_database)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, status, created_at)"
            " SELECT 'org-' || n % 50, 'WHATSAPP', '+336' || lpad(n::text, 8, '0'), 'DELIVERED',"
            " now() - n * interval '1 minute' FROM generate_series(1, 40000) AS n"
        )
        connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, status, attempt_count)"
            " SELECT 'org-1', 'WHATSAPP', '+337' || lpad(n::text, 8, '0'), 'QUEUED',"
            " (n % 100 = 0)::integer FROM generate_series(1, 5000) AS n"
        )
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome)"
            " SELECT n, 1, 'SENT' FROM generate_series(1, 40000) AS n"
        )
        connection.execute(
            "INSERT INTO whatsapp_session_window (org_id, phone_number, window_expires_at)"
            " SELECT 'org-1', '+336' || lpad(n::text, 8, '0'), now() + (n - 20000) * interval '1 s'"
            " FROM generate_series(1, 40000) AS n"
        )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    yield url
    postgres_server.drop_database("api_grown")
