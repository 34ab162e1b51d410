"""Watching organisations: the commands, older databases, and the way from one to the next."""

import json
import threading
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner, Result

from exporter.commands import app
from exporter.loader import load_pack
from exporter.migrations import rollup_migrations
from exporter.rollup.installation import Patience, install, remove
from exporter.rollup.organisations import MOST_WATCHED, read_watch, unwatch, watch
from exporter.rollup.verification import verify
from exporter.survey import survey
from exporter.target import own_target
from outbound_slo.database import core_migrations, migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.exporter_parts import open_service, pick, refresh_and_read, total
from tests.patience import wait_for
from tests.rollup_parts import add_messages, deliver, empty_rollup, read, settle

NAME = "outbound_organisation_messages_finished_total"
BEFORE = 4
"""Migrations of the rollup of the version before."""

QUICK = Patience(lock_timeout_ms=200, tries=100, pause=lambda: None)


@pytest.fixture(scope="module")
def shared(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for the commands' tests."""
    yield postgres_server.create_database("watching", template=template_database)
    postgres_server.drop_database("watching")


@pytest.fixture
def database(shared: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with psycopg.connect(shared, autocommit=True) as connection:
        empty_rollup(connection)
    monkeypatch.setenv("DATABASE_URL", shared)
    monkeypatch.setenv("COLUMNS", "200")
    return shared


@pytest.fixture
def older(empty_database: str) -> str:
    """Give an outbox with the rollup of the version before."""
    migrate(empty_database, [*core_migrations(), *rollup_migrations()[:BEFORE]])
    return empty_database


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def watched(database: str) -> list[str]:
    return [each.org_id for each in read_watch(database).organisations]


def test_commands_watch_list_and_let_go(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        add_messages(connection, org="acme")
    assert "No organisation is watched" in run("watched").output
    assert run("watch", "zeta", "acme", "acme").output == (
        "zeta is watched. It has no message yet.\nacme is watched.\n"
    )
    assert run("watch", "acme", "beta").output == (
        "acme is watched already.\nbeta is watched. It has no message yet.\n"
    )
    shown = run("watched").output
    assert [name for name in ("acme", "beta", "zeta", "Watched since") if name not in shown] == []
    assert f"3 of {MOST_WATCHED} that may be watched." in shown
    assert run("unwatch", "zeta", "beta").output == (
        "beta is not watched any more.\nzeta is not watched any more.\n"
    )
    assert watched(database) == ["acme"]


@pytest.mark.usefixtures("database")
def test_commands_write_json_for_machines() -> None:
    first = json.loads(run("watch", "zeta", "acme", "--json").output)
    since = {each["org_id"]: each["since"] for each in first["organisations"]}
    assert first["changed"] == first["without_messages"] == list(since) == ["acme", "zeta"]
    assert first["most"] == MOST_WATCHED
    # Who is watched already is watched since then, and not anew.
    again = json.loads(run("watch", "acme", "--json").output)
    assert (again["changed"], again["organisations"]) == ([], first["organisations"])
    less = json.loads(run("unwatch", "acme", "--json").output)
    assert less["changed"] == ["acme"]
    assert less["without_messages"] == []
    assert json.loads(run("watched", "--json").output)["organisations"] == [
        {"org_id": "zeta", "since": since["zeta"]}
    ]


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "a\x1b[31m", "\udcff", "x" * 129])
def test_a_name_that_can_be_no_label_is_refused_and_nothing_changed(
    database: str, name: str
) -> None:
    refused = run("watch", "acme", "--", name)
    assert isinstance(refused.exception, UserMistake)
    assert "can't be the name of an organisation" in refused.exception.what
    assert watched(database) == []


@pytest.mark.parametrize("name", ["x" * 128, "Œuvre d'État [bold]", "a,b", "-"])
def test_a_strange_name_is_taken_as_it_is(database: str, name: str) -> None:
    assert run("watch", "--", name).exit_code == 0
    assert watched(database) == [name]
    assert name[:20] in run("watched").output


def test_letting_go_of_one_who_is_not_watched_changes_nothing(database: str) -> None:
    watch(database, ["acme"])
    refused = run("unwatch", "acme", "amce")
    assert isinstance(refused.exception, UserMistake)
    assert refused.exception.what == 'Nobody watches "amce"'
    assert watched(database) == ["acme"]


def test_no_more_are_watched_than_may_be(database: str) -> None:
    names = [f"org-{number}" for number in range(MOST_WATCHED)]
    watch(database, names[:-1])
    with pytest.raises(UserMistake, match=f"{MOST_WATCHED} organisations may be watched; 49 are"):
        watch(database, ["one", "two"])
    assert len(watched(database)) == MOST_WATCHED - 1
    watch(database, names)
    with pytest.raises(UserMistake, match="and 1 would come"):
        watch(database, ["one"])
    assert watch(database, names[:1]).changed == []
    unwatch(database, names[:1])
    assert watch(database, ["one"]).changed == ["one"]


def test_two_who_watch_at_once_do_not_go_past_the_limit(database: str) -> None:
    refused = list[str]()

    def add(first: int) -> None:
        try:
            watch(database, [f"org-{number}" for number in range(first, first + 20)])
        except UserMistake as mistake:
            refused.append(mistake.what)

    threads = [threading.Thread(target=add, args=(20 * place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(watched(database)) == 40
    assert len(refused) == 2


def test_a_role_that_may_not_is_told_which_may(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE no_watcher LOGIN")
        try:
            monkeypatch.setenv("DATABASE_URL", database.replace("postgres@", "no_watcher@"))
            refused = [run(*words) for words in (["watched"], ["watch", "a"], ["unwatch", "a"])]
        finally:
            connection.execute("DROP ROLE no_watcher")
    for each in refused:
        assert isinstance(each.exception, UserMistake)
        assert "owns the outbox's tables" in each.exception.mend


def test_a_rollup_of_the_version_before_says_what_to_do_and_serves_the_rest(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", older)
    for words in (["watched"], ["watch", "a"], ["unwatch", "a"]):
        refused = run(*words)
        assert isinstance(refused.exception, UserMistake)
        assert refused.exception.mend == "Run 'outbound-slo exporter rollup install'"
    pack = load_pack("outbound", ErrorPolicy.RUNBOOK)
    troubles = {
        (finding.query, trouble.what, trouble.mend)
        for finding in survey(own_target(older, [pack])).findings
        for trouble in finding.troubles
    }
    mend = "Run 'outbound-slo exporter rollup install'"
    assert troubles == {
        (query, f"there is no table {name}", mend)
        for query, name in (
            ("organisations", "outbound_watched_organisation"),
            ("organisations", "outbound_organisation_finished"),
            ("organisation_queue", "outbound_watched_organisation"),
            ("organisation_stuck", "outbound_watched_organisation"),
            ("organisation_windows", "outbound_watched_organisation"),
        )
    }
    with psycopg.connect(older, autocommit=True) as connection, open_service(older) as service:
        settle(connection, add_messages(connection, 2), "SENT", "SENT")
        numbers = refresh_and_read(service)
        assert pick(numbers, NAME) == {}
        failed = {
            dict(labels)["query"]
            for labels, good in pick(numbers, "outbound_exporter_query_success").items()
            if not good
        }
        assert failed == {"organisations"} | {
            f"organisation_{each}" for each in ("queue", "stuck", "windows")
        }
        assert total(numbers, "outbound_messages_finished_total", outcome="sent") == 2
        install(older, QUICK)
        watch(older, ["org"])
        settle(connection, add_messages(connection, 3), "SENT", "SENT")
        numbers = refresh_and_read(service)
        assert total(numbers, NAME, org_id="org", outcome="sent") == 3
        assert total(numbers, "outbound_messages_finished_total", outcome="sent") == 5


def test_the_way_from_the_version_before_loses_nothing_under_running_senders(older: str) -> None:
    """Senders of before go on in the middle of it, with the sessions and plans that they have."""
    sent, failed, ended = list[int](), list[str](), threading.Event()

    def write(batch: int) -> None:
        try:
            with psycopg.connect(older, autocommit=True) as own:
                while not ended.is_set():
                    ids = add_messages(own, batch)
                    settle(own, ids, "SENT", "SENT")
                    deliver(own, ids)
                    sent.append(batch)
        except psycopg.Error as error:
            failed.append(str(error))

    writers = [threading.Thread(target=write, args=(batch,)) for batch in (1, 1, 3)]
    for writer in writers:
        writer.start()
    try:
        _await(sent, 10)
        applied = install(older, QUICK).applied
        watch(older, ["org"])
        done = sum(sent)
        _await(sent, len(sent) + 20)
    finally:
        ended.set()
        for writer in writers:
            writer.join()

    assert failed == []
    assert [name.partition("_")[0] for name in applied] == ["exporter/0005", "exporter/0006"]
    assert verify(older, repair=False).sound
    with psycopg.connect(older) as connection:
        assert read(connection, "finished") == {("whatsapp", "sent", ""): sum(sent)}
        row = connection.execute(
            "SELECT sum(messages)::int FROM outbound_organisation_finished WHERE org_id = 'org'"
        ).fetchone()
    # Each writer may have been in the middle of a message when the watch began.
    assert row is not None
    assert sum(sent) - done - 5 <= row[0] <= sum(sent)


def _await(sent: list[int], length: int) -> None:
    wait_for(lambda: len(sent) >= length, "messages to be sent")


def test_what_was_removed_is_gone_and_can_come_back(older: str) -> None:
    install(older, QUICK)
    watch(older, ["org"])
    with psycopg.connect(older, autocommit=True) as connection:
        settle(connection, add_messages(connection, 2), "SENT", "SENT")
        remove(older, QUICK)
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE '%organisation%'"
        ).fetchall()
        assert left == []
        settle(connection, add_messages(connection, 2), "SENT", "SENT")
        install(older, QUICK)
        assert watched(older) == []
        watch(older, ["org"])
        settle(connection, add_messages(connection), "SENT", "SENT")
        row = connection.execute("SELECT * FROM outbound_organisation_finished").fetchall()
        assert row == [("org", "WHATSAPP", "SENT", 1)]
    assert verify(older, repair=False).sound
