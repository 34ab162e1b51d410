"""The five failure patterns of runbook 000, as the real sender tells them of the simulator."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from outbound_slo.embedded.processes import Supervisor
from outbound_slo.vocabulary.spans import SpanName, Tag
from sender.enqueue import NewMessage
from tests.integration.sending import NUMBER, ORG, Sending, template_message
from tests.patience import wait_for
from tracing.jaeger import JaegerClient, TraceQuery
from tracing.traces import Span, Trace

QUICK_BREAKER = {
    "OUTBOUND_BREAKER_MINIMUM_CALLS": "2",
    "OUTBOUND_BREAKER_WINDOW_CALLS": "4",
    "OUTBOUND_BREAKER_OPEN_SECONDS": "60",
}


@pytest.fixture
def sending(database: str, tmp_path: Path, store: str) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.start_simulator()
        sending.start_sender(
            OTEL_EXPORTER_OTLP_ENDPOINT=store,
            OUTBOUND_RETRY_BACKOFF_SECONDS="0.3",
            **QUICK_BREAKER,
        )
        yield sending


def attempts(store: str, message: int) -> list[Trace]:
    """Give the whole traces of a message's attempts so far, the first one first."""
    found = JaegerClient(store).traces_of_message(message)
    return [trace for trace in found if trace.root.parent_id is None]


def first_attempt(store: str, message: int) -> Trace:
    found = wait_for(lambda: attempts(store, message), f"the first trace of message {message}")
    return found[0]


def named(trace: Trace, name: SpanName) -> Span:
    [span] = [span for span in trace.spans if span.name == name]
    return span


def drawn(span: Span, pattern: Mapping[str, object]) -> dict[str, object]:
    """Give what a span has of the tags that the runbook draws."""
    return {key: span.tags.get(key) for key in pattern}


def judge(
    trace: Trace,
    attempt: Mapping[str, object],
    send: Mapping[str, object],
    call: Mapping[str, object] | None,
) -> None:
    """Hold a trace against the runbook's drawing; without `call` no request may have left."""
    provider = named(trace, SpanName.WHATSAPP_SEND)
    assert drawn(trace.root, attempt) == attempt
    assert drawn(provider, send) == send
    assert provider.failed
    requests = [span for span in trace.spans if span.name == SpanName.HTTP_CLIENT_REQUEST]
    assert len(requests) == (call is not None)
    if call is not None:
        assert drawn(requests[0], call) == call
        assert requests[0].parent_id == provider.span_id


def test_session_window_expiry(sending: Sending, store: str) -> None:
    free_form = NewMessage(ORG, template_message().channel, NUMBER, payload={"text": "Hello"})
    [message] = sending.queue(free_form)

    judge(
        first_attempt(store, message),
        {
            "message.id": message,
            "message.channel": "WHATSAPP",
            "org.id": ORG,
            "message.attempt": 1,
        },
        {
            "within.session.window": False,
            "has.template": False,
            "error": "session_expired",
            "status": "FAILED",
        },
        None,
    )


def test_rate_limit_exceeded(sending: Sending, store: str) -> None:
    sending.execute(
        "INSERT INTO whatsapp_session_window (org_id, phone_number) VALUES (%s, %s)", ORG, NUMBER
    )
    sending.set_faults(
        {
            "kind": "error",
            "provider": "meta",
            "http_status": 429,
            "code": 130,
            "retry_after_seconds": 3600,
        }
    )
    [message] = sending.queue(template_message())

    judge(
        first_attempt(store, message),
        {"message.id": message, "message.channel": "WHATSAPP", "org.id": ORG},
        {
            "within.session.window": True,
            "has.template": True,
            "http.status": 429,
            "error.code": "130",
            "retry.after": 3600,
        },
        {
            "http.method": "POST",
            "http.url": f"{sending.simulator_url}/v26.0/10001/messages",
            "http.status_code": 429,
            "http.response.header.retry-after": "3600",
        },
    )


def test_provider_api_error(sending: Sending, store: str) -> None:
    sending.set_faults(
        {
            "kind": "error",
            "provider": "meta",
            "http_status": 500,
            "code": 1,
            "message": "Service temporarily unavailable",
        }
    )
    [message] = sending.queue(template_message())

    judge(
        first_attempt(store, message),
        {
            "message.id": message,
            "message.channel": "WHATSAPP",
            "circuit.breaker.state": "CLOSED",
        },
        {
            "http.status": 500,
            "error.code": "1",
            "error.message": "Service temporarily unavailable",
            "retry.scheduled": True,
        },
        {
            "http.method": "POST",
            "http.status_code": 500,
            "exception": "HttpServerErrorException",
            "timeout": False,
        },
    )


def test_circuit_breaker_opened(sending: Sending, store: str) -> None:
    # Nothing is claimed for an open breaker: it is met by what was claimed just before it opened.
    recipients = [f"+3361234{number:04}" for number in range(300)]
    sending.allow(*recipients)
    sending.set_faults({"kind": "error", "provider": "meta", "http_status": 500, "code": 1})
    sending.queue(*[template_message(recipient) for recipient in recipients])

    def refused() -> list[Trace]:
        query = TraceQuery({Tag.ERROR_CODE: "CIRCUIT_BREAKER_OPEN"})
        found = JaegerClient(store).find(query)
        return [trace for trace in found if trace.root.parent_id is None]

    trace = wait_for(refused, "an attempt that met the open breaker")[0]

    judge(
        trace,
        {
            "message.channel": "WHATSAPP",
            "circuit.breaker.state": "OPEN",
            "circuit.breaker.failure.rate": 100.0,
            "circuit.breaker.slow.call.rate": 0.0,
        },
        {
            "error": "CircuitBreakerOpenException",
            "error.code": "CIRCUIT_BREAKER_OPEN",
            "retry.scheduled": True,
        },
        None,
    )


def test_template_not_found(sending: Sending, store: str) -> None:
    sending.set_faults(
        {
            "kind": "error",
            "provider": "meta",
            "http_status": 400,
            "code": 133004,
            "message": "Template not found",
        }
    )
    [message] = sending.queue(template_message())
    trace = first_attempt(store, message)

    judge(
        trace,
        {
            "message.id": message,
            "message.channel": "WHATSAPP",
            "template.code": template_message().template_code,
        },
        {
            "http.status": 400,
            "error.code": "133004",
            "error.message": "Template not found",
        },
        {"http.method": "POST", "http.status_code": 400},
    )
    body = str(named(trace, SpanName.HTTP_CLIENT_REQUEST).tags["http.response.body"])
    assert '"code":133004' in body
    assert "Template not found" in body
