"""The lines of a message's life: what became of each attempt, under the names the runbooks grep.

Every line that is written while a message is worked on bears its `messageId`, `traceId` and
`correlationId`. The last is what other services know too: the session's id, else the run's, else
the trace of the request that queued the message, and only then the attempt's own trace.
"""

import structlog

from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel
from sender.logs import WORKER
from sender.outbox import ClaimedMessage, Settlement
from sender.receipts import Effect, Said
from sender.redaction import hide_people
from sender.settlement import Settled

_log = structlog.get_logger(component=WORKER)
_webhook_log = structlog.get_logger()

PROVIDER_NAMES = {
    Channel.WHATSAPP: "WhatsApp",
    Channel.SMS: "Twilio",
    Channel.EMAIL: "SendGrid",
}
"""As 002 greps for them."""

_TRACE_PLACE = 1


def correlate(message: ClaimedMessage, trace_id: str) -> str:
    """Choose the id that connects a message with what other services say of it."""
    return message.session_id or message.run_id or _read_trace(message.traceparent) or trace_id


def _read_trace(traceparent: str | None) -> str:
    """Give the trace id of a W3C traceparent; nothing where it has none."""
    parts = (traceparent or "").split("-")
    return parts[_TRACE_PLACE] if len(parts) > _TRACE_PLACE else ""


def name_message(message: ClaimedMessage, trace_id: str) -> None:
    """Put the message's ids on every line of this task from now on."""
    structlog.contextvars.bind_contextvars(
        messageId=message.id, correlationId=correlate(message, trace_id), traceId=trace_id
    )


def tell_attempt(message: ClaimedMessage, settlement: Settlement) -> None:
    """Write what became of an attempt.

    A provider's failure is an ERROR that names the provider (002); a rule's refusal is a WARNING; a
    planned wait and a success are INFO.
    """
    channel = Channel(message.channel)
    fields: dict[str, object] = {"channel": channel.value, "attempt": settlement.attempt_no}
    if settlement.http_status is not None:
        fields["httpStatus"] = settlement.http_status
    if settlement.outcome is AttemptOutcome.SENT:
        provider_id = settlement.provider_message_id
        _log.info("sent", provider=PROVIDER_NAMES[channel], providerMessageId=provider_id, **fields)
        return
    fields |= {"errorCode": settlement.error_code, "outcome": settlement.outcome.value}
    wait = settlement.retry_in_s if settlement.defer_s is None else settlement.defer_s
    if wait is not None:
        fields["nextTryInSeconds"] = round(wait, 1)
    if settlement.error_message:
        fields["errorMessage"] = hide_people(settlement.error_message)
    match settlement.outcome:
        case AttemptOutcome.DEFERRED:
            _log.info("deferred", **fields)
        case AttemptOutcome.REFUSED:
            _log.warning("handleFailure", **fields)
        case _:
            _log.error("handleFailure", provider=PROVIDER_NAMES[channel], **fields)


def tell_receipt(settled: Settled) -> None:
    """Write a line for a message that a receipt has moved: an ERROR where it failed."""
    if settled.effect is not Effect.MOVED:
        return
    receipt, caller = settled.tidings.receipt, settled.tidings.caller
    fields: dict[str, object] = {
        "provider": PROVIDER_NAMES[caller.channel],
        "channel": caller.channel.value,
        "messageId": settled.message_id,
        "traceId": _read_trace(settled.traceparent),
    }
    if receipt.said is Said.FAILED:
        text = hide_people(receipt.error_message or "")
        _webhook_log.error(
            "handleFailure", errorCode=receipt.error_code, errorMessage=text, **fields
        )
    else:
        # A campaign has three of them per message: the spans and counters tell of them all.
        _webhook_log.debug("receipt", said=receipt.said.value, **fields)
