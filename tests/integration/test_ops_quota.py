"""`ops quota`: what is shown, what is changed, what is refused, and what an undo brings back."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from operations.quota_changes import take_share
from operations.quotas import list_limit_codes
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.ops_parts import Operator
from tests.ops_provider_parts import read_json


@pytest.fixture(scope="module")
def quota_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    yield postgres_server.create_database("quotas", template=template_database)
    postgres_server.drop_database("quotas")


@pytest.fixture
def ops(quota_database: str) -> Operator:
    with psycopg.connect(quota_database, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE outbound_message, outbound_attempt, whatsapp_rate_limit, dossier, message,"
            " outbound_operation, outbound_operation_row"
        )
    return Operator(quota_database)


def give_quota(ops: Operator, org: str, used: int, limit: int, **more: str | None) -> None:
    """Insert a quota; `reset` and `throttle` are intervals from now."""
    ops.execute(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, reset_at,"
        " throttle_until) VALUES (%s, %s, %s, now() + %s::interval, now() + %s::interval)",
        org,
        used,
        limit,
        more.get("reset", "6 hours"),
        more.get("throttle"),
    )


def read_quota(ops: Operator, org: str) -> dict[str, Any]:
    found: dict[str, Any] = ops.ask(
        "SELECT to_jsonb(q) - ARRAY['freed_at', 'created_at', 'last_request_at']"
        " FROM whatsapp_rate_limit AS q WHERE org_id = %s",
        org,
    )
    return found


def queue(ops: Operator, count: int, **more: Any) -> list[int]:  # noqa: ANN401 - Operator.add's own
    return ops.add(count, **({"status": "QUEUED", "code": None, "attempts": 0} | more))


def test_quotas_that_run_out_are_shown_with_what_uses_them(ops: Operator) -> None:
    give_quota(ops, "over", 960, 1000)
    give_quota(ops, "high", 701, 1000)
    give_quota(ops, "low", 700, 1000)
    give_quota(ops, "full", 1000, 1000)
    give_quota(ops, "slowed", 1, 1000, throttle="30 minutes")
    give_quota(ops, "stopped", 0, 0)
    give_quota(ops, "ended", 900, 1000, reset="-1 minute")
    queue(ops, 3, org="full", code="quota_exhausted")
    ops.execute("UPDATE outbound_message SET scheduled_at = now() + interval '6 hours'")
    queue(ops, 2, org="full")
    body = read_json(ops.run("quota", "show", "--json"), "quota_show")
    assert {each["org_id"]: each["state"] for each in body["quotas"]} == {
        "stopped": "used up",
        "full": "used up",
        "over": "over 95 %",
        "ended": "window over",
        "high": "over 70 %",
        "slowed": "throttled",
    }
    full = next(each for each in body["quotas"] if each["org_id"] == "full")
    assert (full["percent"], full["queued"], full["held"]) == (100, 5, 3)
    assert full["hours_until_reset"] == pytest.approx(6, abs=0.1)
    everyone = read_json(ops.run("quota", "show", "--above", 0, "--json"), "quota_show")
    assert "low" in [each["org_id"] for each in everyone["quotas"]]
    one = read_json(ops.run("quota", "show", "--org", "low", "--json"), "quota_show")
    assert [each["state"] for each in one["quotas"]] == ["ok"]


def test_limit_errors_dossiers_and_hours_are_counted(ops: Operator) -> None:
    give_quota(ops, "org", 10, 100)
    ops.execute("INSERT INTO dossier (id, org_id) VALUES (7, 'org')")
    ops.add(2, code="130", age="10 minutes")
    ops.add(1, code="130429", age="10 minutes", status="QUEUED")
    ops.add(4, code="130", age="70 minutes")
    ops.add(3, code="131026", age="10 minutes")
    ops.execute("UPDATE outbound_message SET dossier_id = 7 WHERE error_code = '131026'")
    ops.add(5, status="DELIVERED", code=None, attempts=1, outcome="SENT", age="3 hours")
    body = read_json(ops.run("quota", "show", "--org", "org", "--json"), "quota_show")
    assert [(each["org_id"], each["errors"]) for each in body["rate_limit_errors"]] == [("org", 3)]
    assert [(each["dossier_id"], each["messages"]) for each in body["dossiers"]] == [
        (7, 3),
        (None, 3),
    ]
    assert [each["messages"] for each in body["hours"]] == [5]
    few = read_json(ops.run("quota", "show", "--top", 1, "--json"), "quota_show")
    assert len(few["dossiers"]) == 1
    assert few["hours"] == []


def test_the_runbooks_four_codes_are_limits_and_the_houses_own_are_not() -> None:
    codes = list_limit_codes(ErrorPolicy.RUNBOOK)
    assert {"130", "3", "132069", "80007", "130429", "RATE_LIMIT_EXCEEDED"} <= set(codes)
    assert not {"quota_exhausted", "throttled", "131026"} & set(codes)
    # By Meta's own list this one is a template's Flow.
    assert "132069" not in list_limit_codes(ErrorPolicy.META)


def test_raising_is_written_down_repeated_without_harm_and_taken_back(ops: Operator) -> None:
    give_quota(ops, "org", 950, 1000)
    before = read_quota(ops, "org")
    assert ops.run("quota", "raise", "org", 5000, "--dry-run").code == 0
    assert read_quota(ops, "org") == before
    done = ops.change("quota", "raise", "org", 5000, "--ticket", "INC-7")
    assert (done["changed"], done["updated_by"]) == (
        1,
        f"ops-{done['operation']}-quota-raise-ana-INC-7",
    )
    after = read_quota(ops, "org")
    assert (after["quota_limit"], after["updated_by"]) == (5000, done["updated_by"])
    again = ops.run("quota", "raise", "org", 5000, "--yes")
    assert (again.code, again.out) == (0, "Nothing to do: no quotas to change.\n")
    # What senders count meanwhile is no obstacle.
    ops.execute("UPDATE whatsapp_rate_limit SET messages_sent_count = 960, last_request_at = now()")
    ops.change("undo", done["operation"])
    assert read_quota(ops, "org") == before | {"messages_sent_count": 960}


def test_raising_lets_go_what_waited(ops: Operator) -> None:
    give_quota(ops, "org", 1000, 1000)
    waiting = queue(ops, 3, code="quota_exhausted")
    others = queue(ops, 1)
    ops.execute("UPDATE outbound_message SET scheduled_at = now() + interval '6 hours'")
    done = ops.change("quota", "raise", "org", 2000)
    due = "SELECT array_agg(id ORDER BY id) FROM outbound_message WHERE due_at <= now()"
    assert ops.ask(due) == waiting
    assert others
    # That it was used up and became free once more does not keep an undo from its limit.
    for count in (2000, 900):
        ops.execute("UPDATE whatsapp_rate_limit SET messages_sent_count = %s", count)
    ops.change("undo", done["operation"])
    assert read_quota(ops, "org")["quota_limit"] == 1000


def test_lowering_by_a_share_or_to_a_number(ops: Operator) -> None:
    give_quota(ops, "org", 10, 1001)
    first = ops.change("quota", "lower", "org", "--factor", "0.5")
    assert read_quota(ops, "org")["quota_limit"] == 501
    # Repeated by a tired hand it would be a quarter.
    again = ops.run("quota", "lower", "org", "--factor", "0.5", "--yes")
    assert again.code == 2
    assert "was lowered to 501" in again.err
    assert "give the limit itself" in again.err
    ops.change("quota", "lower", "org", "100")
    assert read_quota(ops, "org")["quota_limit"] == 100
    assert ops.change("undo", first["operation"])["skipped"] == {"changed_since": 1}
    assert read_quota(ops, "org")["quota_limit"] == 100


def test_a_share_is_rounded_as_the_database_does(ops: Operator) -> None:
    limits = [0, 1, 3, 999, 1000, 1001, 2_147_483_647]
    rows = ops.execute(
        "SELECT l, f::float8, (l * f)::integer"
        " FROM unnest(%s::integer[]) AS l, unnest('{0.5,0.1,0.33,1,0}'::numeric[]) AS f",
        limits,
    )
    assert [take_share(limit, factor) for limit, factor, _ in rows] == [row[2] for row in rows]


def test_resetting_is_idempotent_and_comes_back_while_nothing_was_sent(ops: Operator) -> None:
    give_quota(ops, "org", 1000, 1000, throttle="1 hour", reset="-2 hours")
    before = read_quota(ops, "org")
    done = ops.change("quota", "reset", "org")
    after = read_quota(ops, "org")
    assert (after["messages_sent_count"], after["throttle_until"]) == (0, None)
    assert ops.ask("SELECT reset_at > now() + interval '23 hours' FROM whatsapp_rate_limit")
    assert "Nothing to do" in ops.run("quota", "reset", "org", "--yes").out
    ops.change("undo", done["operation"])
    assert read_quota(ops, "org") == before
    # Another one begins where a message has been sent in the new window.
    done = ops.change("quota", "reset", "org")
    ops.execute("UPDATE whatsapp_rate_limit SET messages_sent_count = 1")
    assert ops.change("undo", done["operation"])["skipped"] == {"changed_since": 1}
    assert ops.change("quota", "reset", "org")["changed"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("raise", "orgg", 10), "Did you mean org?"),
        (("raise", "nobody", 10), "has no row in whatsapp_rate_limit"),
        (("show", "--org", "nobody"), "has no row in whatsapp_rate_limit"),
        (("reset", "nobody"), "has no row in whatsapp_rate_limit"),
        (("raise", "org", 999), "Use 'outbound-slo ops quota lower org 999'"),
        (("lower", "org", 1001), "Use 'outbound-slo ops quota raise org 1001'"),
        (("lower", "org"), "002 halves it: --factor 0.5"),
        (("lower", "org", 5, "--factor", 0.5), "one of them"),
        (("raise", "org", 2000), "Look with --dry-run, then add --yes"),
    ],
)
def test_mistakes_change_nothing(ops: Operator, arguments: tuple[object, ...], words: str) -> None:
    give_quota(ops, "org", 10, 1000)
    before = read_quota(ops, "org")
    done = ops.run("quota", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert read_quota(ops, "org") == before
    assert ops.ask("SELECT count(*) FROM outbound_operation") == 0


def test_warnings_before_yes(ops: Operator) -> None:
    give_quota(ops, "org", 950, 1000, throttle="1 hour")
    raised = ops.run("quota", "raise", "org", 1100, "--dry-run").out
    assert "86 % of the new limit is used already" in raised
    assert "still throttled until" in raised
    lowered = ops.run("quota", "lower", "org", 900, "--dry-run").out
    assert "nothing more goes, urgent or not, until" in lowered
    assert "approval" not in ops.run("quota", "reset", "org", "--dry-run").out


def test_deferring_leaves_alone_what_002_spares_and_what_cannot_wait(ops: Operator) -> None:
    news = queue(ops, 3, template="newsletter")
    ops.execute("UPDATE outbound_message SET turn = 'WOKEN' WHERE id = %s", news[0])
    spared = queue(ops, 1, template="urgent_alert") + queue(ops, 1)
    urgent = queue(ops, 1, template="newsletter")
    ops.execute("UPDATE outbound_message SET priority = 0 WHERE id = ANY (%s)", urgent)
    sms = queue(ops, 1, template="newsletter", channel="SMS")
    free_form = queue(ops, 1, template="newsletter")
    ops.execute("UPDATE outbound_message SET template_code = NULL WHERE id = ANY (%s)", free_form)
    dying = queue(ops, 1, template="newsletter")
    ops.execute(
        "UPDATE outbound_message SET expires_at = now() + interval '1 hour' WHERE id = ANY (%s)",
        dying,
    )
    later = queue(ops, 1, template="newsletter")
    ops.execute(
        "UPDATE outbound_message SET scheduled_at = now() + interval '9 hours' WHERE id = ANY (%s)",
        later,
    )
    done = ops.run("quota", "defer", "--dry-run", "--json").json()
    assert done["keys"] == news
    assert done["warnings"] == ["1 are left alone: they would expire meanwhile"]
    changed = ops.change("quota", "defer")
    assert changed["changed"] == 3
    still = [*spared, *urgent, *sms, *free_form, *dying]
    due = "SELECT array_agg(id ORDER BY id) FROM outbound_message WHERE due_at <= now()"
    assert ops.ask(due) == sorted(still)
    assert ops.ask(
        "SELECT bool_and(due_since = due_at AND turn = 'OPEN' AND scheduled_at BETWEEN"
        " now() + interval '3 hours 59 minutes' AND now() + interval '4 hours')"
        " FROM outbound_message WHERE id = ANY (%s)",
        news,
    )


def test_a_campaign_is_deferred_by_its_templates(ops: Operator) -> None:
    numbers = {
        name: ops.add(1, status="QUEUED", attempts=0, code=None, template=name)[0]
        for name in ("autumn", "winter", "appointment_reminder", "news")
    }
    named = ("--template", "autumn", "--template", "appointment_reminder")
    dry = ops.run("quota", "defer", *named, "--dry-run", "--json").json()
    assert dry["keys"] == [numbers["autumn"], numbers["appointment_reminder"]]
    assert dry["effect"].endswith("; urgent ones and those of other templates go on")
    done = ops.change("quota", "defer", "--template", "winter", "--hours", "4")
    assert done["changed"] == 1
    waits = "SELECT id FROM outbound_message WHERE scheduled_at > now() + interval '3 hours'"
    assert ops.execute(waits) == [(numbers["winter"],)]
    for other in (("--except-template", "news"), ("--end",)):
        refused = ops.run("quota", "defer", "--template", "winter", *other)
        assert (refused.code, "goes with neither" in refused.err) == (2, True)


def test_deferring_again_puts_nothing_off_further(ops: Operator) -> None:
    queue(ops, 2, template="newsletter")
    ops.change("quota", "defer", "--hours", 4)
    again = ops.run("quota", "defer", "--hours", 8, "--dry-run", "--json").json()
    assert (again["rows"], again["warnings"]) == (
        0,
        ["2 are left alone: they are deferred already"],
    )


def test_templates_that_are_named_are_spared_instead(ops: Operator) -> None:
    queue(ops, 1, template="newsletter")
    reminder = queue(ops, 1, template="appointment_reminder")
    queue(ops, 1, template="newsletter", org="other")
    arguments = ("--except-template", "newsletter", "--org", "org", "--dry-run", "--json")
    assert ops.run("quota", "defer", *arguments).json()["keys"] == reminder


@pytest.mark.parametrize("way", ["undo", "end"])
def test_what_was_deferred_goes_as_it_was_planned_before(ops: Operator, way: str) -> None:
    at_once, soon, held = (queue(ops, 1, template="newsletter")[0] for _ in range(3))
    ops.execute(
        "UPDATE outbound_message SET scheduled_at = now() + interval '1 hour' WHERE id = %s", soon
    )
    ops.execute(
        "UPDATE outbound_message SET scheduled_at = now() + interval '2 hours',"
        " error_code = 'quota_exhausted', error_message = 'used up' WHERE id = %s",
        held,
    )
    before = ops.picture([at_once, soon, held])
    done = ops.change("quota", "defer")
    assert done["changed"] == 3
    # A larger quota does not end what a person has put off.
    give_quota(ops, "org", 10, 10)
    ops.change("quota", "raise", "org", 20)
    assert ops.ask("SELECT count(*) FROM outbound_message WHERE due_at <= now()") == 0
    if way == "undo":
        ops.change("undo", done["operation"])
        assert ops.picture([at_once, soon, held]) == before
    else:
        assert ops.change("quota", "defer", "--end")["changed"] == 3
        assert ops.execute(
            "SELECT id, scheduled_at IS NULL, due_since <= now() FROM outbound_message ORDER BY id"
        ) == [(at_once, True, True), (soon, False, False), (held, True, True)]
        assert "Nothing to do" in ops.run("quota", "defer", "--end", "--yes").out


def test_the_end_of_a_deferral_leaves_other_plans_alone(ops: Operator) -> None:
    mine, theirs = (queue(ops, 1, template="newsletter", org=org)[0] for org in ("org", "other"))
    ops.change("quota", "defer")
    replanned = queue(ops, 1, template="newsletter")[0]
    ops.execute(
        "UPDATE outbound_message SET scheduled_at = now() + interval '1 hour' WHERE id = %s",
        replanned,
    )
    assert ops.run("quota", "defer", "--end", "--dry-run", "--json").json()["keys"] == [
        mine,
        theirs,
    ]
    assert ops.change("quota", "defer", "--end", "--org", "org")["changed"] == 1
    assert ops.ask("SELECT due_at > now() FROM outbound_message WHERE id = %s", theirs)
