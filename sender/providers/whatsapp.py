"""WhatsApp Cloud API: message bodies, answers, errors.

Source: Meta's Cloud API reference as of September 2026.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.statuses import Channel
from sender.outbox import ClaimedMessage
from sender.providers.answer import HttpAnswer, HttpCaller, HttpRequest, SendResult, accept, refuse
from sender.secrets import CredentialsUnreadableError, TokenStore

DEFAULT_LANGUAGE = "en"

_TOKEN_REFUSED = "190"  # noqa: S105 - Meta's code for a token that is wrong, expired or withdrawn


class WhatsAppProvider:
    """Sends through Meta's Cloud API."""

    channel = Channel.WHATSAPP
    span_name = SpanName.WHATSAPP_SEND

    def __init__(
        self,
        caller: HttpCaller,
        *,
        base_url: str,
        version: str,
        number_id: str,
        token: str,
        tokens: TokenStore,
    ) -> None:
        """Send from `number_id` with `token`, unless the organisation has its own of either."""
        self._caller = caller
        self._root = f"{base_url.rstrip('/')}/{version}"
        self._number_id = number_id
        self._token = token
        self._tokens = tokens

    async def send(self, message: ClaimedMessage) -> SendResult:
        """Send one message; once more if its token was refused and has been changed meanwhile."""
        try:
            token = await self._tokens.find(message.org_id) or self._token
            result = await self._send(message, token)
            if result.error_code == _TOKEN_REFUSED:
                changed = await self._tokens.replace_refused(message.org_id, token)
                if changed is not None:
                    return await self._send(message, changed)
        except CredentialsUnreadableError as fault:
            return _stay(fault)
        return result

    async def _send(self, message: ClaimedMessage, token: str) -> SendResult:
        number = message.phone_number_id or self._number_id
        request = HttpRequest(
            url=f"{self._root}/{number}/messages",
            headers={"Authorization": f"Bearer {token}"},
            json=build_body(message),
        )
        return read_answer(await self._caller.post(request))


def _stay(fault: CredentialsUnreadableError) -> SendResult:
    """Give the result of a send that was not tried: nobody else's token is put in its place."""
    code = HouseCode.CREDENTIALS_UNREADABLE
    answer = HttpAnswer(
        status=None,
        body=None,
        headers={},
        error_body=None,
        fault=code,
        reached=False,
        exception=type(fault).__name__,
        duration_s=0.0,
        answered_at=datetime.now(UTC),
    )
    return refuse(answer, code.value, "The organisation's access token can't be read")


def build_body(message: ClaimedMessage) -> dict[str, object]:
    """Build the request body; the attempt's reference travels as biz_opaque_callback_data (D12)."""
    body: dict[str, object] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to_recipient,
        "biz_opaque_callback_data": message.reference,
    }
    payload = message.payload_json or {}
    if message.template_code is None:
        text = payload.get("text") or message.subject or ""
        return body | {"type": "text", "text": {"preview_url": False, "body": str(text)}}
    template: dict[str, object] = {
        "name": message.template_code,
        "language": {"code": str(payload.get("language", DEFAULT_LANGUAGE))},
    }
    parameters = payload.get("parameters")
    if isinstance(parameters, list) and parameters:
        texts = [{"type": "text", "text": str(value)} for value in parameters]
        template["components"] = [{"type": "body", "parameters": texts}]
    return body | {"type": "template", "template": template}


def read_answer(answer: HttpAnswer) -> SendResult:
    """Read Meta's answer; `error.code` tells more than the HTTP status does."""
    body = answer.body
    if answer.succeeded and isinstance(body, Mapping):
        messages = body.get("messages")
        if isinstance(messages, list) and messages and isinstance(messages[0], Mapping):
            found = messages[0].get("id")
            if isinstance(found, str) and found:
                return accept(answer, found)
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        code = error.get("code")
        details = error.get("error_data")
        text = details.get("details") if isinstance(details, Mapping) else None
        message = str(text or error.get("message") or "")
        return refuse(answer, None if code is None else str(code), message)
    if answer.fault is HouseCode.BAD_GATEWAY_HTML:
        return refuse(answer, None, "The answer is a web page")
    return refuse(answer, None, None)
