"""Tables that packs may refer to by name instead of writing them down: the error catalogues.

Names of errors and their meanings live in `outbound_slo.vocabulary.errors`; which meaning holds
depends on WHATSAPP_ERROR_POLICY (D6), so a pack cannot contain them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from exporter.pack import LabelMap
from outbound_slo.vocabulary.errors import (
    CATALOGUES,
    Catalogue,
    Category,
    ErrorMeaning,
    ErrorPolicy,
    explain,
)

# The vocabulary's rows say which provider uses a code; those of other sources are any channel's.
_PROVIDER_OF_CHANNEL = {"sms": "Twilio", "email": "SendGrid"}
# The codes of answers that have none (vocabulary.errors.classify, and rows with NULL).
_WITHOUT_CODE = "unknown"
_TOO_MANY_REQUESTS = "http_429"


def _codes(rows: tuple[ErrorMeaning, ...]) -> list[str]:
    # A range such as 201-299 would be a hundred series for errors that hardly anybody meets.
    return [row.code for row in rows if not (row.code[0].isdigit() and "-" in row.code)]


def _whatsapp_codes(_policy: ErrorPolicy) -> tuple[str, ...]:
    house = [row for row in CATALOGUES[Catalogue.HOUSE] if row.source not in _provider_sources()]
    rows = (*CATALOGUES[Catalogue.RUNBOOK], *CATALOGUES[Catalogue.META], *house)
    return tuple(dict.fromkeys([_WITHOUT_CODE, *_codes(rows)]))


def _codes_of(channel: str) -> Callable[[ErrorPolicy], tuple[str, ...]]:
    def give(_policy: ErrorPolicy) -> tuple[str, ...]:
        foreign = _provider_sources() - {_PROVIDER_OF_CHANNEL[channel]}
        rows = tuple(row for row in CATALOGUES[Catalogue.HOUSE] if row.source not in foreign)
        return (_WITHOUT_CODE, *_codes(rows))

    return give


def _provider_sources() -> set[str]:
    return set(_PROVIDER_OF_CHANNEL.values())


def _rate_limit_codes(policy: ErrorPolicy) -> tuple[str, ...]:
    every = dict.fromkeys(code for rows in CATALOGUES.values() for code in _codes(rows))
    meanings = [explain(code, policy) for code in every]
    limits = [meaning.code for meaning in meanings if meaning and meaning.rate_limit]
    return (*limits, _TOO_MANY_REQUESTS)


def _error_categories(source: str, policy: ErrorPolicy) -> LabelMap:
    every = [code for rows in CATALOGUES.values() for code in _codes(rows)]
    meanings = {code: explain(code, policy) for code in every}
    values = {code: meaning.category.value for code, meaning in meanings.items() if meaning}
    return LabelMap(source, MappingProxyType(values), default=Category.UNKNOWN.value)


LABEL_SETS: Mapping[str, Callable[[ErrorPolicy], tuple[str, ...]]] = MappingProxyType(
    {
        "whatsapp_error_codes": _whatsapp_codes,
        "sms_error_codes": _codes_of("sms"),
        "email_error_codes": _codes_of("email"),
        "rate_limit_error_codes": _rate_limit_codes,
    }
)
"""What `label_sets: {NAME: {catalogue: …}}` may name."""

LABEL_MAPS: Mapping[str, Callable[[str, ErrorPolicy], LabelMap]] = MappingProxyType(
    {"error_categories": _error_categories}
)
"""What `derive: {LABEL: {from: …, catalogue: …}}` may name."""
