"""Twilio SMS: message bodies, answers, errors.

Source: Twilio's Message resource as of September 2026.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import Channel
from sender.outbox import ClaimedMessage
from sender.providers.answer import HttpAnswer, HttpCaller, HttpRequest, SendResult, accept, refuse


class TwilioProvider:
    """Sends SMS through Twilio."""

    channel = Channel.SMS
    span_name = SpanName.TWILIO_SEND

    def __init__(
        self,
        caller: HttpCaller,
        *,
        base_url: str,
        account_sid: str,
        token: str,
        sender: str,
        callback_url: str,
    ) -> None:
        """Send from the number `sender`; receipts go to `callback_url` unless it is empty."""
        self._caller = caller
        self._url = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._credentials = (account_sid, token)
        self._sender = sender
        self._callback_url = callback_url

    async def send(self, message: ClaimedMessage) -> SendResult:
        """Send one message."""
        form = {"To": message.to_recipient, "From": self._sender, "Body": compose_text(message)}
        if self._callback_url:
            reference = urlencode({"m": message.id, "a": message.attempt_no})
            form["StatusCallback"] = f"{self._callback_url}?{reference}"
        request = HttpRequest(self._url, {}, form=form, basic_auth=self._credentials)
        return read_answer(await self._caller.post(request))


def compose_text(message: ClaimedMessage) -> str:
    """Give the text; 001's fallback queues SMS with a subject alone, which is the text then."""
    payload = message.payload_json or {}
    return str(payload.get("text") or message.subject or message.template_code or "")


def read_answer(answer: HttpAnswer) -> SendResult:
    """Read Twilio's answer: a `sid`, or a `code` of its error dictionary."""
    body = answer.body if isinstance(answer.body, Mapping) else {}
    sid = body.get("sid")
    if answer.succeeded and isinstance(sid, str) and sid:
        return accept(answer, sid)
    code = body.get("code")
    return refuse(answer, None if code is None else str(code), str(body.get("message") or ""))
