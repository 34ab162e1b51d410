"""The dashboard `outbound-health`: its sections, from the senders to those who watch."""

from grafanalib import core

from dashboards.boards import build_board
from dashboards.health import exporters, monitoring, postgres, provider, queues, senders, webhooks
from dashboards.triage import build_triage
from outbound_slo.vocabulary.alerts import Dashboard


def build_dashboard() -> core.Dashboard:
    """Build the dashboard."""
    return build_board(
        Dashboard.HEALTH,
        "Whether senders, exporters, the database and the monitoring itself do their work.",
        ["outbound", "health"],
        [
            build_triage(),
            senders.build_section(),
            provider.build_section(),
            queues.build_section(),
            webhooks.build_section(),
            exporters.build_section(),
            postgres.build_section(),
            monitoring.build_section(),
        ],
    )
