"""What an error code means and what becomes of the message: the two catalogues side by side.

The runbook's matrix (000) and Meta's own list disagree on most of the codes that they share. Both
are data (`errors_runbook.csv`, `errors_meta.csv`), and a policy says which is asked first. A third
file holds what neither knows: 002's names, this project's own refusals, Twilio and SendGrid.

The runbook's yes/no flag is kept and only refined: a yes that asks for waiting is AFTER_WAIT, a no
where the message is sound and somebody has to mend an account or a template is AFTER_FIX.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_TOO_MANY_REQUESTS: Final = 429
_REQUEST_TIMEOUT: Final = 408
_SERVER_ERRORS: Final = range(500, 600)


class Retryable(StrEnum):
    """Whether the same message may be sent again, and who or what has to act before."""

    YES = "yes"
    AFTER_WAIT = "after_wait"
    AFTER_FIX = "after_fix"
    NO = "no"

    @property
    def automatic(self) -> bool:
        """True where the sender tries again by itself, with no person in between."""
        return self in {Retryable.YES, Retryable.AFTER_WAIT}


class ErrorPolicy(StrEnum):
    """Which catalogue is asked first (setting WHATSAPP_ERROR_POLICY)."""

    RUNBOOK = "runbook"
    META = "meta"


class Catalogue(StrEnum):
    """The three files of meanings."""

    RUNBOOK = "runbook"
    META = "meta"
    HOUSE = "house"


class Category(StrEnum):
    """Kinds of error: 000's eleven, one for Meta's other APIs and one for what nobody knows."""

    AUTH = "Auth"
    CLIENT_ERROR = "Client Error"
    CONFIG = "Config"
    MEDIA = "Media"
    POLICY = "Policy"
    RATE_LIMIT = "Rate Limit"
    RECIPIENT = "Recipient"
    SESSION_WINDOW = "Session Window"
    TEMPLATE = "Template"
    TEMPORARY = "Temporary"
    TIMEOUT = "Timeout"
    OTHER_API = "Other API"
    UNKNOWN = "Unknown"


class Agreement(StrEnum):
    """How far the runbook and Meta agree on one code."""

    SAME = "same"
    RETRY_DIFFERS = "retry_differs"
    PARTIAL = "partial"
    DIFFERENT = "different"
    RUNBOOK_ONLY = "runbook_only"
    META_ONLY = "meta_only"


class Limit(StrEnum):
    """Whose rate a rate-limit error speaks of, and so who has to wait.

    ACCOUNT: everybody who sends through this account or app.
    ORGANISATION: one organisation's business account.
    NUMBER: one sending number.
    RECIPIENT: this recipient only, the others are not affected.
    """

    ACCOUNT = "account"
    ORGANISATION = "organisation"
    NUMBER = "number"
    RECIPIENT = "recipient"


PASSING_CODES = ("0", "1", "131016", "131026", "132001")
"""Codes of errors that pass by themselves, which 001's retry procedures send again (D32)."""


class HouseCode(StrEnum):
    """Codes that this project gives itself, where no provider's code exists."""

    CIRCUIT_BREAKER_OPEN = "CIRCUIT_BREAKER_OPEN"
    SESSION_EXPIRED = "session_expired"
    CONSENT_MISSING = "consent_missing"
    OPTED_OUT = "opted_out"
    QUOTA_EXHAUSTED = "quota_exhausted"
    THROTTLED = "throttled"
    QUIET_HOURS = "quiet_hours"
    CONTENT_INVALID = "content_invalid"
    RECIPIENT_INVALID = "recipient_invalid"
    TIMEOUT = "timeout"
    CONNECTION_FAILED = "connection_failed"
    BAD_GATEWAY_HTML = "bad_gateway_html"
    OUTCOME_UNKNOWN = "outcome_unknown"
    MESSAGE_EXPIRED = "message_expired"
    CHANNEL_DISABLED = "channel_disabled"
    CREDENTIALS_UNREADABLE = "credentials_unreadable"
    FELL_BACK = "fell_back"


WINDOW_CODES = (HouseCode.SESSION_EXPIRED.value, "131047", "470")
"""Codes of a closed 24-hour window: our own check's, Meta's, and its older API's.

The runbook's 132015 and 132016 are left out: what Meta sends under them is a paused template.
"""

WISH_CODES = (HouseCode.OPTED_OUT.value, HouseCode.CONSENT_MISSING.value)
"""Codes of refusals that respect what the recipient wants: nobody has anything to mend."""


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """One catalogue's word on one code.

    Attributes:
        code: The code as the provider sends it; Meta's range of permission codes is `201-299` in
            the catalogue and the single code in an answer of `explain`.
        title: A few words for tables and pages.
        category: The kind, with 000's names; the `category` label of the dead-letter metric.
        retryable: What may happen to the message now.
        rate_limit: True where the provider asks us to slow down.
        action: What the person on call does.
        source: Where the row comes from: a runbook's number, a provider, or this project.
        limits: Whose rate it is; None where it is no rate limit.
        wait_s: Seconds that the same message has to wait at least, where the source names a time.

    """

    code: str
    title: str
    category: Category
    retryable: Retryable
    rate_limit: bool
    action: str
    source: str
    limits: Limit | None = None
    wait_s: float | None = None


