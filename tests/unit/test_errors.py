"""The error catalogues: complete, and asked in the order that the policy says."""

import csv
from pathlib import Path

import pytest

from outbound_slo.vocabulary.errors import (
    CATALOGUES,
    Agreement,
    Catalogue,
    Category,
    ErrorPolicy,
    HouseCode,
    Limit,
    Retryable,
    agreement,
    classify,
    explain,
    meanings,
)
from tests.runbooks.source import runbook_directory


def _codes(listed: str) -> list[str]:
    return listed.split()


FACTS = Path(__file__).parents[1] / "data" / "facts"
"""What the runbook's matrix and Meta's pages say, as collected; tests/data/README.md."""


def _facts(name: str) -> list[dict[str, str]]:
    """Read a file of facts, one row per code; a row for several codes is given once for each."""
    with (FACTS / name).open(encoding="utf-8") as lines:
        return [
            row | {"code": code} for row in csv.DictReader(lines) for code in row["code"].split(",")
        ]


RUNBOOK_FACTS = {row["code"]: row for row in _facts("runbook_error_matrix.csv")}
META_FACTS = {row["code"]: row for row in _facts("meta_error_codes.csv")}

AGREEMENTS = {
    "same": Agreement.SAME,
    "same_meaning_retry_differs": Agreement.RETRY_DIFFERS,
    "partial": Agreement.PARTIAL,
    "different": Agreement.DIFFERENT,
    "runbook_only": Agreement.RUNBOOK_ONLY,
    "missing_from_runbook": Agreement.META_ONLY,
}

RUNBOOK_002_NAMES = _codes(
    "INVALID_PHONE_NUMBER QUOTA_EXCEEDED ACCOUNT_SUSPENDED TEMPLATE_NOT_APPROVED "
    "RATE_LIMIT_EXCEEDED TEMPORARY_ERROR"
)
TWILIO_CODES = _codes(
    "10001 20003 20005 20429 20500 20503 21211 21212 21408 21602 21603 21604 21606 21608 21610 "
    "21611 21612 21614 21617 21635 21703 21730 30001 30002 30003 30004 30005 30006 30007 30008 "
    "30017 30018 30022 30023 30024 30027 30032 30033 30034 30035 30410 30450"
)
SENDGRID_CODES = _codes(
    "sendgrid_400 sendgrid_401 sendgrid_403 sendgrid_404 sendgrid_405 sendgrid_406 sendgrid_413 "
    "sendgrid_429 sendgrid_451 sendgrid_500 sendgrid_502 sendgrid_503 sendgrid_504 "
    "sendgrid_bounce sendgrid_blocked sendgrid_dropped"
)


@pytest.mark.parametrize(
    ("catalogue", "codes"),
    [
        (Catalogue.RUNBOOK, list(RUNBOOK_FACTS)),
        (Catalogue.META, list(META_FACTS)),
        (Catalogue.HOUSE, [*HouseCode, *RUNBOOK_002_NAMES, *TWILIO_CODES, *SENDGRID_CODES]),
    ],
)
def test_each_catalogue_has_exactly_the_codes_of_its_source(
    catalogue: Catalogue, codes: list[str]
) -> None:
    assert sorted(meaning.code for meaning in CATALOGUES[catalogue]) == sorted(map(str, codes))


@pytest.mark.parametrize("catalogue", Catalogue)
def test_every_row_says_what_it_means_what_to_do_and_where_it_is_from(
    catalogue: Catalogue,
) -> None:
    for meaning in CATALOGUES[catalogue]:
        assert meaning.title, meaning.code
        assert meaning.action, meaning.code
        assert meaning.source, meaning.code


@pytest.mark.parametrize("code", RUNBOOK_FACTS)
def test_the_runbooks_flags_survive_the_finer_scale(code: str) -> None:
    meaning, fact = meanings(code)[Catalogue.RUNBOOK], RUNBOOK_FACTS[code]
    assert meaning.retryable.automatic is (fact["retryable"] == "yes")
    assert meaning.rate_limit is (fact["rate_limit"] == "yes")
    assert meaning.category == fact["category"]


@pytest.mark.parametrize("code", META_FACTS)
def test_metas_rows_say_what_the_facts_say(code: str) -> None:
    fact = META_FACTS[code]
    [meaning] = [row for row in CATALOGUES[Catalogue.META] if row.code == code]
    assert agreement(code.partition("-")[0]) is AGREEMENTS[fact["agreement"]]
    if fact["retryable"] == "unknown":
        assert meaning.category is Category.UNKNOWN
    elif fact["category"] == "throttling":
        # Meta's "yes" for a rate limit is a yes after a wait.
        assert (meaning.retryable, meaning.rate_limit) == (Retryable.AFTER_WAIT, True)
    elif not meaning.rate_limit:
        assert meaning.retryable == fact["retryable"]


def test_the_copy_of_the_facts_is_the_facts() -> None:
    """Beside the project, where it stands with them, are the facts that it was built from."""
    originals = runbook_directory().parent / "facts"
    copies = sorted(file.name for file in FACTS.glob("*.csv"))
    assert copies == ["meta_error_codes.csv", "runbook_error_matrix.csv"]
    for name in copies:
        if (originals / name).is_file():
            assert (FACTS / name).read_bytes() == (originals / name).read_bytes()


@pytest.mark.parametrize("catalogue", Catalogue)
def test_every_rate_limit_says_whose_rate_it_is(catalogue: Catalogue) -> None:
    for meaning in CATALOGUES[catalogue]:
        assert (meaning.limits is not None) is meaning.rate_limit, meaning.code


