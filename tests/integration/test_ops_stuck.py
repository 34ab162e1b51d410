"""`outbound-slo ops stuck list` and `explain`: the exporter's own rules, and what is printed."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from operations.stuck_looking import over_stuck
from outbound_slo.database import load_queries
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.integration.test_ops_status import check_transcript, revive, steady
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed

TROUBLE = Path(__file__).with_name("ops_trouble.sql").read_text("utf-8")
EDGES = Path(__file__).with_name("ops_edges.sql").read_text("utf-8")
PACK = load_queries("exporter", "packs/outbound/state.sql")


@pytest.fixture(scope="module")
def night(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    """Give the bad night, with messages at every edge of the rules."""
    url = postgres_server.create_database("ops_stuck", template=template_database)
    with psycopg.connect(url) as connection:
        connection.execute(TROUBLE.encode())
        connection.execute(EDGES.encode())
    yield Operator(url)
    postgres_server.drop_database("ops_stuck")


def test_the_rules_are_those_of_the_exporters_pack(night: Operator) -> None:
    values = {"org_id": None, "ceiling": None}
    with psycopg.connect(night.database) as connection:
        # One transaction, one now().
        theirs = connection.execute(PACK["stuck"].encode()).fetchall()
        ours = connection.execute(over_stuck("stuck_counts").encode(), values).fetchall()
        each = connection.execute(PACK["stuck_messages"].encode()).fetchall()
        listed = connection.execute(
            over_stuck("stuck_list").encode(),
            values | {"channel": None, "reason": None, "limit": 10_000},
        ).fetchall()

    assert sorted(theirs) == sorted((c.lower(), s.lower(), r, n) for c, s, r, n in ours)
    assert {reason for _, _, reason, _ in theirs} == {
        "sending_too_long", "overdue", "queued_too_long", "no_progress",
    }  # fmt: skip
    assert dict(each) == Counter(row[5].lower() for row in listed)


def test_planned_waits_are_not_stuck(night: Operator) -> None:
    listed = night.run("stuck", "list", "--limit", "10000", "--json").json()["messages"]

    assert {one["template"] for one in listed} == {
        "appointment_reminder", "stuck_overdue", "stuck_since_hours", "stuck_without_progress",
        "stuck_sending",
    }  # fmt: skip


@pytest.mark.parametrize("columns", [100, 60])
def test_the_list_to_the_letter(night: Operator, columns: int) -> None:
    operator = Operator(night.database, columns)
    printed = operator.run("stuck", "list", "--limit", "6")

    assert (printed.code, printed.err) == (0, "")
    assert max(map(len, printed.out.splitlines())) <= columns
    check_transcript(f"stuck_list_{columns}", steady(printed.out, night.database))


def test_the_list_by_reason_channel_and_organisation(night: Operator) -> None:
    def pick(*options: str) -> set[str]:
        document = night.run("stuck", "list", *options, "--json").json()
        check_printed("stuck_list", document)
        assert sum(one["messages"] for one in document["summary"]) >= len(document["messages"])
        return {one["template"] for one in document["messages"]}

    assert pick("--reason", "no_progress") == {"stuck_without_progress"}
    assert pick("--channel", "email") == {"stuck_overdue", "stuck_sending"}
    assert pick("--org", "edge", "--channel", "whatsapp") == {
        "stuck_since_hours", "stuck_without_progress",
    }  # fmt: skip
    assert pick("--org", "nobody") == set()
    assert night.run("stuck", "list", "--org", "nobody").out == "Nothing is stuck.\n"
    assert night.run("stuck", "list", "--reason", "bored").code == 2


def test_retries_that_are_overdue_are_told_as_000_does(night: Operator) -> None:
    rows = night.run("stuck", "list", "--org", "edge", "--json").json()["messages"]
    told = {one["template"]: (one["retry"], one["next_retry_at"] is None) for one in rows}

    assert told["stuck_without_progress"] == ("overdue", False)
    assert told["stuck_overdue"] == ("none", True)
    assert told["stuck_sending"] == (None, True)


def test_the_root_causes_to_the_letter(night: Operator) -> None:
    revive(night)
    printed = night.run("stuck", "explain")

    assert (printed.code, printed.err) == (1, "")
    check_transcript("stuck_explain_all", steady(printed.out, night.database))


def test_the_root_causes_as_a_document(night: Operator, database: str) -> None:
    revive(night)
    printed = night.run("stuck", "explain", "--json")
    document = printed.json()
    quiet = Operator(database).run("stuck", "explain", "--json")

    check_printed("stuck_causes", document)
    check_printed("stuck_causes", quiet.json())
    assert (printed.code, quiet.code) == (1, 0)
    assert document["resends_held"] == ["WHATSAPP"]
    assert {one["alert"] for one in document["causes"]} == {
        "WhatsAppProviderDown", "WhatsAppWebhookSignatureFailures", "WhatsAppQuotaHigh",
    }  # fmt: skip
    [sending] = [
        one
        for one in document["stuck"]
        if one["status"] == "SENDING" and one["channel"] == "WHATSAPP"
    ]
    assert (sending["messages"], sending["organisations"], sending["attempts"]) == (3, 1, 1.0)
    assert 41 * 60 < sending["seconds"] < 43 * 60
    nothing = Operator(database).run("stuck", "explain").out
    assert re.search(r"^Nothing is stuck\.$", nothing, re.MULTILINE)
