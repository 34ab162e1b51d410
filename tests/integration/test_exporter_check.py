"""`exporter check --live` says what is missing, what it would cost, and runs nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.loader import load_pack
from exporter.migrations import ROLLUP_RELATIONS, rollup_migrations
from exporter.survey import Finding, Report, survey
from exporter.target import own_target
from outbound_slo.database import core_migrations, migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import run_exporter, write_pack

Connection = psycopg.Connection


@pytest.fixture(scope="module")
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """One database for this module; each test has a schema of its own."""
    yield postgres_server.create_database("survey")
    postgres_server.drop_database("survey")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute("DROP SCHEMA public CASCADE")
        opened.execute("CREATE SCHEMA public")
        opened.execute("GRANT USAGE ON SCHEMA public TO public")
        opened.execute("CREATE TABLE parcel (state text, weight integer)")
        yield opened


def look(
    database: str, folder: Path, statement: str, requires: str = "[parcel]", more: str = ""
) -> Finding:
    """Survey a pack of one query with one metric."""
    metric = f"""
  - {{name: parcels_total, type: counter, help: N., labels: [state], query: q, value: n{more}}}
"""
    pack = write_pack(folder / "post", metric, {"q": statement})
    document = Path(pack, "pack.yml")
    text = document.read_text().replace("{file: q.sql}", f"{{file: q.sql, requires: {requires}}}")
    document.write_text(text)
    (found,) = survey_pack(database, pack).findings
    return found


def survey_pack(database: str, folder: str) -> Report:
    return survey(own_target(database, [load_pack(folder, ErrorPolicy.RUNBOOK)]))


GOOD = "SELECT state, count(*) AS n FROM parcel GROUP BY state"


@pytest.mark.usefixtures("connection")
def test_a_query_that_fits_has_no_trouble_and_a_cost(database: str, tmp_path: Path) -> None:
    found = look(database, tmp_path, GOOD)

    assert found.troubles == ()
    assert found.plan is not None
    assert found.plan.cost > 0
    assert found.plan.rows > 0


@pytest.mark.usefixtures("connection")
def test_nothing_is_run(database: str, tmp_path: Path) -> None:
    found = look(database, tmp_path, "SELECT pg_sleep(3600)::text AS state, 1 AS n")

    assert found.troubles == ()


LACKS = [
    ("a_table", GOOD, "[parcel, van]", "no table van", "Create van"),
    ("a_column", GOOD, "{tables: {parcel: [mass]}}", "parcel has no column mass", "Add mass"),
    ("an_extension", GOOD, "{extensions: [pg_trgm]}", "no extension pg_trgm", "CREATE EXTENSION"),
    ("a_role", GOOD, "{roles: [auditor]}", "there is no role auditor", "CREATE ROLE auditor"),
    (
        "an_index",
        GOOD,
        "{indexes: {parcel_state: CREATE INDEX parcel_state ON parcel (state)}}",
        "no index parcel_state",
        "CREATE INDEX parcel_state ON parcel (state)",
    ),
    ("a_column_of_the_query", "SELECT mass FROM parcel", "[]", 'column "mass" does not', "mend"),
    ("a_column_of_the_result", "SELECT state FROM parcel", "[]", "result has no column n", "mend"),
    ("a_number", "SELECT state, state AS n FROM parcel", "[]", "is text, which is no num", "Cast"),
    ("reading", "DELETE FROM parcel RETURNING state, 1 AS n", "[]", "writes", "only reads"),
    ("a_statement", "SELEKT", "[]", "syntax error", "mend"),
]


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize(
    ("statement", "requires", "what", "mend"), [row[1:] for row in LACKS], ids=[r[0] for r in LACKS]
)
def test_what_is_missing_is_named_with_its_mend(
    database: str, tmp_path: Path, statement: str, requires: str, what: str, mend: str
) -> None:
    (trouble,) = look(database, tmp_path, statement, requires).troubles

    assert what in trouble.what
    assert mend in trouble.mend


def test_an_index_that_is_there_is_no_trouble(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    connection.execute("CREATE INDEX parcel_state ON parcel (state)")
    needs = "{indexes: {parcel_state: CREATE INDEX parcel_state ON parcel (state)}}"

    assert look(database, tmp_path, GOOD, needs).troubles == ()


def test_rights_are_asked_for_the_exporters_own_role(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    connection.execute("CREATE ROLE surveyor LOGIN")
    url = database.replace("postgres@", "surveyor@")
    needs = "{tables: [parcel], privileges: {parcel: [DELETE]}}"
    try:
        unread = look(url, tmp_path, GOOD, needs).troubles
        connection.execute("GRANT SELECT ON parcel TO surveyor")
        read = look(url, tmp_path, GOOD, needs).troubles
        connection.execute("GRANT DELETE ON parcel TO surveyor")
        granted = look(url, tmp_path, GOOD, needs).troubles
        server = survey_pack(url, str(tmp_path / "post")).server
    finally:
        connection.execute("DROP OWNED BY surveyor")
        connection.execute("DROP ROLE surveyor")

    assert [trouble.what for trouble in unread] == [
        "no right to read parcel",
        "no right to DELETE on parcel",
    ]
    assert [trouble.what for trouble in read] == ["no right to DELETE on parcel"]
    assert granted == ()
    assert "superuser" not in server
    assert "superuser" in survey_pack(database, str(tmp_path / "post")).server


def test_a_scan_of_a_large_table_is_told_with_an_index_that_mends_it(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    connection.execute(
        "INSERT INTO parcel SELECT CASE WHEN i % 1000 = 0 THEN 'new' ELSE 'gone' END, i"
        " FROM generate_series(1, 60000) AS i"
    )
    connection.execute("ANALYZE parcel")
    statement = "SELECT state, count(*) AS n FROM parcel WHERE state = 'new' GROUP BY state"
    scanned = look(database, tmp_path, statement)
    connection.execute("CREATE INDEX ON parcel (state) WHERE state = 'new'")
    connection.execute("ANALYZE parcel")
    indexed = look(database, tmp_path, statement)

    assert "reads all 60000 rows" in scanned.advice
    assert "WHERE (parcel.state = 'new'::text)" in scanned.advice
    assert scanned.troubles == ()
    assert indexed.advice == "cheap"


def test_an_exemplars_columns_are_checked_too(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    assert connection
    more = ", exemplars: {query: q, labels: {trace_id: t}, at: state}"
    troubles = look(database, tmp_path, GOOD, more=more).troubles

    assert [trouble.what for trouble in troubles] == [
        "the result has no column t, only state, n",
        "the column state is text, which is no number",
    ]


def test_machines_get_json(database: str, connection: Connection, tmp_path: Path) -> None:
    connection.execute("DROP TABLE parcel")
    metrics = "  - {name: parcels, type: gauge, help: N., query: q, value: n}\n"
    pack = write_pack(tmp_path / "post", metrics, {"q": "SELECT count(*) AS n FROM parcel"})
    told = run_exporter(database, "check", "--live", "--json", "--pack", pack)

    assert told.returncode == 1
    (asked,) = json.loads(told.stdout)["databases"]
    (query,) = asked["queries"]
    assert query["cost"] is None
    assert query["troubles"][0]["what"] == 'schema: relation "parcel" does not exist'


def test_a_new_pack_works_as_it_is_written(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    made = run_exporter(database, "new", "shop", "--dir", str(folder))
    checked = run_exporter(database, "check", "--live", "--pack", str(folder), COLUMNS="200")
    shown = run_exporter(database, "--once", "--pack", str(folder))
    again = run_exporter(database, "new", "shop", "--dir", str(folder))

    assert (made.returncode, checked.returncode, shown.returncode) == (0, 0, 0)
    assert {path.name for path in folder.iterdir()} == {
        "pack.yml",
        "shop.sql",
        "pack.schema.json",
    }
    assert 'shop_sessions{state="active"} 1.0' in shown.stdout
    assert 'shop_transactions_total{outcome="rolled_back"}' in shown.stdout
    assert again.returncode == 2
    assert "pack.yml is there already" in again.stderr


@pytest.mark.parametrize("name", ["Shop", "1shop", "my-shop", "outbound"])
def test_a_name_that_no_pack_can_have_is_refused(tmp_path: Path, name: str) -> None:
    told = run_exporter("postgresql://", "new", name, "--dir", str(tmp_path / "x"))

    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_who_has_no_rollup_is_told_how_to_get_it(empty_database: str) -> None:
    migrate(empty_database, core_migrations())
    told = run_exporter(empty_database, "check", "--live", "--json")
    rolled = run_exporter(empty_database, "rollup", "install")
    checked = run_exporter(empty_database, "check", "--live", "--json")

    (asked,) = json.loads(told.stdout)["databases"]
    troubles = [trouble for query in asked["queries"] for trouble in query["troubles"]]
    mends = {trouble["mend"] for trouble in troubles if "no table" in trouble["what"]}
    assert mends == {"Run 'outbound-slo exporter rollup install'"}
    assert (told.returncode, rolled.returncode, checked.returncode) == (1, 0, 0)


def test_who_has_no_outbox_is_told_how_to_get_it(empty_database: str) -> None:
    told = run_exporter(empty_database, "check", "--live", "--json")

    (asked,) = json.loads(told.stdout)["databases"]
    troubles = [trouble for query in asked["queries"] for trouble in query["troubles"]]
    mends = {trouble["mend"] for trouble in troubles if "no table" in trouble["what"]}
    assert mends == {
        "Run 'outbound-slo db migrate'",
        "Run 'outbound-slo exporter rollup install'",
    }
    assert told.returncode == 1


def test_the_names_of_the_rollups_relations_are_those_that_it_makes(empty_database: str) -> None:
    def read() -> set[str]:
        with psycopg.connect(empty_database) as connection:
            rows = connection.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v')"
                " AND relnamespace = 'public'::regnamespace"
            )
            return {row[0] for row in rows}

    migrate(empty_database, core_migrations())
    before = read()
    migrate(empty_database, rollup_migrations())
    assert read() - before == ROLLUP_RELATIONS
