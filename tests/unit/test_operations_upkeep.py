"""Care of the database without one: what is over a line, what migrations make, where secrets go."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from operations.archiver import find_archiver, split_conninfo
from operations.backup import name_backup
from operations.bloat import Holder, HolderKind, TableState
from operations.indexes import Condition, IndexState
from operations.output import show_size
from operations.tables import BACKED_UP, TABLES, choose_tables, plan_indexes
from outbound_slo.database import Migration
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.ops_backup_parts import make_client

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MIGRATION = """\
CREATE TABLE one (a text); -- CREATE INDEX commented ON one (a);
CREATE INDEX kept ON one (a) WHERE a = 'x';
CREATE UNIQUE INDEX gone ON one
    (a);
DROP INDEX gone;
"""
CONCURRENT = """\
-- In no transaction.

-- name: drop
DROP INDEX CONCURRENTLY IF EXISTS later

-- name: build
CREATE UNIQUE INDEX CONCURRENTLY later
    ON one (a)

-- name: next
ANALYZE one
"""


def table(
    live: int = 100_000, dead: int = 0, *, analyzed: datetime | None = NOW, frozen_age: int = 0
) -> TableState:
    return TableState("message", 3, 2, 1, live, dead, NOW, analyzed, frozen_age, 1000)


def index(name: str = "i", *, valid: bool = True, scans: int = 0, **flags: bool) -> IndexState:
    more = {"unique": False, "building": False, "toast": False} | flags
    return IndexState("message", name, "public", 8192, scans, 0, valid, **more)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (table(), []),
        (table(40_000, 10_000), ["message: 20 % of its rows are dead"]),
        (table(40_005, 10_000), []),
        # Few dead rows are no matter, whatever their share.
        (table(0, 9_999), []),
        (table(0, 0), []),
        (table(frozen_age=999), []),
        (
            table(frozen_age=1000),
            ["message: its oldest transaction lies 1,000 back, and is not frozen"],
        ),
        (table(9_999, analyzed=None), []),
        (table(10_000, analyzed=None), ["message: it was never analyzed: the planner guesses"]),
    ],
)
def test_a_table_over_a_line_is_to_be_vacuumed(state: TableState, told: list[str]) -> None:
    advice = state.advise()

    assert [each.what for each in advice] == told
    assert {each.mend for each in advice} <= {"outbound-slo ops maintenance vacuum message"}


@pytest.mark.parametrize(
    ("holder", "mend"),
    [
        (Holder(HolderKind.TRANSACTION, "7", "psql, ana", "active", 300, 1), None),
        (
            Holder(HolderKind.TRANSACTION, "7", "psql, ana", "idle in transaction", 301, 1),
            "let it end, or: SELECT pg_terminate_backend(7)",
        ),
        (Holder(HolderKind.PREPARED, "it's", "ana", "prepared", 300, 1), None),
        (
            Holder(HolderKind.PREPARED, "it's", "ana", "prepared", 301, 1),
            "ask its owner, then: ROLLBACK PREPARED 'it''s'",
        ),
        (Holder(HolderKind.SLOT, "standby", "", "active", None, 1), None),
        (
            Holder(HolderKind.SLOT, "standby", "", "inactive", None, 1),
            "if nobody will: SELECT pg_drop_replication_slot('standby')",
        ),
    ],
)
def test_who_holds_vacuum_back_for_long_is_to_go(holder: Holder, mend: str | None) -> None:
    assert [each.mend for each in holder.advise()] == ([] if mend is None else [mend])


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        (index(scans=1), Condition.USED),
        (index(), Condition.IDLE),
        (index(unique=True), Condition.USED),
        (index(toast=True), Condition.USED),
        (index(valid=False), Condition.INVALID),
        (index("i_ccnew", valid=False), Condition.LEFTOVER),
        (index("i_ccold12", valid=False), Condition.LEFTOVER),
        (index("i_ccnew", valid=False, building=True), Condition.BUILDING),
        # A name alone makes no leftover.
        (index("i_ccnew", scans=1), Condition.USED),
    ],
)
def test_an_index_has_a_condition(state: IndexState, condition: Condition) -> None:
    assert state.condition is condition


def test_indexes_are_read_from_migrations() -> None:
    planned = plan_indexes(
        [Migration("core", 1, "0001_a.sql", MIGRATION), Migration("core", 2, "b", CONCURRENT)]
    )

    assert [(each.name, each.table, each.migration, each.statement) for each in planned] == [
        ("kept", "one", ("core", 1), "CREATE INDEX CONCURRENTLY kept ON one (a) WHERE a = 'x'"),
        ("later", "one", ("core", 2), "CREATE UNIQUE INDEX CONCURRENTLY later ON one (a)"),
    ]


def test_tables_are_chosen_in_their_own_order() -> None:
    there = ["outbound_attempt", "outbound_message", "message"]

    assert choose_tables([], there) == ("outbound_message", "outbound_attempt", "message")
    assert choose_tables(["message", "outbound_message", "message"], there) == (
        "outbound_message", "message",
    )  # fmt: skip
    with pytest.raises(UserMistake, match="is no table of the outbox"):
        choose_tables(["pg_class"], there)
    with pytest.raises(UserMistake, match="The table dossier is not in this database"):
        choose_tables(["dossier"], there)


def test_001s_tables_are_in_a_backup_and_nothing_that_is_written_anew() -> None:
    assert {
        "outbound_message", "outbound_attempt", "whatsapp_rate_limit", "whatsapp_session_window",
        "outbound_message_archive",
    } <= set(BACKED_UP)  # fmt: skip
    assert {"outbound_rollup", "outbound_sender", "outbound_slo_migration"} <= (
        set(TABLES) - set(BACKED_UP)
    )


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://u:s3cret@db:6543/a?sslmode=require&keepalives_idle=30",
        "host=db port=6543 user=u password=s3cret sslmode=require dbname=a keepalives_idle=30",
    ],
)
def test_the_password_goes_through_the_environment(conninfo: str) -> None:
    plain, variables = split_conninfo(conninfo)

    assert conninfo_to_dict(plain) == {"keepalives_idle": "30"}
    assert variables == {
        "PGHOST": "db", "PGPORT": "6543", "PGDATABASE": "a", "PGUSER": "u",
        "PGPASSWORD": "s3cret", "PGSSLMODE": "require",
    }  # fmt: skip


def test_a_secret_that_has_no_variable_is_refused() -> None:
    with pytest.raises(UserMistake, match="sslpassword in DATABASE_URL would stand in the list"):
        split_conninfo("host=db sslpassword=s3cret")


def test_a_newer_pg_dump_than_the_server_will_do_and_an_older_one_will_not(tmp_path: Path) -> None:
    environ = make_client(tmp_path / "bin", version="16.4")

    assert find_archiver(15, environ).version == "16.4"
    assert find_archiver(16, environ).major == 16
    with pytest.raises(UserMistake, match=r"pg_dump 16\.4 is older than the server"):
        find_archiver(17, environ)


def test_a_backup_is_named_by_its_instant() -> None:
    assert name_backup(NOW) == "outbound-queue-20260301T000000Z.dump"


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 kB"), (10_240, "10 kB"), (5 * 1024**4, "5.0 TB")],
)
def test_sizes_have_one_unit(size: int, shown: str) -> None:
    assert show_size(size) == shown
