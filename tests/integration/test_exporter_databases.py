"""Several databases on one page: labelled, each with its own fate, by addresses that may change."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import yaml

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.exporter_parts import get_numbers, pick, read_text, run_exporter, serving, total
from tests.patience import wait_for

QUICK = {"OUTBOUND_METRICS_UPDATE_INTERVAL_MS": "100"}
UP = "outbound_exporter_database_up"


@pytest.fixture(scope="module")
def urls(postgres_server: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    names = {"north": 3, "south": 5}
    made = {name: postgres_server.create_database(f"several_{name}") for name in names}
    for name, url in made.items():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE parcel ()")
            connection.execute(f"INSERT INTO parcel SELECT FROM generate_series(1, {names[name]})")
    yield made
    for name in names:
        postgres_server.drop_database(f"several_{name}")


def write_pack(
    folder: Path, databases: Mapping[str, object] | None, query: Mapping[str, object] | None = None
) -> str:
    metric = {"type": "gauge", "help": "Parcels.", "query": "parcels", "value": "n"}
    document: dict[str, object] = {
        "pack": "post",
        "queries": {"parcels": {"file": "q.sql", **(query or {})}, "one": {"file": "q.sql"}},
        "metrics": [
            {"name": "parcels", **metric},
            {"name": "one", **metric, "query": "one"},
            {"name": "alias", "type": "gauge", "help": "Parcels.", "of": "parcels"},
        ],
    }
    folder.mkdir(exist_ok=True)
    folder.joinpath("pack.yml").write_text(
        yaml.safe_dump(document | ({"databases": databases} if databases else {}))
    )
    folder.joinpath("q.sql").write_text(
        "-- name: parcels\nSELECT count(*) AS n FROM parcel\n-- name: one\nSELECT 1 AS n\n"
    )
    return str(folder)


def test_a_packs_databases_are_told_apart_by_their_labels(
    tmp_path: Path, urls: dict[str, str]
) -> None:
    secret = tmp_path / "south"
    secret.write_text(urls["south"] + "\n")
    pack = write_pack(
        tmp_path / "post",
        {
            "north": {"url": "${NORTH_URL}", "labels": {"site": "n"}},
            "south": {"url": f"${{file:{secret}}}", "labels": {"site": "s"}},
        },
    )
    told = run_exporter("not needed", "--once", "--pack", pack, NORTH_URL=urls["north"])
    numbers = read_text(told.stdout)

    assert told.returncode == 0
    for name in ("parcels", "alias"):
        assert total(numbers, name, database="north", site="n") == 3
        assert total(numbers, name, database="south", site="s") == 5
    success = "outbound_exporter_query_success"
    assert total(numbers, success, database="south", query="parcels") == 1
    assert told.stdout.count("# TYPE parcels gauge") == 1


def test_a_query_runs_only_on_the_databases_that_it_names(
    tmp_path: Path, urls: dict[str, str]
) -> None:
    pack = write_pack(
        tmp_path / "post",
        {name: {"url": f"${{{name.upper()}}}"} for name in urls},
        {"databases": ["south"]},
    )
    told = run_exporter(
        "not needed", "--once", "--pack", pack, NORTH=urls["north"], SOUTH=urls["south"]
    )
    numbers = read_text(told.stdout)

    assert [dict(labels) for labels in pick(numbers, "parcels")] == [{"database": "south"}]
    assert [dict(labels) for labels in pick(numbers, "alias")] == [{"database": "south"}]
    assert len(pick(numbers, "one")) == 2


def test_databases_can_be_named_on_the_command_line(tmp_path: Path, urls: dict[str, str]) -> None:
    pack = write_pack(tmp_path / "post", None)
    options = ("--database", f"north={urls['north']}", "--database", "south=${SOUTH}")
    told = run_exporter("not needed", "--once", "--pack", pack, *options, SOUTH=urls["south"])
    numbers = read_text(told.stdout)

    assert total(numbers, "parcels", database="north") == 3
    assert total(numbers, "parcels", database="south") == 5


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("north", "no NAME=URL"),
        ("North=x", "no NAME=URL"),
        ("north=${NOT_SET_HERE}", "--database north refers to ${NOT_SET_HERE}, which is not set"),
        ("north=x=y", "--database north is malformed"),
    ],
)
def test_a_bad_database_option_is_one_line(tmp_path: Path, option: str, words: str) -> None:
    pack = write_pack(tmp_path / "post", None)
    told = run_exporter("not needed", "--once", "--pack", pack, "--database", option)

    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    assert words in told.stderr


def test_one_database_that_is_down_takes_nothing_from_the_others(
    tmp_path: Path, urls: dict[str, str]
) -> None:
    pack = write_pack(tmp_path / "post", None)
    down = "south=postgresql://postgres@127.0.0.1:1/none"
    options = ("--pack", pack, "--database", f"north={urls['north']}", "--database", down)
    with serving("not needed", *options, **QUICK) as (url, _):
        numbers = get_numbers(url)

    assert total(numbers, UP, database="north") == 1
    assert total(numbers, UP, database="south") == 0
    assert total(numbers, "parcels", database="north") == 3
    assert not pick(numbers, "parcels", database="south")
    errors = "outbound_exporter_query_errors_total"
    assert total(numbers, errors, database="south", reason="connection") > 0
    assert total(numbers, errors, database="north") == 0


def test_an_address_that_changes_in_its_file_is_used_for_the_next_connection(
    tmp_path: Path, urls: dict[str, str]
) -> None:
    secret = tmp_path / "url"
    secret.write_text(urls["north"])
    pack = write_pack(tmp_path / "post", None)
    options = ("--pack", pack, "--database", f"shop=${{file:{secret}}}")
    with serving("not needed", *options, **QUICK) as (url, _):
        assert total(get_numbers(url), "parcels") == 3
        secret.write_text(urls["south"])
        with psycopg.connect(urls["north"], autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_for(lambda: total(get_numbers(url), "parcels") == 5, "the other database")


def test_a_secret_is_in_no_message(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "post", None)
    secret = {"SHOP": "postgresql://me:hunter2@127.0.0.1:1/none"}
    malformed = {"SHOP": "postgresql://me:hunter2@[::1/none"}
    options = ("--once", "--pack", pack, "--database", "shop=${SHOP}")
    said = [run_exporter("x", *options, **given).stderr for given in (secret, malformed)]

    assert "Cannot connect to the database 127.0.0.1:1/none" in said[0]
    assert "Check --database shop" in said[0]
    assert "--database shop is malformed" in said[1]
    assert "hunter2" not in "".join(said)
