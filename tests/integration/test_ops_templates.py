"""`ops templates`: what queued messages use, held against what Meta has."""

import re

import psycopg
import pytest

from outbound_slo.database import load_queries
from tests.ops_parts import Printed
from tests.ops_provider_parts import (
    KEY,
    WABA,
    StubServer,
    add_organisation,
    execute,
    read_json,
    run,
    use_providers,
)


def add_messages(
    database: str, template: str, count: int = 1, *, org: str = "org", **changes: str
) -> None:
    columns = {
        "status": "QUEUED",
        "created_at": "now",
        "payload_json": "{}",
        "channel": "WHATSAPP",
    } | changes
    execute(
        database,
        "INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,"
        " created_at, payload_json) SELECT %s, %s, '+33600000000', %s, %s, %s::timestamptz,"
        " %s::jsonb FROM generate_series(1, %s)",
        org,
        columns["channel"],
        template,
        columns["status"],
        columns["created_at"],
        columns["payload_json"],
        count,
    )


def ask_templates(database: str, url: str, *arguments: str, **more: str) -> Printed:
    settings = use_providers(url) | {"DATABASE_URL": database} | more
    return run("templates", *arguments, **settings)


def test_each_used_template_is_held_against_metas(simulator: str, accounts: str) -> None:
    add_messages(accounts, "appointment_reminder", 3)
    add_messages(accounts, "appointment_reminder", 2, status="DELIVERED")
    add_messages(accounts, "visit_reminder", 2)
    add_messages(accounts, "visit_reminder", payload_json='{"language": "fr"}')
    add_messages(accounts, "urgent_alert", 4)
    add_messages(accounts, "welcome")
    add_messages(accounts, "appointment_remainder")
    add_messages(accounts, "no_such_thing_at_all", status="FAILED")
    # Neither of an earlier week nor of another channel.
    add_messages(accounts, "forgotten", status="SENT", created_at="2020-01-01")
    add_messages(accounts, "by_sms", channel="SMS")
    done = ask_templates(accounts, simulator, "--json")
    assert done.code == 1
    body = read_json(done, "templates")
    found = {
        (each["name"], each["language"]): (
            each["state"],
            each["status"],
            each["near"],
            each["queued"],
            each["recent"],
        )
        for each in body["templates"]
    }
    assert found == {
        ("appointment_reminder", "en"): ("approved", "APPROVED", None, 3, 5),
        ("visit_reminder", "en"): ("wrong_language", None, "fr", 2, 2),
        ("visit_reminder", "fr"): ("approved", "APPROVED", None, 1, 1),
        ("urgent_alert", "en"): ("refused", "PAUSED", None, 4, 4),
        ("welcome", "en"): ("case_differs", None, "Welcome", 1, 1),
        ("appointment_remainder", "en"): ("missing", None, "appointment_reminder", 1, 1),
        ("no_such_thing_at_all", "en"): ("missing", None, None, 0, 1),
    }
    # What can't be sent comes first, and what holds up most messages before the rest.
    assert [each["name"] for each in body["templates"]][:2] == ["urgent_alert", "visit_reminder"]
    assert body["accounts"] == [{"business_account_id": WABA, "templates": 5, "fault": None}]


def test_only_unsent_messages_and_one_organisation(simulator: str, accounts: str) -> None:
    add_messages(accounts, "appointment_reminder")
    add_messages(accounts, "gone", status="FAILED")
    add_messages(accounts, "gone", org="other")
    assert ask_templates(accounts, simulator, "--org", "org", "--days", "0").code == 0
    assert ask_templates(accounts, simulator, "--org", "org").code == 1
    assert ask_templates(accounts, simulator, "--days", "0").code == 1


def test_the_sentences_for_people(simulator: str, accounts: str) -> None:
    for template in ("visit_reminder", "urgent_alert", "welcome", "appointment_remainder"):
        add_messages(accounts, template)
    execute(
        accounts,
        "INSERT INTO whatsapp_template (business_account_id, name, language, status, status_at)"
        " VALUES (%s, 'urgent_alert', 'en', 'APPROVED', '2026-11-22 10:00Z')",
        WABA,
    )
    for columns, screen in ((100, WIDE), (60, NARROW)):
        done = ask_templates(accounts, simulator, COLUMNS=str(columns))
        assert done.code == 1
        lines = [line.rstrip() for line in done.out.splitlines()]
        assert max(map(len, lines)) <= columns
        assert "\n".join(lines) == screen


def test_an_empty_queue_uses_no_template(simulator: str, accounts: str) -> None:
    done = ask_templates(accounts, simulator)
    assert (done.code, done.out) == (0, "No template is in use\n")


def lay_page(stub: StubServer, names: list[str], paging: object) -> None:
    data = [{"name": name, "language": "en", "status": "APPROVED"} for name in names]
    stub.lay(f"/v26.0/{WABA}/message_templates", {"data": data, "paging": paging})


def test_pages_are_followed_by_cursor_or_at_the_same_host(stub: StubServer, accounts: str) -> None:
    for name in ("one", "two", "three"):
        add_messages(accounts, name)
    path = f"/v26.0/{WABA}/message_templates"
    elsewhere = {"cursors": {"after": "AAA"}, "next": "https://graph.example/next"}
    lay_page(stub, ["one"], elsewhere)
    lay_page(stub, ["two"], {"next": f"{stub.url}{path}?access_token=planted&after=BBB&limit=250"})
    lay_page(stub, ["three"], {"cursors": {"after": "CCC"}})
    done = ask_templates(accounts, stub.url)
    assert done.code == 0
    first, second, third = [query for query, _ in stub.asked]
    assert "after=AAA" in second
    assert "after=BBB" in third
    assert "after" not in first
    assert "planted" not in third
    assert {bearer for _, bearer in stub.asked} == {"Bearer access-token"}


