"""Settings, read once from the environment and frozen.

Variables of runbook 002 keep their names. A variable with one of our prefixes that no setting
has is refused, since a misspelt switch that does nothing is found out at night.
"""

from outbound_slo.settings.environment import (
    OWN_PREFIXES,
    TOLERATED_PREFIXES,
    Environment,
    known_variables,
    refuse_unknown,
)
from outbound_slo.settings.exporter import ExporterSettings
from outbound_slo.settings.operations import OperatorSettings
from outbound_slo.settings.outbox import DatabaseSettings
from outbound_slo.settings.providers import ProviderSettings
from outbound_slo.settings.sender import BACKOFF_SECONDS, SenderSettings
from outbound_slo.settings.tracing import ToolSettings, TracingSettings

__all__ = [
    "ALL_SETTINGS",
    "BACKOFF_SECONDS",
    "OWN_PREFIXES",
    "TOLERATED_PREFIXES",
    "DatabaseSettings",
    "ExporterSettings",
    "OperatorSettings",
    "ProviderSettings",
    "SenderSettings",
    "ToolSettings",
    "TracingSettings",
    "known_variables",
    "refuse_unknown",
]

ALL_SETTINGS: tuple[type[Environment], ...] = (
    DatabaseSettings,
    TracingSettings,
    SenderSettings,
    ProviderSettings,
    ExporterSettings,
    OperatorSettings,
    ToolSettings,
)
