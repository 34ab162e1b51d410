"""What each channel takes as content: limits, and the shape of `payload_json`. Pure.

Sources: runbook 004 (platform limits) for WhatsApp's text; Meta's Cloud API reference (template
messages), Twilio's Message resource and SendGrid's v3 Mail Send reference, as of September 2026.
A limit only refuses what the provider would surely refuse: counting is by Unicode characters, the
most lenient way, and the provider has the last word. Nothing is cut: docs/decisions/0011.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from outbound_slo.vocabulary.statuses import Channel

WHATSAPP_TEXT = 4096
"""Characters of a free-form WhatsApp message (004)."""

TEMPLATE_NAME = 512
"""Characters of a template's name (Meta)."""

TEMPLATE_PARAMETER = 32768
"""Characters of one body parameter, in a request that fills nothing but the body (Meta)."""

SMS_TEXT = 1600
"""Characters of an SMS, over all its segments (Twilio, error 21617)."""

EMAIL_SUBJECT = 998
"""Characters of a subject (SendGrid, after RFC 5322's longest line)."""

EMAIL_BYTES = 30_000_000
"""Bytes of a whole e-mail (SendGrid: 30 MB)."""

# Meta refuses a parameter with a line break, a tab, or more than four spaces in a row.
_BROKEN_PARAMETER = re.compile(r"[\n\r\t]| {5}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Za-z0-9]{2,8})*")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ContentFault:
    """Why content cannot be sent, and what to do about it."""

    what: str
    mend: str


def find_fault(
    channel: Channel, *, template_code: str | None, subject: str | None, payload: object
) -> ContentFault | None:
    """Find the first thing that keeps content from being sent; None where all is well.

    Args:
        channel: The way to the recipient.
        template_code: The approved template's name; WhatsApp alone has templates.
        subject: Subject of an e-mail; the text where the payload has none.
        payload: Decoded `payload_json`, whatever somebody put there.

    """
    if payload is None:
        payload = {}
    if not isinstance(payload, Mapping):
        return ContentFault(
            f"The payload is a JSON {_name_type(payload)}, not an object",
            'Write it as {"text": "…"} or {"language": "en", "parameters": ["…"]}',
        )
    text = payload.get("text")
    if text is not None and not isinstance(text, str):
        return ContentFault(
            f"The payload's text is a JSON {_name_type(text)}", "Give the text as a string"
        )
    texts = (("text", text), ("subject", subject), ("template code", template_code))
    unstorable = (_find_unstorable(name, value) for name, value in texts if value)
    broken = next((fault for fault in unstorable if fault), None)
    if broken:
        return broken
    if channel is Channel.WHATSAPP and template_code:
        return _find_template_fault(template_code, payload)
    written = (text or subject or "").strip()
    if not written:
        return ContentFault("There is no content", _missing_content(channel))
    return _find_text_fault(channel, text or subject or "", subject)


def _missing_content(channel: Channel) -> str:
    if channel is Channel.WHATSAPP:
        return "Give a template code, or a payload with a text"
    return "Give a subject, or a payload with a text: templates are WhatsApp's"


def _find_text_fault(channel: Channel, text: str, subject: str | None) -> ContentFault | None:
    if channel is Channel.EMAIL:
        return _find_email_fault(text, subject)
    limit = WHATSAPP_TEXT if channel is Channel.WHATSAPP else SMS_TEXT
    if len(text) > limit:
        return ContentFault(
            f"The text has {len(text)} characters, {channel.label} takes {limit}",
            "Shorten it or send it in parts",
        )
    return None


def _find_email_fault(text: str, subject: str | None) -> ContentFault | None:
    if subject and len(subject) > EMAIL_SUBJECT:
        return ContentFault(
            f"The subject has {len(subject)} characters, an e-mail takes {EMAIL_SUBJECT}",
            "Shorten it",
        )
    if subject and ("\n" in subject or "\r" in subject):
        return ContentFault("The subject has a line break", "Write it on one line")
    # A character has four bytes at most, and characters are cheaper to count.
    if len(text) * 4 > EMAIL_BYTES and len(text.encode()) > EMAIL_BYTES:
        return ContentFault(
            f"The text has more than {EMAIL_BYTES} bytes", "Link to what does not fit"
        )
    return None


def _find_template_fault(code: str, payload: Mapping[str, object]) -> ContentFault | None:
    if len(code) > TEMPLATE_NAME:
        return ContentFault(
            f"The template code has {len(code)} characters, a template's name {TEMPLATE_NAME}",
            "Give the name that the provider's list of templates shows",
        )
    language = payload.get("language")
    if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
        return ContentFault(
            f"The template's language is {language!r}", "Write its code, as in en or pt_BR"
        )
    parameters = payload.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, list | tuple):
        return ContentFault(
            f"The template's parameters are a JSON {_name_type(parameters)}",
            'Give an array, as in ["Ada", "Tuesday"]',
        )
    faults = (_find_parameter_fault(*each) for each in enumerate(parameters, start=1))
    return next((fault for fault in faults if fault), None)


def _find_parameter_fault(place: int, value: object) -> ContentFault | None:
    name = f"template parameter {place}"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ContentFault(
            f"The {name} is a JSON {_name_type(value)}", "Give a string or a number"
        )
    text = str(value)
    if not text.strip():
        return ContentFault(f"The {name} is empty", "Give a text; the provider refuses none")
    if len(text) > TEMPLATE_PARAMETER:
        return ContentFault(
            f"The {name} has {len(text)} characters, a template takes {TEMPLATE_PARAMETER}",
            "Shorten it",
        )
    if _BROKEN_PARAMETER.search(text):
        return ContentFault(
            f"The {name} has a line break, a tab or more than four spaces in a row",
            "Write it on one line with single spaces",
        )
    return _find_unstorable(name, text)


def _find_unstorable(name: str, text: str) -> ContentFault | None:
    """Find what is no valid text for PostgreSQL and no provider."""
    if "\x00" in text or _SURROGATES.search(text):
        return ContentFault(
            f"The {name} holds a NUL or half a surrogate pair", "Write it as valid UTF-8"
        )
    return None


def _name_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list | tuple) else "object"