@pytest.mark.parametrize(
    ("paging", "fault"),
    [
        ({"next": "https://graph.example/next?after=B"}, "lies elsewhere, not followed"),
        ({"next": "http://[::1"}, "lies elsewhere, not followed"),
        ({"next": "x", "cursors": {"after": "A"}}, "is the same page"),
    ],
)
def test_pages_that_lead_astray_are_not_followed(
    stub: StubServer, accounts: str, paging: object, fault: str
) -> None:
    add_messages(accounts, "one")
    lay_page(stub, ["one"], paging)
    done = ask_templates(accounts, stub.url, "--json")
    assert done.code == 1
    body = read_json(done, "templates")
    assert fault in body["accounts"][0]["fault"]
    assert [each["state"] for each in body["templates"]] == ["unknown"]
    assert len(stub.asked) <= 2


def test_pages_without_end_are_left(
    stub: StubServer, accounts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.templates.MOST_PAGES", 3)
    add_messages(accounts, "one")
    for number in range(4):
        lay_page(stub, ["one"], {"next": "x", "cursors": {"after": f"page-{number}"}})
    done = ask_templates(accounts, stub.url)
    assert done.code == 1
    assert "more than 3 pages of templates" in done.out
    assert len(stub.asked) == 3


def test_an_account_that_meta_refuses_leaves_templates_unknown(
    simulator: str, accounts: str
) -> None:
    add_messages(accounts, "appointment_reminder")
    done = ask_templates(accounts, simulator, WHATSAPP_ACCESS_TOKEN="planted-token")
    assert done.code == 1
    assert f"Meta, account {WABA}: HTTP 401, code 190" in done.out
    assert "planted" not in done.out
    nameless = ask_templates(accounts, simulator, WHATSAPP_BUSINESS_ACCOUNT_ID="")
    assert nameless.code == 1
    assert "no business account is known" in nameless.out


def test_an_account_is_listed_with_the_token_that_meta_takes(simulator: str, accounts: str) -> None:
    add_organisation(accounts, "a-stale", "2001", "planted-stale")
    add_organisation(accounts, "b-good", "2002", "access-token")
    for org in ("a-stale", "b-good"):
        add_messages(accounts, "appointment_reminder", org=org)
    done = ask_templates(accounts, simulator, "--json", OUTBOUND_SECRETS_KEY=KEY)
    assert done.code == 0
    states = [each["state"] for each in read_json(done, "templates")["templates"]]
    assert states == ["approved", "approved"]


WIDE = """\
Templates in use

 Template                     Org   At Meta          Unsent   7 days
 ───────────────────────────────────────────────────────────────────
 appointment_remainder (en)   org   missing               1        1
 urgent_alert (en)            org   refused               1        1
 visit_reminder (en)          org   wrong language        1        1
 welcome (en)                 org   case differs          1        1

appointment_remainder (en): Meta has none of that name; appointment_reminder is near
urgent_alert (en): Meta has it as PAUSED; its messages fail until it is approved
urgent_alert (en): a webhook told APPROVED at 2026-11-22 10:00:00Z
visit_reminder (en): Meta has it in fr, not in en
welcome (en): Meta has Welcome: names match exactly, with their case"""
NARROW = """\
Templates in use

 Template            Org   At Meta          Unsent   7 days
 ──────────────────────────────────────────────────────────
 appointment_remai   org   missing               1        1
 nder (en)
 urgent_alert (en)   org   refused               1        1
 visit_reminder      org   wrong language        1        1
 (en)
 welcome (en)        org   case differs          1        1

appointment_remainder (en): Meta has none of that name;
appointment_reminder is near
urgent_alert (en): Meta has it as PAUSED; its messages fail
until it is approved
urgent_alert (en): a webhook told APPROVED at 2026-11-22
10:00:00Z
visit_reminder (en): Meta has it in fr, not in en
welcome (en): Meta has Welcome: names match exactly, with
their case"""


@pytest.mark.parametrize("org_ids", [None, ["org"]])
def test_no_question_reads_messages_that_are_long_gone(
    accounts: str, org_ids: list[str] | None
) -> None:
    """At size: of 60,000 messages, those that wait and those of the last days are read."""
    with psycopg.connect(accounts, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO outbound_message (org_id, channel, to_recipient, template_code, status,"
            " created_at) SELECT 'org', 'WHATSAPP', '+' || n, 'hello',"
            " CASE WHEN n % 100 = 0 THEN 'QUEUED' ELSE 'DELIVERED' END,"
            " now() - n * interval '2 minutes' FROM generate_series(1, 60000) AS n"
        )
        connection.execute("VACUUM ANALYZE outbound_message")
        statement = load_queries("operations", "sql/providers.sql")["read_used_templates"]
        values = {"days": 2, "language": "en", "org_ids": org_ids}
        explain = b"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "
        rows = connection.execute(explain + statement.encode(), values).fetchall()
        connection.execute("TRUNCATE outbound_message CASCADE")
    plan = "\n".join(row[0] for row in rows)

    assert "Seq Scan on outbound_message" not in plan
    read = [
        (int(rows), int(loops))
        for rows, loops in re.findall(r"Scan.* on outbound_message.*rows=(\d+) loops=(\d+)", plan)
    ]
    assert len(read) >= 2
    assert sum(rows * loops for rows, loops in read) < 5000
    removed = re.findall(r"Rows Removed by (?:Filter|Index Recheck): (\d+)", plan)
    assert sum(map(int, removed)) < 5000
