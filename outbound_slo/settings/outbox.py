"""Where the outbox is."""

from pydantic import Field

from outbound_slo.settings.environment import Environment, variable


class DatabaseSettings(Environment):
    """Where the outbox is."""

    # Empty, libpq would take whatever server is on this machine.
    url: str = Field(min_length=1, validation_alias=variable("DATABASE_URL"))
