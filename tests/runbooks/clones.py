"""Equal outboxes: one to be worked on by hand, as a runbook says, one by a command."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.runbooks.bench import fill_world


@contextmanager
def open_world(server: EmbeddedPostgres, template: str, name: str) -> Iterator[str]:
    """Give the name of a database with world.sql's rows, to be cloned."""
    url = server.create_database(name, template=template)
    with psycopg.connect(url) as connection:
        fill_world(connection)
        connection.execute("UPDATE outbound_attempt SET started_at = created_at")
    yield name
    server.drop_database(name)


@contextmanager
def open_clone(server: EmbeddedPostgres, world: str, name: str) -> Iterator[str]:
    """Give the address of a copy, which is dropped with the block."""
    try:
        yield server.create_database(name, template=world)
    finally:
        server.drop_database(name)
