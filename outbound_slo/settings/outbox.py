"""Where the outbox is."""

from pydantic import Field

from outbound_slo.settings.environment import Environment, variable


class DatabaseSettings(Environment):
    """Where the outbox is."""

    url: str = Field(validation_alias=variable("DATABASE_URL"))
