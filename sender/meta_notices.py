"""Reading what Meta tells about accounts, numbers and templates. Pure.

Source: Meta's webhook reference, one page per field, as of September 2026.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from outbound_slo.vocabulary.notices import NoticeKind, NoticeSeverity
from sender.news import Notice, TemplateNews
from sender.wire import mapping, mappings, seconds, text

_C, _W, _I = NoticeSeverity.CRITICAL, NoticeSeverity.WARNING, NoticeSeverity.INFO

_EVENTS: Mapping[NoticeKind, Mapping[str, NoticeSeverity]] = {
    NoticeKind.TEMPLATE_STATUS: {
        "REJECTED": _C, "PAUSED": _C, "DISABLED": _C, "LIMIT_EXCEEDED": _C,
        "FLAGGED": _W, "LOCKED": _W, "PENDING_DELETION": _W, "DELETED": _W,
    },
    NoticeKind.TEMPLATE_QUALITY: {"RED": _C, "YELLOW": _W},
    NoticeKind.ACCOUNT_UPDATE: {
        "DISABLED_UPDATE": _C, "ACCOUNT_RESTRICTION": _C, "ACCOUNT_DELETED": _C,
        "ACCOUNT_OFFBOARDED": _C, "PARTNER_REMOVED": _C, "ACCOUNT_VIOLATION": _W,
    },
    NoticeKind.ACCOUNT_ALERT: {"CRITICAL": _C, "WARNING": _W},
    NoticeKind.ACCOUNT_REVIEW: {"REJECTED": _C},
    NoticeKind.NUMBER_QUALITY: {"FLAGGED": _W, "DOWNGRADE": _W},
    NoticeKind.NUMBER_NAME: {"REJECTED": _W, "DECLINED": _W},
}  # fmt: skip
"""The words that are worse than news; any other is information."""

_Details = tuple[str | None, str | None, str | None]
"""What it is about, the provider's word for it, and more words."""


def read_notices(body: object, received_s: float) -> list[Notice]:
    """Give the notices of a webhook; fields that we do not know are passed over."""
    found: list[Notice] = []
    for account, at, kind, value in _changes(body, received_s):
        subject, event, words = _READERS[kind](value)
        found.append(
            Notice(
                kind,
                _judge(kind, value, event),
                account,
                subject,
                event,
                words,
                at,
                _fingerprint(account, at, kind, value),
            )
        )
    return found


def read_templates(body: object, received_s: float) -> list[TemplateNews]:
    """Give what a webhook tells of templates' state and quality."""
    found: list[TemplateNews] = []
    for account, at, kind, value in _changes(body, received_s):
        name = text(value.get("message_template_name"))
        language = text(value.get("message_template_language"))
        if name is None or language is None:
            continue
        number = text(value.get("message_template_id"))
        if kind is NoticeKind.TEMPLATE_STATUS:
            status, reason = text(value.get("event")), _known(value.get("reason"))
            if status is not None:
                found.append(TemplateNews(account, name, language, number, at, status, reason))
        elif kind is NoticeKind.TEMPLATE_QUALITY:
            quality = text(value.get("new_quality_score"))
            found.append(TemplateNews(account, name, language, number, at, quality=quality))
    return found


def _changes(
    body: object, received_s: float
) -> Iterator[tuple[str, float, NoticeKind, Mapping[str, Any]]]:
    for entry in mappings(mapping(body).get("entry")):
        account = text(entry.get("id")) or ""
        at = seconds(entry.get("time"), received_s)
        for change in mappings(entry.get("changes")):
            kind = _KINDS.get(str(change.get("field")))
            if kind is not None:
                yield account, at, kind, mapping(change.get("value"))


_KINDS = {kind.value: kind for kind in NoticeKind}


def _judge(kind: NoticeKind, value: Mapping[str, Any], event: str | None) -> NoticeSeverity:
    word = _severity_word(value) if kind is NoticeKind.ACCOUNT_ALERT else event
    return _EVENTS.get(kind, {}).get((word or "").upper(), _I)


def _severity_word(value: Mapping[str, Any]) -> str | None:
    info = mapping(value.get("alert_info"))
    return text(info.get("alert_severity")) or text(value.get("alert_severity"))


def _known(value: object) -> str | None:
    """Give a text, but not the word that Meta writes for none."""
    found = text(value)
    return None if found is None or found.upper() == "NONE" else found


def _describe_template_status(value: Mapping[str, Any]) -> _Details:
    other = mapping(value.get("other_info"))
    words = text(other.get("description")) or _known(value.get("reason"))
    return text(value.get("message_template_name")), text(value.get("event")), words


def _describe_template_quality(value: Mapping[str, Any]) -> _Details:
    before, after = (
        text(value.get(key)) for key in ("previous_quality_score", "new_quality_score")
    )
    return text(value.get("message_template_name")), after, f"{before or 'UNKNOWN'} before"


def _describe_account_update(value: Mapping[str, Any]) -> _Details:
    words = [
        text(mapping(value.get("ban_info")).get("waba_ban_state")),
        text(mapping(value.get("violation_info")).get("violation_type")),
    ]
    words += [
        text(item.get("restriction_type")) for item in mappings(value.get("restriction_info"))
    ]
    return text(value.get("phone_number")), text(value.get("event")), _join(words)


def _describe_account_alert(value: Mapping[str, Any]) -> _Details:
    # Older versions have these one level up.
    info = {**value, **mapping(value.get("alert_info"))}
    words = text(info.get("alert_description"))
    return text(value.get("entity_id")), text(info.get("alert_type")), words


def _describe_review(value: Mapping[str, Any]) -> _Details:
    return None, text(value.get("decision")), None


def _describe_capability(value: Mapping[str, Any]) -> _Details:
    limits = [f"{key}={value[key]}" for key in sorted(value) if key.startswith("max_")]
    return None, None, _join(list(limits))


def _describe_number_quality(value: Mapping[str, Any]) -> _Details:
    limit = text(value.get("max_daily_conversations_per_business")) or text(
        value.get("current_limit")
    )
    words = None if limit is None else f"limit {limit}"
    return text(value.get("display_phone_number")), text(value.get("event")), words


def _describe_number_name(value: Mapping[str, Any]) -> _Details:
    words = _known(value.get("rejection_reason"))
    return text(value.get("display_phone_number")), text(value.get("decision")), words


_READERS: Mapping[NoticeKind, Callable[[Mapping[str, Any]], _Details]] = {
    NoticeKind.TEMPLATE_STATUS: _describe_template_status,
    NoticeKind.TEMPLATE_QUALITY: _describe_template_quality,
    NoticeKind.ACCOUNT_UPDATE: _describe_account_update,
    NoticeKind.ACCOUNT_ALERT: _describe_account_alert,
    NoticeKind.ACCOUNT_REVIEW: _describe_review,
    NoticeKind.CAPABILITY: _describe_capability,
    NoticeKind.NUMBER_QUALITY: _describe_number_quality,
    NoticeKind.NUMBER_NAME: _describe_number_name,
}


def _join(words: list[str | None]) -> str | None:
    return ", ".join(word for word in words if word)[:500] or None


def _fingerprint(account: str, at: float, kind: NoticeKind, value: Mapping[str, Any]) -> str:
    content = orjson.dumps([account, at, kind.value, value], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()
