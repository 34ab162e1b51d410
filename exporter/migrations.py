"""The exporter's own migrations: event tables and the triggers that fill them."""

from collections.abc import Sequence
from importlib import resources

from outbound_slo.database import Migration, read_migrations


def rollup_migrations() -> Sequence[Migration]:
    """Give the migrations of `exporter/rollup`; they come after the outbox's own."""
    return read_migrations(resources.files("exporter").joinpath("rollup"), "exporter")