def _rows(catalogue: Catalogue) -> list[dict[str, str]]:
    path = files("outbound_slo.vocabulary").joinpath(f"errors_{catalogue}.csv")
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _meaning(row: Mapping[str, str]) -> ErrorMeaning:
    return ErrorMeaning(
        code=row["code"],
        title=row["title"],
        category=Category(row["category"]),
        retryable=Retryable(row["retryable"]),
        rate_limit={"yes": True, "no": False}[row["rate_limit"]],
        action=row["action"],
        source=row["source"],
        limits=Limit(row["limits"]) if row["limits"] else None,
        wait_s=float(row["wait_s"]) if row["wait_s"] else None,
    )


def _spread(meanings_: Iterable[ErrorMeaning]) -> dict[str, ErrorMeaning]:
    """Index by code; a row for a range such as `201-299` answers for each code in it."""
    index: dict[str, ErrorMeaning] = {}
    for meaning in meanings_:
        first, dash, last = meaning.code.partition("-")
        if dash and first.isdigit():
            codes = (str(number) for number in range(int(first), int(last) + 1))
            index |= {code: replace(meaning, code=code) for code in codes}
        else:
            index[meaning.code] = meaning
    return index


CATALOGUES: Final[Mapping[Catalogue, tuple[ErrorMeaning, ...]]] = MappingProxyType(
    {catalogue: tuple(map(_meaning, _rows(catalogue))) for catalogue in Catalogue}
)
"""Every row of every catalogue, in the order of its file (by number)."""

_BY_CODE: Final = {catalogue: _spread(rows) for catalogue, rows in CATALOGUES.items()}

_AGREEMENTS: Final = {row["code"]: Agreement(row["agreement"]) for row in _rows(Catalogue.META)}

_ORDER: Final[Mapping[ErrorPolicy, tuple[Catalogue, ...]]] = {
    ErrorPolicy.RUNBOOK: (Catalogue.RUNBOOK, Catalogue.META, Catalogue.HOUSE),
    ErrorPolicy.META: (Catalogue.META, Catalogue.RUNBOOK, Catalogue.HOUSE),
}


def meanings(code: str) -> Mapping[Catalogue, ErrorMeaning]:
    """Every catalogue's word on a code; empty where none has it."""
    return {catalogue: index[code] for catalogue, index in _BY_CODE.items() if code in index}


def agreement(code: str) -> Agreement | None:
    """Say how far the runbook and Meta agree on a code; None where neither lists it."""
    if code in _AGREEMENTS:
        return _AGREEMENTS[code]
    return Agreement.META_ONLY if code in _BY_CODE[Catalogue.META] else None


def explain(code: str, policy: ErrorPolicy) -> ErrorMeaning | None:
    """Give the meaning of a code under a policy; None where no catalogue has it.

    A catalogue that lists a code only to say that it is not known (category Unknown) gives way to
    the next: under Meta's policy 130 keeps the runbook's meaning.
    """
    known = meanings(code)
    found = [known[catalogue] for catalogue in _ORDER[policy] if catalogue in known]
    told = [meaning for meaning in found if meaning.category is not Category.UNKNOWN]
    return next(iter(told or found), None)


def classify(code: str | None, http_status: int | None, policy: ErrorPolicy) -> ErrorMeaning:
    """Decide a failed attempt's fate: by its code first, then by the HTTP status.

    HTTP status is no reliable classifier for Meta, so it only decides for codes that no catalogue
    explains: 5xx, 408 and 429 are tried again, all else is a visible failure of category Unknown.

    Args:
        code: The provider's code or a HouseCode; None where the answer had none.
        http_status: The status of the answer; None where there was none.
        policy: Which catalogue is asked first.

    """
    meaning = explain(code, policy) if code else None
    if meaning is not None and meaning.category is not Category.UNKNOWN:
        return meaning
    return ErrorMeaning(
        code=code or (f"http_{http_status}" if http_status else "unknown"),
        title=meaning.title if meaning else _unexplained(http_status),
        category=Category.UNKNOWN,
        retryable=_fate(http_status),
        rate_limit=http_status == _TOO_MANY_REQUESTS,
        action=meaning.action if meaning else "Read the provider's answer on the attempt",
        source=meaning.source if meaning else "HTTP status",
        limits=Limit.ACCOUNT if http_status == _TOO_MANY_REQUESTS else None,
    )


def _unexplained(http_status: int | None) -> str:
    return f"HTTP {http_status}, code not in any catalogue" if http_status else "Not explained"


def _fate(http_status: int | None) -> Retryable:
    if http_status == _TOO_MANY_REQUESTS:
        return Retryable.AFTER_WAIT
    if http_status == _REQUEST_TIMEOUT or http_status in _SERVER_ERRORS:
        return Retryable.YES
    return Retryable.NO
