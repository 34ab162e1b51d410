"""What an error code means, as the HTTP face tells it: under the policy, and in each catalogue."""

from outbound_slo.vocabulary.errors import (
    Agreement,
    Catalogue,
    Category,
    ErrorMeaning,
    ErrorPolicy,
    Retryable,
    agreement,
    explain,
    meanings,
)
from sender.shapes import Answer

_DISAGREE = frozenset({Agreement.DIFFERENT, Agreement.PARTIAL, Agreement.RETRY_DIFFERS})


class CodeMeaning(Answer):
    """One catalogue's word on a code."""

    catalogue: Catalogue
    title: str
    category: Category
    retryable: Retryable
    rate_limit: bool
    action: str
    source: str


class CodeMeanings(Answer):
    """What the sender goes by, and every catalogue's word where they differ (D6)."""

    policy: ErrorPolicy
    applied: CodeMeaning | None
    catalogues_differ: bool
    meanings: list[CodeMeaning]


def tell_meanings(code: str, policy: ErrorPolicy) -> CodeMeanings:
    """Look a code up."""
    known = meanings(code)
    chosen = explain(code, policy)
    applied = next(
        (
            _tell(catalogue, meaning)
            for catalogue, meaning in known.items()
            if chosen is not None and meaning.source == chosen.source
        ),
        None,
    )
    return CodeMeanings(
        policy=policy,
        applied=applied,
        catalogues_differ=agreement(code) in _DISAGREE,
        meanings=[_tell(catalogue, meaning) for catalogue, meaning in known.items()],
    )


def _tell(catalogue: Catalogue, meaning: ErrorMeaning) -> CodeMeaning:
    return CodeMeaning(
        catalogue=catalogue,
        title=meaning.title,
        category=meaning.category,
        retryable=meaning.retryable,
        rate_limit=meaning.rate_limit,
        action=meaning.action,
        source=meaning.source,
    )
