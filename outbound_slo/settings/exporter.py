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
