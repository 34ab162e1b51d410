"""How the exporter refreshes and where it serves."""

from pydantic import Field

from outbound_slo.settings.environment import Environment, variable


class ExporterSettings(Environment):
    """How the exporter refreshes and where it serves (002)."""

    refresh_interval_ms: int = Field(
        default=10000, ge=100, validation_alias=variable("OUTBOUND_METRICS_UPDATE_INTERVAL_MS")
    )
    host: str = Field(default="127.0.0.1", validation_alias=variable("OUTBOUND_EXPORTER_HOST"))
    port: int = Field(
        default=9109, ge=0, le=65535, validation_alias=variable("OUTBOUND_EXPORTER_PORT")
    )
    statement_timeout_ms: int = Field(
        default=5000, ge=1, validation_alias=variable("OUTBOUND_EXPORTER_STATEMENT_TIMEOUT_MS")
    )
    lock_timeout_ms: int = Field(
        default=1000,
        ge=1,
        validation_alias=variable("OUTBOUND_EXPORTER_LOCK_TIMEOUT_MS"),
        description="A query that waits longer for a lock fails with reason timeout.",
    )
    election: bool = Field(
        default=True,
        validation_alias=variable("OUTBOUND_EXPORTER_ELECTION"),
        description="Of several exporters with the same packs on one database one leads. Needs "
        "sessions, so set it to false behind a pooler that shares them between transactions.",
    )
    web_config: str = Field(
        default="",
        validation_alias=variable("OUTBOUND_EXPORTER_WEB_CONFIG"),
        description="File with TLS and users of the page, in the exporter-toolkit's format.",
    )
