"""A retry over HTTP is an operation like any other: audited, and undone by the same command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api_stand import MESSAGES, Stand, open_stand
from tests.ops_parts import Operator


@pytest.fixture
def stand(database: str, tmp_path: Path) -> Iterator[Stand]:
    with open_stand(database, tmp_path) as opened:
        yield opened


def test_a_retry_over_http_stands_in_the_audit_and_can_be_undone(
    stand: Stand, database: str
) -> None:
    ops = Operator(database)
    number = stand.insert(status="FAILED", attempts="FAILED", error_code="131016", attempt_count=5)
    flying = stand.insert(status="SENDING", attempts="IN_FLIGHT", to_recipient="+33612345679")
    before = ops.picture([number])
    refused = stand.ask("POST", f"{MESSAGES}/{flying}/retry")
    assert refused.status_code == 409
    assert ops.ask("SELECT count(*) FROM outbound_operation") == 0
    body = {"updatedBy": "bo"}
    answer = stand.ask("POST", f"{MESSAGES}/{number}/retry", body=body)
    assert answer.status_code == 200, answer.text
    [logged] = ops.run("log", "--json").json()
    assert logged["operation"] == answer.json()["operationId"]
    assert (logged["command"], logged["operator"], logged["changed"]) == (
        "retry over HTTP",
        "bo",
        1,
    )
    assert ops.statuses([number]) == ["QUEUED"]
    ops.change("undo", logged["operation"])
    assert ops.picture([number]) == before


def test_another_organisations_message_is_neither_retried_nor_audited(
    stand: Stand, database: str
) -> None:
    number = stand.insert(status="FAILED", attempts="FAILED", org_id="another")
    assert stand.ask("POST", f"{MESSAGES}/{number}/retry").status_code == 404
    ops = Operator(database)
    assert ops.statuses([number]) == ["FAILED"]
    assert ops.run("log", "--json").json() == []
