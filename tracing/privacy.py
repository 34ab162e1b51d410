"""What of a provider's answer may stand in a span: its error, without numbers or secrets (D37)."""

import json
import re

_KEPT_FIELDS = ("code", "error_subcode", "type", "title", "message", "status", "href", "more_info")
_PHONE = re.compile(r"(?<![\w.])\+?\d{8,15}(?!\w)")
_SECRET = re.compile(r"(?i)\b(bearer\s+|access_token=|EAA|SG\.|whsec_)[\w.\-]+")
_LONGEST_BODY = 512


def scrub_text(text: str) -> str:
    """Replace what looks like a telephone number or a token; shorten to 512 characters.

    Providers repeat the recipient or the token in some error texts. Digits of eight places or more
    are taken for a number; error codes are shorter.
    """
    without_secrets = _SECRET.sub("[secret]", text)
    return _PHONE.sub("[number]", without_secrets)[:_LONGEST_BODY]


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
