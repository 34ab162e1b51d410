"""SendGrid e-mail: message bodies, answers, errors.

Source: SendGrid's v3 Mail Send reference as of September 2026. It has no error codes, so the HTTP
status makes one: `sendgrid_429`.
"""

from collections.abc import Mapping

from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import Channel
from sender.outbox import ClaimedMessage
from sender.providers.answer import HttpAnswer, HttpCaller, HttpRequest, SendResult, accept, refuse
from sender.providers.twilio import compose_text

ACCEPTED = 202


class SendGridProvider:
    """Sends e-mail through SendGrid."""

    channel = Channel.EMAIL
    span_name = SpanName.SENDGRID_SEND

    def __init__(self, caller: HttpCaller, *, base_url: str, api_key: str, sender: str) -> None:
        """Send from the address `sender`."""
        self._caller = caller
        self._url = f"{base_url.rstrip('/')}/v3/mail/send"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._sender = sender

    async def send(self, message: ClaimedMessage) -> SendResult:
        """Send one message."""
        request = HttpRequest(self._url, self._headers, json=build_body(message, self._sender))
        return read_answer(await self._caller.post(request), message)


def build_body(message: ClaimedMessage, sender: str) -> dict[str, object]:
    """Build the request body; custom_args carry the attempt's reference and nothing personal."""
    arguments = {"m": str(message.id), "a": str(message.attempt_no)}
    return {
        "personalizations": [{"to": [{"email": message.to_recipient}], "custom_args": arguments}],
        "from": {"email": sender},
        "subject": message.subject or message.template_code or "Message",
        "content": [{"type": "text/plain", "value": compose_text(message)}],
    }


def read_answer(answer: HttpAnswer, message: ClaimedMessage) -> SendResult:
    """Read SendGrid's answer; without its X-Message-Id our reference names the message."""
    if answer.status == ACCEPTED:
        return accept(answer, answer.headers.get("x-message-id") or message.reference)
    errors = answer.body.get("errors") if isinstance(answer.body, Mapping) else None
    text = ""
    if isinstance(errors, list):
        text = "; ".join(str(e.get("message", "")) for e in errors if isinstance(e, Mapping))
    code = None if answer.status is None else f"sendgrid_{answer.status}"
    return refuse(answer, code, text)
