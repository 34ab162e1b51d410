"""The error catalogues: complete, and asked in the order that the policy says."""

import json

import pytest

from outbound_slo.catalogue import print_errors
from outbound_slo.vocabulary.errors import (
    CATALOGUES,
    Agreement,
    Catalogue,
    Category,
    ErrorPolicy,
    HouseCode,
    Retryable,
    agreement,
    classify,
    explain,
    meanings,
)
from outbound_slo.vocabulary.mistakes import UserMistake


def _codes(listed: str) -> list[str]:
    return listed.split()


RUNBOOK_FLAGS = {
    "yes": _codes("0 1 4 131005 131016 131026 132000 132001 132005 190 368 471"),
    "rate limit": _codes("3 130 132069 80007"),
    "no": _codes(
        "2 5 100 131000 131008 131009 131021 131031 131042 131045 131047 131051 131052 131053 "
        "132007 132012 132015 132016 132068 133000 133004 133005 133006 133008 133009 133010 "
        "133015 133016 135000 200 470"
    ),
}
RUNBOOK_CODES = [code for codes in RUNBOOK_FLAGS.values() for code in codes]

META_CODES = _codes(
    "0 1 2 3 4 5 10 17 33 100 102 130 190 200 201-299 341 368 470 471 506 613 80007 80008 "
    "130403 130429 130472 130497 131000 131001 131002 131005 131006 131008 131009 131016 131020 "
    "131021 131026 131030 131031 131037 131041 131042 131043 131044 131045 131047 131048 131049 "
    "131050 131051 131052 131053 131055 131056 131057 131059 131062 131063 131064 131201 131202 "
    "131204 131207 131208 131209 131210 131211 131212 131213 131214 131215 132000 132001 132005 "
    "132007 132008 132012 132015 132016 132018 132068 132069 133000 133001 133002 133003 133004 "
    "133005 133006 133007 133008 133009 133010 133015 133016 134011 134100 134101 134102 135000 "
    "136025 137000 138000 138001 138002 138003 138004 138005 138006 138007 138009 138012 138013 "
    "138018 139000 139001 139002 139003 139004 139100 139101 139102 139103 147001 147002 147003 "
    "147004 147005 200005 200006 200007 1752041 2388012 2388019 2388039 2388040 2388047 2388072 "
    "2388073 2388091 2388093 2388103 2388293 2388299 2494100 2593107 2593108"
)

RUNBOOK_002_NAMES = _codes(
    "INVALID_PHONE_NUMBER QUOTA_EXCEEDED ACCOUNT_SUSPENDED TEMPLATE_NOT_APPROVED "
    "RATE_LIMIT_EXCEEDED TEMPORARY_ERROR"
)
OTHER_PROVIDERS_CODES = _codes(
    "20003 20429 21211 21610 21635 30003 sendgrid_400 sendgrid_401 sendgrid_403 sendgrid_406 "
    "sendgrid_413 sendgrid_429 sendgrid_451 sendgrid_500 sendgrid_502 sendgrid_503 sendgrid_504"
)


@pytest.mark.parametrize(
    ("catalogue", "codes"),
    [
        (Catalogue.RUNBOOK, RUNBOOK_CODES),
        (Catalogue.META, META_CODES),
        (Catalogue.HOUSE, [*HouseCode, *RUNBOOK_002_NAMES, *OTHER_PROVIDERS_CODES]),
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


@pytest.mark.parametrize(
    ("flag", "automatic", "rate_limit"),
    [("yes", True, False), ("rate limit", True, True), ("no", False, False)],
)
def test_the_runbooks_flags_survive_the_finer_scale(
    flag: str, automatic: bool, rate_limit: bool
) -> None:
    for code in RUNBOOK_FLAGS[flag]:
        meaning = meanings(code)[Catalogue.RUNBOOK]
        assert meaning.retryable.automatic is automatic, code
        assert meaning.rate_limit is rate_limit, code


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
    verdicts = [agreement(code) for code in RUNBOOK_CODES]
    assert len(verdicts) == 47
    assert verdicts.count(Agreement.DIFFERENT) == 28
    assert verdicts.count(Agreement.SAME) == 8
    assert verdicts.count(Agreement.RETRY_DIFFERS) == 3
    assert verdicts.count(Agreement.PARTIAL) == 4
    assert verdicts.count(Agreement.RUNBOOK_ONLY) == 4


def test_codes_of_which_the_catalogues_say_the_same_have_the_same_fate() -> None:
    same = [code for code in RUNBOOK_CODES if agreement(code) is Agreement.SAME]
    for code in same:
        fates = {meaning.retryable for meaning in meanings(code).values()}
        assert len(fates) == 1, code


def test_the_command_lists_every_code_once_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors(as_json=True)
    codes = [record["code"] for record in json.loads(capsys.readouterr().out)]
    assert len(codes) == len(set(codes))
    assert set(codes) == {row.code for rows in CATALOGUES.values() for row in rows}
    assert codes[0] == "0"


def test_the_command_shows_both_meanings_of_one_code(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors("131031")
    shown = capsys.readouterr().out
    assert "Recipient is blocked" in shown
    assert "Account has been locked" in shown
    assert "different" in shown


def test_the_overview_shows_each_fate_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors()
    shown = capsys.readouterr().out
    assert "131031" in shown
    assert "after fix" in shown


def test_the_command_refuses_a_code_that_no_catalogue_has() -> None:
    with pytest.raises(UserMistake, match="'999999'"):
        print_errors("999999")
