"""`outbound-slo ops status`: what it prints to the letter, what it finds, and what it costs."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.ops_parts import Operator

TROUBLE = Path(__file__).with_name("ops_trouble.sql")


@pytest.fixture(scope="module")
def trouble(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[Operator]:
    """An outbox at night: every section has something to say."""
    url = postgres_server.create_database("ops_trouble", template=template_database)
    with psycopg.connect(url) as connection:
        connection.execute(TROUBLE.read_text("utf-8").encode())
    yield Operator(url)
    postgres_server.drop_database("ops_trouble")


def test_the_screen_of_a_bad_night(trouble: Operator) -> None:
    printed = trouble.run("status")
    print(printed.out)
    assert 0


def test_an_empty_outbox_is_well(database: str) -> None:
    printed = Operator(database).run("status")
    print(printed.out)
    assert 0
