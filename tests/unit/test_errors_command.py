"""`outbound-slo errors`: what a person at three in the morning asks of a code."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from outbound_slo.cli import app
from outbound_slo.vocabulary.errors import CATALOGUES
from outbound_slo.vocabulary.mistakes import UserMistake

WIDE = {"COLUMNS": "200", "TERM": "dumb"}


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["errors", *arguments], env=WIDE | environment)


def _records(*arguments: str, **environment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_run(*arguments, "--json", **environment).stdout)
    return found


def test_every_code_is_listed_once() -> None:
    codes = [record["code"] for record in _records()]
    assert len(codes) == len(set(codes))
    assert set(codes) == {row.code for rows in CATALOGUES.values() for row in rows}
    assert codes[0] == "0"


def test_one_code_is_shown_with_both_meanings_and_the_one_that_counts() -> None:
    shown = _run("131031").stdout
    assert "Recipient is blocked" in shown
    assert "Account has been locked" in shown
    assert "different" in shown
    assert "in force (runbook)" in shown


def test_the_policy_changes_what_is_in_force() -> None:
    [runbook] = _records("131031")
    [meta] = _records("131031", "--policy", "meta")
    assert (runbook["in_force"], meta["in_force"]) == (runbook["runbook"], runbook["meta"])
    [variable] = _records("131031", WHATSAPP_ERROR_POLICY="meta")
    assert variable["in_force"] == meta["in_force"]


def test_the_overview_shows_each_fate_in_words() -> None:
    shown = _run().stdout
    assert "131031" in shown
    assert "after fix" in shown


def test_only_what_the_catalogues_disagree_on_is_shown_on_request() -> None:
    verdicts = {record["agreement"] for record in _records("--differs")}
    assert verdicts == {"different", "partial", "retry_differs"}
    assert len(_records("--differs")) == 28 + 4 + 3


@pytest.mark.parametrize("spelling", ["Rate Limit", "rate-limit", "rate_limit"])
def test_a_category_is_found_however_it_is_spelled(spelling: str) -> None:
    codes = {record["code"] for record in _records("--category", spelling)}
    assert {"130", "130429", "20429", "quota_exhausted"} <= codes
    assert "131031" not in codes


def test_a_category_that_is_none_is_refused_with_the_nearest() -> None:
    result = _run("--category", "Tempory")
    assert isinstance(result.exception, UserMistake)
    assert "Did you mean 'Temporary'?" in str(result.exception)


def test_a_code_and_a_filter_exclude_each_other() -> None:
    assert isinstance(_run("130", "--differs").exception, UserMistake)


def test_an_unknown_code_is_an_error_that_names_the_nearest_and_shows_its_fate() -> None:
    result = _run("13103")
    assert result.exit_code == 1
    assert "No catalogue has the error code '13103'; the nearest: " in result.stderr
    assert "131031" in result.stderr
    rows = [line.split("│")[1:5] for line in result.stdout.splitlines() if "Unknown" in line]
    assert [tuple(cell.strip() for cell in row) for row in rows] == [
        ("none", "Unknown", "no", "no"),
        ("400", "Unknown", "no", "no"),
        ("429", "Unknown", "after wait", "yes"),
        ("500", "Unknown", "yes", "no"),
    ]


def test_an_unknown_codes_fate_is_told_to_machines_too() -> None:
    result = _run("999999", "--json")
    assert result.exit_code == 1
    [record] = json.loads(result.stdout)
    assert (record["agreement"], record["in_force"]["category"]) == (None, "Unknown")
    assert record["in_force"]["retryable"] == "no"


def test_a_code_made_of_a_status_is_explained_by_it() -> None:
    [record] = _records("http_503")
    assert record["in_force"]["retryable"] == "yes"
    assert _run("http_503").exit_code == 0


def test_a_range_is_found_as_written_and_by_each_of_its_codes() -> None:
    [written], [one] = _records("201-299"), _records("294")
    assert written["meta"]["category"] == one["meta"]["category"] == "Auth"
    assert written["in_force"]["category"] == "Auth"
