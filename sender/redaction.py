"""Secrets never stand in a log or a report: hidden by name, by value and by their looks. Pure."""

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN = "[hidden]"

SHORTEST_SECRET = 8
"""A shorter value is not looked for in texts: it would tear holes into every other word."""

_TELLING_NAME = re.compile(
    r"(?i)token|secret|passw|authori[sz]ation|api_?key|credential|signature|cookie|dsn"
)
_LOOKS = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[\w.~+/\-]{8,}=*"
    r"|\bEAA[A-Za-z0-9]{16,}"
    r"|\bSG\.[\w\-]{8,}\.[\w\-]{8,}"
    r"|\b(?:access_token|hub\.verify_token|api_key|password)=[^\s&]+"
)
_MARKS = ("bearer", "basic", "eaa", "sg.", "_token=", "key=", "password=", "verify_token", "://")
"""One of these stands, in some case, in every text that the patterns find something in; most texts
have none, and looking for words is ten times cheaper than looking for patterns."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_EMAIL = re.compile(r"[\w.+\-]{1,64}@[\w\-]+\.[\w.\-]+")
_PHONE = re.compile(r"(?<![\w.])\+?\d{8,15}(?![\w.])")


@lru_cache(maxsize=512)
def _is_telling(name: str) -> bool:
    return _TELLING_NAME.search(name) is not None


def _is_suspect(text: str) -> bool:
    folded = text.casefold()
    return any(mark in folded for mark in _MARKS)


def find_secrets(*groups: BaseModel) -> list[str]:
    """Collect the secret values of settings, and the passwords of addresses among them."""
    found: list[str] = []
    for group in groups:
        for name in type(group).model_fields:
            value = getattr(group, name)
            if isinstance(value, SecretStr):
                found.append(value.get_secret_value())
            elif isinstance(value, str) and "://" in value:
                found.append(unquote(urlsplit(value).password or ""))
    return [value for value in found if value]


class Redactor:
    """Hides secrets in texts and in fields, and is a processor of structlog's."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know `secrets` by value; the longest is looked for first."""
        known = sorted({one for one in secrets if len(one) >= SHORTEST_SECRET}, key=len)
        self._known = tuple(reversed(known))

    def scrub(self, text: str) -> str:
        """Hide every secret in a text; credentials in an address go with their `@`."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if not _is_suspect(text):
            return text
        return _CREDENTIALS.sub(f"{HIDDEN}@", _LOOKS.sub(HIDDEN, text))

    def clean(self, name: str, value: object) -> object:
        """Give a field's value without secrets; what is named after a secret is one."""
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, str | bytes) and _is_telling(name):
            return HIDDEN
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, Mapping):
            return {key: self.clean(str(key), one) for key, one in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.clean(name, one) for one in value]
        return self.scrub(str(value))

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Clean the fields of a line."""
        if self._is_clean(event):
            return event
        for name in event:
            event[name] = self.clean(name, event[name])
        return event

    def _is_clean(self, event: Mapping[str, Any]) -> bool:
        """Tell at one look what most lines are: plain values, and no secret in all of them."""
        texts: list[str] = []
        for name, value in event.items():
            if type(value) is str:
                if _is_telling(name):
                    return False
                texts.append(value)
            elif type(value) is not int:
                return False
        line = "\n".join(texts)
        return not _is_suspect(line) and not any(one in line for one in self._known)


def hide_people(text: str) -> str:
    """Hide what looks like a telephone number or an e-mail address."""
    return _PHONE.sub("[number]", _EMAIL.sub("[address]", text))
