"""The recovery criteria: tied to their lines both ways, and to the statements that measure them."""

import re

import pytest

from operations.verification import Scope, find_block, select_codes
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.recoveries import (
    CRITERIA,
    RATE_LIMITED,
    RECOVERIES,
    RETRIED,
    STUCK,
    TEMPORARY,
    Criterion,
    RecoveryName,
)
from outbound_slo.vocabulary.thresholds import THRESHOLDS, Use


def test_every_recovery_line_is_used_by_a_criterion_and_no_other_line_is() -> None:
    used = [criterion.line.key for criterion in CRITERIA.values()]
    drawn = [line.key for line in THRESHOLDS.values() if line.use is Use.RECOVERY]

    assert sorted(used) == sorted(drawn)


def test_every_name_has_a_recovery_of_that_name_with_criteria() -> None:
    assert list(RECOVERIES) == list(RecoveryName)
    assert all(name is recovery.name for name, recovery in RECOVERIES.items())
    assert all(recovery.criteria for recovery in RECOVERIES.values())


def test_a_key_belongs_to_one_criterion() -> None:
    every = [criterion for recovery in RECOVERIES.values() for criterion in recovery.criteria]

    assert {criterion.key for criterion in every} == set(CRITERIA)
    assert all(CRITERIA[criterion.key] is criterion for criterion in every)


def test_sentences_state_no_number_that_could_differ_from_the_line() -> None:
    assert [each.key for each in CRITERIA.values() if re.search(r"\d", each.sentence)] == [
        "refused"
    ]
    assert "401" in CRITERIA["refused"].sentence


def test_every_criterion_names_runbook_and_section() -> None:
    assert all(re.match(r"00[012], ", each.source) for each in CRITERIA.values())


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            RecoveryName.RETRY,
            [
                "> 80 %, last 30 min",
                "< 10 %, last 10 min",
                "<= 0 messages, last 10 min",
                "== 0 errors, last 10 min",
            ],
        ),
        (
            RecoveryName.QUOTA,
            [
                "== 0 errors, last 15 min",
                "> 0 attempts, last 15 min",
                "< 80 %",
                "== 0 organisations",
            ],
        ),
        (
            RecoveryName.WEBHOOKS,
            [
                "> 99.9 %, last 30 min",
                "> 0 messages, last 30 min",
                "< 60 s",
                "== 0 webhooks",
                "> 0 windows, last 30 min",
                ">= 1800 s",
            ],
        ),
    ],
)
def test_the_lines_are_those_of_runbook_001(name: RecoveryName, lines: list[str]) -> None:
    assert [criterion.tell_line() for criterion in RECOVERIES[name].criteria] == lines


def test_a_line_tells_the_time_that_was_asked_for() -> None:
    assert TEMPORARY.tell_line(90) == "== 0 errors, last 1.5 min"
    assert STUCK.tell_line() == "== 0 messages"


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=lambda criterion: criterion.key)
def test_every_criterion_has_a_statement_that_looks_back_as_its_line_says(
    criterion: Criterion,
) -> None:
    statement = load_queries("operations", "sql/verification.sql")[find_block(criterion, Scope())]

    assert ("%(window_s)s" in statement) == bool(criterion.line.hold_s)


def test_every_statement_measures_a_criterion() -> None:
    blocks = set(load_queries("operations", "sql/verification.sql")) - {"plan_by_index"}

    assert blocks == {*CRITERIA, find_block(RETRIED, Scope(operation=1))}


def test_error_codes_are_chosen_by_their_meaning() -> None:
    temporary = select_codes(TEMPORARY, ErrorPolicy.RUNBOOK)
    limits = select_codes(RATE_LIMITED, ErrorPolicy.RUNBOOK)

    # 001's lists for temporary errors and for rate limits.
    assert {"0", "1", "131016", "131026", "132001", "timeout"} <= set(temporary)
    assert {"130", "3", "132069", "80007"} <= set(limits)
    assert not set(temporary) & set(limits)
    # To Meta, 0 is a matter of the token.
    assert "0" not in select_codes(TEMPORARY, ErrorPolicy.META)
    assert select_codes(STUCK, ErrorPolicy.RUNBOOK) == ()
