"""What of a provider's answer may stand in a span: its error, without numbers or secrets (D37).

The tags that could carry more are scrubbed wherever they are set, so that no caller can forget it.
"""

import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import Tag

_KEPT_FIELDS = ("code", "error_subcode", "type", "title", "message", "status", "href", "more_info")
# Eight digits or more, as people write numbers: with a separator or two between them.
_PHONE = re.compile(r"(?<!\d)(?<!wamid\.)\+?\(?\d(?:[ .\-/()]{0,2}\d){7,}")
_ADDRESS = re.compile(r"[\w.+%\-]+@[\w\-]+(?:\.[\w\-]+)+")
_SECRET = re.compile(r"(?i)\b(bearer\s+|access_token=|EAA|SG\.|whsec_)[\w.\-]+")
_USER_IN_URL = re.compile(r"(?<=://)[^/]*@")
_LONGEST_BODY = 512


def scrub_text(text: str) -> str:
    """Replace what looks like a telephone number, an e-mail address or a token; shorten to 512.

    Providers repeat the recipient or the token in some error texts. Digits of eight places or more
    are taken for a number, separated or not; error codes are shorter.
    """
    without_secrets = _SECRET.sub("[secret]", text)
    without_addresses = _ADDRESS.sub("[address]", without_secrets)
    return _PHONE.sub("[number]", without_addresses)[:_LONGEST_BODY]


@lru_cache(maxsize=256)
def scrub_url(url: str) -> str:
    """Cut query, fragment and credentials from an address: tokens travel there."""
    return _USER_IN_URL.sub("", url.partition("?")[0].partition("#")[0])


class RecipientForm(StrEnum):
    """How spans name recipients."""

    PLAIN = "plain"
    MASKED = "masked"
    HASHED = "hashed"


_SHOWN = 4
"""Characters of a recipient that a mask leaves, half of a short one at most."""

_HASH_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Recipients:
    """Writes recipients as spans shall have them; a search writes its own the same way.

    Attributes:
        form: Which way.
        key: Secret of the hash, the same wherever spans are made or searched.

    Raises:
        UserMistake: A hash without a key: the few numbers there are could be tried one by one.

    """

    form: RecipientForm = RecipientForm.PLAIN
    key: str = ""

    def __post_init__(self) -> None:
        if self.form is RecipientForm.HASHED and not self.key:
            raise UserMistake(
                "OUTBOUND_TRACE_RECIPIENTS=hashed needs a key",
                "Set OUTBOUND_TRACE_RECIPIENT_KEY to some thirty random characters",
            )

    def write(self, recipient: str) -> str:
        """Write a recipient: a number's or address's last four characters, or its keyed hash."""
        if self.form is RecipientForm.MASKED:
            name, at, domain = recipient.partition("@")
            return f"***{name[-min(_SHOWN, len(name) // 2) :] if len(name) > 1 else ''}{at}{domain}"
        if self.form is RecipientForm.HASHED:
            digest = hmac.new(self.key.encode(), recipient.encode("utf-8", "replace"), "sha256")
            return digest.hexdigest()[:_HASH_DIGITS]
        return recipient

    def write_id(self, provider_id: str) -> str:
        """Write a provider's message id: WhatsApp's have the recipient's number in them.

        Where recipients are not plain it is a hash, the same on every span of a message.
        """
        if self.form is RecipientForm.PLAIN:
            return provider_id
        digest = hmac.new(self.key.encode(), provider_id.encode("utf-8", "replace"), "sha256")
        return digest.hexdigest()[:_HASH_DIGITS]


PLAIN: Final = Recipients()


SCRUBBED_TAGS: Mapping[Tag, Callable[[str], str]] = MappingProxyType(
    {
        Tag.ERROR_MESSAGE: scrub_text,
        Tag.HTTP_RESPONSE_BODY: scrub_text,
        Tag.HTTP_URL: scrub_url,
    }
)
"""Tags whose text is cleaned whenever it is set, and how."""


def scrub_error_body(body: str | bytes) -> str | None:
    """Reduce an error answer to its error object, for the tag `http.response.body`.

    Args:
        body: The answer as received: Meta's `{"error": {…}}`, Twilio's flat object, SendGrid's
            `{"errors": […]}`, or something else altogether.

    Returns:
        Compact JSON with the known fields only; None when the body has no error object (HTML,
        text).

    """
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    errors = answer.get("errors")
    if isinstance(answer.get("error"), dict):
        kept: object = {"error": _reduce(answer["error"])}
    elif isinstance(errors, list):
        kept = {"errors": [_reduce(error) for error in errors[:3] if isinstance(error, dict)]}
    elif "code" in answer and "message" in answer:
        kept = _reduce(answer)
    else:
        return None
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def _reduce(error: dict[str, object]) -> dict[str, object]:
    return {
        field: scrub_text(value) if isinstance(value, str) else value
        for field in _KEPT_FIELDS
        if isinstance(value := error.get(field), str | int)
    }
