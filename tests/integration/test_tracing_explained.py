"""What the real sender tells, in words: an outage that heals, and a closed session window."""

from datetime import timedelta

from sender.enqueue import NewMessage
from tests.integration.sending import NUMBER, ORG, Sending, template_message
from tests.patience import wait_for
from tracing.explanation import Explanation, explain_message
from tracing.jaeger import JaegerClient, TraceQuery
from tracing.queries import find_attempts, find_deliveries, find_message
from tracing.remedies import Pattern

OUTAGE = {"kind": "error", "provider": "meta", "http_status": 500, "code": 131016}
QUERY = TraceQuery(lookback=timedelta(hours=1))


def explain(client: JaegerClient, message: int, summary: str) -> list[Explanation]:
    """Explain a message, once its summary begins as awaited; empty before."""
    traces = find_message(client, message, QUERY)
    if not traces:
        return []
    told = explain_message(message, traces, now_us=traces[-1].start_us + 10_000_000)
    return [told] if told.summary.startswith(summary) else []


def test_an_outage_that_heals_is_told_from_its_failure_to_its_delivery(
    sending: Sending, store: str
) -> None:
    client = JaegerClient(store)
    sending.set_faults(OUTAGE)
    [message] = sending.queue(template_message())
    failed = "SELECT 1 FROM outbound_attempt WHERE outbound_message_id = %s AND outcome = 'FAILED'"
    wait_for(lambda: sending.execute(failed, message), "the first attempt to fail")
    sending.set_faults()

    def look() -> list[Explanation]:
        # The first attempt's spans may come after the webhook's.
        return [told for told in explain(client, message, "Delivered") if len(told.attempts) > 1]

    [told] = wait_for(look, f"message {message} to be told as delivered")

    assert told.attempts[0].pattern is Pattern.PROVIDER_ERROR
    assert told.attempts[0].sentences[0] == "The provider had trouble (HTTP 500, error 131016)."
    assert "Another attempt was planned." in told.attempts[0].sentences
    assert told.attempts[-1].pattern is None
    assert told.steps == ()
    assert find_attempts(client, message, QUERY)[0].error_code == "131016"
    delivery = find_deliveries(client, message, QUERY)[-1]
    assert delivery.latency_s is not None
    assert delivery.latency_s > 0
    assert delivery.provider_message_id.startswith("wamid.")


def test_a_closed_window_is_told_with_its_section_of_the_runbook(
    sending: Sending, store: str
) -> None:
    free_form = NewMessage(ORG, template_message().channel, NUMBER, payload={"text": "Hello"})
    [message] = sending.queue(free_form)
    client = JaegerClient(store)

    [told] = wait_for(
        lambda: explain(client, message, "Failed"), f"message {message} to be told as failed"
    )

    [attempt] = told.attempts
    assert attempt.pattern is Pattern.SESSION_EXPIRED
    assert "No other attempt was planned." in attempt.sentences
    assert told.sections == ("1. Session Window Expiry Failure",)
    assert f"GET /api/v2/diagnostics/whatsapp/sessions?phoneNumber=%2B{NUMBER[1:]}" in told.steps
