"""Packs are read again by a signal or a request; what cannot be served leaves what was."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.exporter_parts import Numbers, get_numbers, pick, serving, total, write_pack
from tests.patience import wait_for

QUICK = {"OUTBOUND_METRICS_UPDATE_INTERVAL_MS": "100"}
GOOD = "outbound_exporter_config_last_reload_successful"
GOOD_AT = "outbound_exporter_config_last_reload_success_timestamp_seconds"
SEEN = "  - {name: seen_total, type: counter, help: N., query: seen, value: n}\n"
ONE = "  - {name: one, type: gauge, help: N., query: one, value: n}\n"
QUERIES = {"seen": "SELECT count(*) AS n FROM parcel", "one": "SELECT 1 AS n"}


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    yield postgres_server.create_database("reload")
    postgres_server.drop_database("reload")


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("DROP TABLE IF EXISTS parcel")
        opened.execute("CREATE TABLE parcel ()")
        opened.execute("INSERT INTO parcel SELECT FROM generate_series(1, 100)")
        yield opened


def reload(url: str) -> requests.Response:
    return requests.post(f"{url}/-/reload", timeout=30)


def test_a_request_brings_new_metrics_and_keeps_the_height_of_old_ones(
    database: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "post"
    pack = write_pack(folder, SEEN, {"seen": QUERIES["seen"]})
    with serving(database, "--pack", pack, **QUICK) as (url, _):
        # At once: who looked between the two would count up to seven after the fall.
        with connection.transaction():
            connection.execute("DELETE FROM parcel")
            connection.execute("INSERT INTO parcel SELECT FROM generate_series(1, 7)")

        def rebased() -> bool:
            return total(get_numbers(url), "outbound_exporter_counter_rebases_total") == 1

        wait_for(rebased, "the fall to be noticed")
        before = get_numbers(url)
        write_pack(folder, SEEN + ONE, QUERIES)
        answer = reload(url)
        at_once = get_numbers(url)
        wait_for(lambda: pick(get_numbers(url), "one"), "the new metric")
        connection.execute("INSERT INTO parcel SELECT FROM generate_series(1, 3)")
        height = total(before, "seen_total") + 3
        wait_for(lambda: total(get_numbers(url), "seen_total") == height, "the counter to go on")
        after = get_numbers(url)

    assert (answer.status_code, answer.text) == (200, "reloaded\n")
    assert total(at_once, "seen_total") == total(before, "seen_total") >= 100
    assert total(after, "outbound_exporter_counter_rebases_total") == 1
    assert total(after, GOOD) == 1
    assert total(after, GOOD_AT) > total(before, GOOD_AT) > 0


def test_a_malformed_pack_leaves_the_last_good_one_and_says_why(
    database: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    assert connection
    folder = tmp_path / "post"
    pack = write_pack(folder, ONE, {"one": QUERIES["one"]})
    with serving(database, "--pack", pack, **QUICK) as (url, _):
        sound = folder.joinpath("pack.yml").read_text()
        folder.joinpath("pack.yml").write_text(sound.replace("gauge", "guage"))
        refused = reload(url)
        bad = get_numbers(url)
        folder.joinpath("pack.yml").write_text(sound)
        mended = reload(url)
        good = get_numbers(url)

    assert refused.status_code == 500
    assert 'pack.yml: metrics[0].type is "guage"' in refused.text
    assert [total(page, GOOD) for page in (bad, good)] == [0, 1]
    assert [total(page, "one") for page in (bad, good)] == [1, 1]
    assert mended.status_code == 200
    assert total(good, GOOD_AT) > total(bad, GOOD_AT)


def test_a_signal_does_the_same(
    database: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    assert connection
    folder = tmp_path / "post"
    pack = write_pack(folder, ONE, {"one": QUERIES["one"]})
    with serving(database, "--pack", pack, **QUICK) as (url, pid):
        folder.joinpath("pack.yml").write_text("pack: [")
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: total(get_numbers(url), GOOD) == 0, "the bad pack to be told")
        write_pack(folder, ONE + SEEN, QUERIES)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: pick(get_numbers(url), "seen_total"), "the new metric")
        numbers = get_numbers(url)

    assert total(numbers, GOOD) == 1


def test_databases_come_and_go_with_a_reload(
    database: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    assert connection
    folder = tmp_path / "post"
    pack = write_pack(folder, ONE, {"one": QUERIES["one"]})
    plain = folder.joinpath("pack.yml").read_text()

    def name_databases(*names: str) -> None:
        entries = "".join(f"  {name}: {{url: '{database}'}}\n" for name in names)
        folder.joinpath("pack.yml").write_text(f"{plain}databases:\n{entries}")

    def shown(numbers: Numbers) -> set[str]:
        return {dict(labels)["database"] for labels in pick(numbers, "one")}

    name_databases("a", "b")
    # Both names lead to one database here, where only one of them could lead.
    with serving(database, "--pack", pack, OUTBOUND_EXPORTER_ELECTION="false", **QUICK) as (url, _):
        assert shown(get_numbers(url)) == {"a", "b"}
        name_databases("b", "c")
        assert reload(url).status_code == 200
        wait_for(lambda: shown(get_numbers(url)) == {"b", "c"}, "a to go and c to come")