@pytest.mark.parametrize(
    ("code", "policy", "limit"),
    [
        ("130429", ErrorPolicy.RUNBOOK, Limit.NUMBER),
        ("80007", ErrorPolicy.RUNBOOK, Limit.ORGANISATION),
        ("3", ErrorPolicy.RUNBOOK, Limit.ORGANISATION),
        ("4", ErrorPolicy.META, Limit.ACCOUNT),
        # The runbook calls 4 a passing fault of the number.
        ("4", ErrorPolicy.RUNBOOK, None),
        ("131056", ErrorPolicy.META, Limit.RECIPIENT),
        ("20429", ErrorPolicy.META, Limit.ACCOUNT),
        ("sendgrid_429", ErrorPolicy.META, Limit.ACCOUNT),
    ],
)
def test_a_rate_limit_concerns_those_whose_rate_it_is(
    code: str, policy: ErrorPolicy, limit: Limit | None
) -> None:
    assert classify(code, 429, policy).limits is limit


def test_a_wait_that_a_source_names_is_in_seconds() -> None:
    waits = {row.code: row.wait_s for rows in CATALOGUES.values() for row in rows if row.wait_s}
    assert waits["131049"] == 24 * 3600
    assert waits["134101"] == 600
    assert min(waits.values()) >= 60


@pytest.mark.parametrize("catalogue", Catalogue)
def test_a_rate_limit_never_asks_for_an_immediate_retry(catalogue: Catalogue) -> None:
    limits = [meaning for meaning in CATALOGUES[catalogue] if meaning.rate_limit]
    assert limits
    assert {meaning.retryable for meaning in limits} == {Retryable.AFTER_WAIT}


def test_the_policy_decides_whose_word_on_a_code_counts() -> None:
    runbook = explain("131031", ErrorPolicy.RUNBOOK)
    meta = explain("131031", ErrorPolicy.META)
    assert runbook is not None
    assert meta is not None
    assert (runbook.category, runbook.retryable) == (Category.RECIPIENT, Retryable.NO)
    assert (meta.category, meta.retryable) == (Category.POLICY, Retryable.AFTER_FIX)


@pytest.mark.parametrize("policy", ErrorPolicy)
@pytest.mark.parametrize("code", ["131056", "CIRCUIT_BREAKER_OPEN", "21610"])
def test_a_code_that_only_one_catalogue_has_is_explained_under_both_policies(
    code: str, policy: ErrorPolicy
) -> None:
    meaning = explain(code, policy)
    assert meaning is not None
    assert list(meanings(code).values()) == [meaning]


def test_a_catalogue_that_only_says_unknown_gives_way_to_one_that_knows() -> None:
    meaning = explain("130", ErrorPolicy.META)
    assert meaning is not None
    assert meaning.category is Category.RATE_LIMIT


def test_a_code_inside_metas_permission_range_is_explained_by_the_range() -> None:
    meaning = explain("294", ErrorPolicy.RUNBOOK)
    assert meaning is not None
    assert (meaning.code, meaning.category) == ("294", Category.AUTH)
    assert agreement("294") is Agreement.META_ONLY


def test_the_code_outweighs_the_http_status() -> None:
    assert classify("131021", 500, ErrorPolicy.RUNBOOK).retryable is Retryable.NO
    assert classify("131016", 400, ErrorPolicy.RUNBOOK).retryable is Retryable.YES


@pytest.mark.parametrize("policy", ErrorPolicy)
@pytest.mark.parametrize(
    ("http_status", "fate"),
    [
        (429, Retryable.AFTER_WAIT),
        (408, Retryable.YES),
        (500, Retryable.YES),
        (599, Retryable.YES),
        (400, Retryable.NO),
        (404, Retryable.NO),
        (600, Retryable.NO),
        (None, Retryable.NO),
    ],
)
@pytest.mark.parametrize("code", ["999999", "506", None])
def test_a_code_that_nobody_explains_gets_its_fate_from_the_http_status(
    code: str | None, http_status: int | None, fate: Retryable, policy: ErrorPolicy
) -> None:
    meaning = classify(code, http_status, policy)
    assert meaning.retryable is fate
    assert meaning.category is Category.UNKNOWN
    assert meaning.rate_limit is (http_status == 429)
    assert meaning.limits is (Limit.ACCOUNT if http_status == 429 else None)


@pytest.mark.parametrize(
    ("code", "http_status", "shown"),
    [
        ("999999", 500, "999999"),
        (None, 503, "http_503"),
        (None, None, "unknown"),
        ("", 500, "http_500"),
    ],
)
def test_an_unexplained_failure_keeps_a_code_to_count_it_by(
    code: str | None, http_status: int | None, shown: str
) -> None:
    assert classify(code, http_status, ErrorPolicy.RUNBOOK).code == shown


def test_the_two_catalogues_differ_on_28_of_the_runbooks_47_codes() -> None:
    verdicts = [agreement(code) for code in RUNBOOK_FACTS]
    assert len(verdicts) == 47
    assert verdicts.count(Agreement.DIFFERENT) == 28
    assert verdicts.count(Agreement.SAME) == 8
    assert verdicts.count(Agreement.RETRY_DIFFERS) == 3
    assert verdicts.count(Agreement.PARTIAL) == 4
    assert verdicts.count(Agreement.RUNBOOK_ONLY) == 4


def test_codes_of_which_the_catalogues_say_the_same_have_the_same_fate() -> None:
    same = [code for code in RUNBOOK_FACTS if agreement(code) is Agreement.SAME]
    for code in same:
        fates = {meaning.retryable for meaning in meanings(code).values()}
        assert len(fates) == 1, code
