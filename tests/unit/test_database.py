import pytest

from outbound_slo.database import core_migrations, describe, parse_queries


def test_named_blocks_are_split_at_their_names() -> None:
    first = "-- name: first\n-- What it does.\nSELECT 1\n\n"
    text = f"-- Head comment.\n\n{first}-- name: second\nSELECT 2\n"
    queries = parse_queries(text, "x.sql")
    assert queries == {"first": "-- What it does.\nSELECT 1", "second": "SELECT 2"}


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x\.sql: the name a stands twice"):
        parse_queries("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n", "x.sql")


def test_sql_before_the_first_name_is_refused() -> None:
    with pytest.raises(ValueError, match="before the first"):
        parse_queries("SELECT 0;\n-- name: a\nSELECT 1\n", "x.sql")


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    numbers = [migration.number for migration in core_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_database_is_described_without_its_password() -> None:
    shown = describe("postgresql://ann:hush@db.internal:5433/atlas")
    assert shown == "db.internal:5433/atlas"
    assert describe("not a conninfo") == "the database"
