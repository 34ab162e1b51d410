"""Queueing, showing and retrying messages over HTTP, on a real sender process and PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from sender.audit import Author, begin_operation
from sender.requeue import Caution, Objection, Refused, Requeued, requeue_messages
from tests.integration.api_stand import MESSAGES, Stand, open_stand
from tests.integration.sending import NUMBER, ORG
from tests.patience import wait_for
from tests.tracing_parts import open_store
from tracing.jaeger import JaegerClient
from tracing.traces import Span

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
TEMPLATE = {"toRecipient": NUMBER, "templateCode": "appointment_reminder"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with open_store(tmp_path_factory.mktemp("store") / "traces.db") as url:
        yield url


@pytest.fixture(scope="module")
def stand(
    postgres_server: EmbeddedPostgres,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    store: str,
) -> Iterator[Stand]:
    """One process for the module; tests keep to messages of their own."""
    url = postgres_server.create_database("api_messages", template=template_database)
    directory: Path = tmp_path_factory.mktemp("api")
    with open_stand(url, directory, OTEL_EXPORTER_OTLP_ENDPOINT=store) as stand:
        yield stand
    postgres_server.drop_database("api_messages")


def test_a_queued_message_is_where_its_location_says_with_all_that_was_asked(stand: Stand) -> None:
    asked = {
        "channel": "EMAIL",
        "toRecipient": "ann@example.org",
        "orgId": ORG,
        "subject": "Hello",
        "payload": {"text": "Hello, Ann"},
        "maxAttempts": 3,
        "scheduledAt": "2099-01-01T10:00:00+02:00",
        "expiresAt": "2099-01-02T10:00:00+02:00",
        "priority": "URGENT",
        "quietHoursOverride": True,
    }
    answer = stand.ask("POST", MESSAGES, body=asked)
    assert answer.status_code == 201, answer.text
    queued = answer.json()
    assert answer.headers["Location"] == f"{MESSAGES}/{queued['messageId']}"
    assert (queued["created"], queued["status"]) == (True, "QUEUED")
    found = stand.get(answer.headers["Location"])
    assert found["scheduledAt"] == found["nextRetryAt"] == "2099-01-01T08:00:00.000Z"
    assert found["expiresAt"] == "2099-01-02T08:00:00.000Z"
    assert (found["priority"], found["maxAttempts"], found["subject"]) == ("URGENT", 3, "Hello")
    assert stand.message(queued["messageId"], "payload_json", "quiet_hours_override") == (
        {"text": "Hello, Ann"},
        True,
    )


def test_the_callers_trace_and_baggage_travel_with_the_message(stand: Stand, store: str) -> None:
    headers = {"traceparent": TRACEPARENT, "baggage": "sessionId=s-1,run.id=r-1,other=x"}
    queued = stand.ask("POST", MESSAGES, body=TEMPLATE, headers=headers).json()
    assert queued["traceId"] == TRACE_ID
    stored, *baggage = stand.message(
        queued["messageId"], "traceparent", "session_id", "run_id", "hypothesis_id"
    )
    assert baggage == ["s-1", "r-1", None]
    assert stored.startswith(f"00-{TRACE_ID}-")
    assert stored != TRACEPARENT, "the row names our own span"

    def look() -> list[Span]:
        traces = JaegerClient(store).traces_of_message(queued["messageId"])
        return [span for trace in traces for span in trace.spans if span.name == "http.in"]

    [span] = wait_for(look, "the request's span")
    assert span.span_id == stored.split("-")[2]
    assert span.tags["http.status_code"] == 201
    assert span.tags["session.id"] == "s-1"


def test_a_repeated_request_gives_the_first_ones_id_and_queues_nothing(stand: Stand) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = stand.ask("POST", MESSAGES, body=TEMPLATE, headers=key)
    again = stand.ask("POST", MESSAGES, body=TEMPLATE | {"idempotencyKey": "order-17"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["messageId"] == first.json()["messageId"]
    assert again.json()["created"] is False
    assert again.json()["traceId"] == first.json()["traceId"]


@pytest.mark.parametrize(
    "changed",
    [
        {"templateCode": "welcome_new_client"},
        {"toRecipient": "+33612345699"},
        {"channel": "SMS", "templateCode": None, "payload": {"text": "Hi"}},
        {"payload": {"parameters": ["17:00"]}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_used_key_with_another_message_is_refused(
    stand: Stand, changed: dict[str, object]
) -> None:
    key = {"Idempotency-Key": "order-18"}
    stand.ask("POST", MESSAGES, body=TEMPLATE, headers=key)
    answer = stand.ask("POST", MESSAGES, body=TEMPLATE | changed, headers=key)
    assert answer.status_code == 409
    assert "order-18" in answer.json()["detail"]


def test_a_key_of_another_organisation_does_not_give_its_message(stand: Stand) -> None:
    key = {"Idempotency-Key": "order-19"}
    first = stand.ask("POST", MESSAGES, body=TEMPLATE, headers=key).json()
    answer = stand.ask("POST", MESSAGES, body=TEMPLATE, headers=key, org="org-other")
    assert answer.status_code == 409
    assert str(first["messageId"]) not in answer.text


def test_requests_with_one_key_at_the_same_time_make_one_message(stand: Stand) -> None:
    def ask(_: int) -> tuple[int, int]:
        answer = stand.ask("POST", MESSAGES, body=TEMPLATE, headers={"Idempotency-Key": "rush"})
        return answer.status_code, answer.json()["messageId"]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(24)))
    assert len({number for _, number in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 23 + [201]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"toRecipient": "0612345678"}, "has no country code"),
        ({"toRecipient": "+33"}, "+33"),
        ({"toRecipient": None}, "toRecipient: "),
        ({"templateCode": None}, "no content"),
        ({"templateCode": "x" * 201}, "templateCode: "),
        ({"templatCode": "x"}, "templatCode: There is no such field"),
        ({"channel": "FAX"}, "channel: "),
        ({"maxAttempts": 0}, "maxAttempts: "),
        ({"dossierId": 4711}, "dossierId: there is no dossier 4711"),
        ({"dossierId": 2**63}, "dossierId: "),
        ({"scheduledAt": "2099-01-01T10:00:00"}, "scheduledAt: "),
        ({"scheduledAt": "0001-01-01T00:00:00Z"}, "scheduledAt: "),
        ({"payload": {"a\x00": 1}}, "payload: holds NUL"),
        ({"payload": {"a": "\ud800"}}, "payload: holds NUL or half"),
        ({"payload": {"a": float("inf")}}, "payload: holds a number"),
        ({"idempotencyKey": "message-12"}, "idempotencyKey: has the form message-<number>"),
        ({"orgId": "org-other"}, "orgId: differs from the header X-Org-Id"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_message_that_does_not_fit_is_refused_with_the_field_named(
    stand: Stand, changed: dict[str, object], words: str
) -> None:
    [(before,)] = stand.execute("SELECT count(*) FROM outbound_message")
    answer = stand.ask("POST", MESSAGES, body=TEMPLATE | changed)
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert stand.execute("SELECT count(*) FROM outbound_message") == [(before,)]


def test_two_keys_of_one_request_are_refused(stand: Stand) -> None:
    asked = TEMPLATE | {"idempotencyKey": "one"}
    answer = stand.ask("POST", MESSAGES, body=asked, headers={"Idempotency-Key": "other"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "idempotencyKey"


def test_the_system_admin_names_the_organisation_in_the_body(stand: Stand) -> None:
    refused = stand.ask("POST", MESSAGES, body=TEMPLATE, org="system-admin")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "orgId")
    queued = stand.ask("POST", MESSAGES, body=TEMPLATE | {"orgId": "org-9"}, org="system-admin")
    assert (queued.status_code, queued.json()["orgId"]) == (201, "org-9")


def test_a_message_is_shown_with_its_attempts_and_both_meanings_of_its_code(stand: Stand) -> None:
    number = stand.insert(
        status="FAILED", error_code="131031", attempt_count=5, attempts="FAILED UNKNOWN FAILED"
    )
    found = stand.get(f"{MESSAGES}/{number}")
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["FAILED", "UNKNOWN", "FAILED"]
    assert [attempt["attemptNo"] for attempt in found["attempts"]] == [3, 2, 1]
    assert found["meaning"]["policy"] == "runbook"
    assert found["meaning"]["cataloguesDiffer"] is True
    assert found["meaning"]["applied"]["title"] == "Recipient is blocked"
    titles = {each["catalogue"]: each["title"] for each in found["meaning"]["meanings"]}
    assert titles.keys() == {"runbook", "meta"}
    assert titles["meta"] != titles["runbook"]


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_another_organisations_message_is_not_there(stand: Stand, verb: str) -> None:
    number = stand.insert(status="FAILED", attempts="FAILED")
    path = f"{MESSAGES}/%s" + ("/retry" if verb == "POST" else "")
    hidden = stand.ask(verb, path % number, org="org-other")
    absent = stand.ask(verb, path % 999999999, org="org-other")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace(str(number), "") == absent.text.replace("999999999", "")
    assert stand.ask(verb, path % number, org="system-admin").status_code == 200


def test_a_failed_message_is_due_at_once_with_what_is_left_of_its_budget(stand: Stand) -> None:
    number = stand.insert(
        status="FAILED", attempt_count=2, attempts="FAILED FAILED", error_code="131026"
    )
    answer = stand.ask("POST", f"{MESSAGES}/{number}/retry")
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert (result["previousStatus"], result["status"]) == ("FAILED", "QUEUED")
    assert (result["attemptCount"], result["possibleDuplicate"]) == (2, False)
    assert stand.message(
        number, "status", "attempt_count", "error_code", "due_at <= now()", "updated_by"
    ) == ("QUEUED", 2, None, True, None)


def test_a_closed_budget_is_whole_again(stand: Stand) -> None:
    number = stand.insert(
        status="FAILED", attempt_count=5, max_attempts=5, attempts="FAILED", error_code="131021"
    )
    stand.ask("POST", f"{MESSAGES}/{number}/retry", body={"updatedBy": "ann"})
    assert stand.message(number, "status", "attempt_count", "attempt_seq", "updated_by") == (
        "QUEUED",
        0,
        1,
        "ann",
    )


def test_a_message_in_back_off_goes_at_once(stand: Stand) -> None:
    number = stand.insert(attempt_count=1, attempts="FAILED", error_code="131016")
    stand.execute(
        "UPDATE outbound_attempt SET next_retry_at = now() + interval '1 hour'"
        " WHERE outbound_message_id = %s",
        number,
    )
    assert stand.message(number, "due_at <= now()") == (False,)
    assert stand.ask("POST", f"{MESSAGES}/{number}/retry").status_code == 200
    assert stand.message(number, "due_at <= now()", "next_retry_at", "error_code") == (
        True,
        None,
        "131016",
    )
    assert stand.execute(
        "SELECT next_retry_at FROM outbound_attempt WHERE outbound_message_id = %s", number
    ) == [(None,)]


@pytest.mark.parametrize("status", ["SENT", "DELIVERED"])
@pytest.mark.parametrize("force", [False, True])
def test_what_the_provider_has_accepted_is_never_sent_again(
    stand: Stand, status: str, force: bool
) -> None:
    number = stand.insert(status=status, attempts="SENT")
    answer = stand.ask("POST", f"{MESSAGES}/{number}/retry", body={"force": force})
    assert answer.status_code == 409
    assert status in answer.json()["detail"]
    assert stand.message(number, "status") == (status,)


@pytest.mark.parametrize(
    ("status", "attempts"),
    [
        ("SENDING", "IN_FLIGHT"),
        ("SENDING", "UNKNOWN"),
        ("SENDING", ""),
        ("QUEUED", "FAILED UNKNOWN"),
        ("FAILED", "UNKNOWN"),
    ],
)
def test_an_unknown_outcome_needs_force_and_is_marked(
    stand: Stand, status: str, attempts: str
) -> None:
    recipient = f"+336{stand.unique():08d}"
    number = stand.insert(status=status, attempts=attempts, to_recipient=recipient)
    path = f"{MESSAGES}/{number}/retry"
    refused = stand.ask("POST", path)
    assert refused.status_code == 409, refused.text
    assert 0 < int(refused.headers["Retry-After"]) <= 600
    assert stand.message(number, "status") == (status,)
    forced = stand.ask("POST", path + "?force=true")
    assert forced.status_code == 200, forced.text
    assert forced.json()["possibleDuplicate"] is bool(attempts)
    marks = stand.execute(
        "SELECT outcome, possible_duplicate FROM outbound_attempt"
        " WHERE outbound_message_id = %s ORDER BY attempt_no DESC LIMIT 1",
        number,
    )
    assert marks == ([("UNKNOWN", True)] if attempts else [])
    assert stand.message(number, "status", "due_at <= now()") == ("QUEUED", True)


def test_beyond_the_recovery_window_the_outcome_is_given_up(stand: Stand) -> None:
    recipient = f"+336{stand.unique():08d}"
    number = stand.insert(status="SENDING", attempts="UNKNOWN", to_recipient=recipient)
    stand.execute(
        "UPDATE outbound_attempt SET started_at = now() - interval '11 minutes'"
        " WHERE outbound_message_id = %s",
        number,
    )
    stand.execute(
        "UPDATE outbound_message SET updated_at = now() - interval '11 minutes' WHERE id = %s",
        number,
    )
    answer = stand.ask("POST", f"{MESSAGES}/{number}/retry")
    assert (answer.status_code, answer.json().get("possibleDuplicate")) == (200, True)


def test_what_was_never_due_or_has_expired_needs_force(stand: Stand) -> None:
    planned = stand.insert(scheduled_at="2099-01-01")
    expired = stand.insert(status="FAILED", expires_at="2020-01-01", error_code="message_expired")
    for number, word in ((planned, "scheduled"), (expired, "expired")):
        path = f"{MESSAGES}/{number}/retry"
        refused = stand.ask("POST", path)
        assert (refused.status_code, word in refused.text) == (409, True)
        assert stand.ask("POST", path, body={"force": True}).status_code == 200
        assert stand.message(number, "status", "due_at <= now()", "expires_at") == (
            "QUEUED",
            True,
            None,
        )


def test_a_message_that_a_settlement_holds_is_answered_503_not_waited_for(stand: Stand) -> None:
    number = stand.insert(status="FAILED", attempts="FAILED")
    with psycopg.connect(stand.sending.database) as other:
        other.execute("SELECT FROM outbound_message WHERE id = %s FOR UPDATE", (number,))
        answer = stand.ask("POST", f"{MESSAGES}/{number}/retry")
    assert answer.status_code == 503
    assert "Another transaction holds" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
    assert stand.message(number, "status") == ("FAILED",)


def test_a_retry_that_waited_for_a_claim_judges_what_the_claim_has_made(stand: Stand) -> None:
    number = stand.insert(
        status="FAILED", attempts="FAILED", to_recipient=f"+336{stand.unique():08d}"
    )
    url = stand.sending.database

    def retry() -> Requeued | Refused:
        with psycopg.connect(url, application_name="retry") as connection:
            operation = begin_operation(connection, "retry", Author("ana"))
            return requeue_messages(connection, [number], Caution(600, 60), operation)[number]

    waiting = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'retry' AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as thread, psycopg.connect(url) as claim:
        claim.execute("UPDATE outbound_message SET status = 'SENDING' WHERE id = %s", (number,))
        claim.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (%s, 2)",
            (number,),
        )
        result = thread.submit(retry)
        wait_for(lambda: stand.execute(waiting), "the retry to wait for the claim")
        claim.commit()
        verdict = result.result()
    assert isinstance(verdict, Refused)
    assert verdict.objection is Objection.OUTCOME_UNKNOWN
    assert stand.message(number, "status") == ("SENDING",)


def test_while_webhooks_are_refused_an_unknown_outcome_stays_unknown(stand: Stand) -> None:
    number = stand.insert(
        status="SENDING", attempts="UNKNOWN", to_recipient=f"+336{stand.unique():08d}"
    )
    stand.execute("UPDATE outbound_attempt SET started_at = now() - interval '1 hour'")
    stand.execute(
        "UPDATE outbound_message SET updated_at = now() - interval '1 hour' WHERE id = %s", number
    )
    stand.execute(
        "INSERT INTO provider_webhook_health (provider, last_rejected_at)"
        " VALUES ('whatsapp', now())"
    )
    try:
        refused = stand.ask("POST", f"{MESSAGES}/{number}/retry")
    finally:
        stand.execute("DELETE FROM provider_webhook_health")
    assert (refused.status_code, refused.headers["Retry-After"]) == (409, "60")
    assert stand.ask("POST", f"{MESSAGES}/{number}/retry").status_code == 200
