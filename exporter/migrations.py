"""The exporter's own migrations: event tables and the triggers that fill them."""

from collections.abc import Sequence
from importlib import resources

from outbound_slo.database import Migration, read_migrations

ROLLUP_RELATIONS = frozenset(
    {
        "outbound_cohort_total",
        "outbound_event",
        "outbound_event_delta",
        "outbound_event_total",
        "outbound_latency_edge",
        "outbound_message_delta",
        "outbound_organisation_finished",
        "outbound_rollup",
        "outbound_state",
        "outbound_state_sum",
        "outbound_state_total",
        "outbound_watched_organisation",
    }
)
"""Tables and views that these migrations make."""


def rollup_migrations() -> Sequence[Migration]:
    """Give the migrations of `exporter/rollup`; they come after the outbox's own."""
    return read_migrations(resources.files("exporter").joinpath("rollup"), "exporter")
