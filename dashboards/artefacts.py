"""The generated files of this room: each dashboard as the JSON that Grafana loads."""

import json
from collections.abc import Mapping

from dashboards.catalogue import all_dashboards, locate_dashboard
from outbound_slo.vocabulary.alerts import Dashboard

SLA_PATH = locate_dashboard(Dashboard.SLA)


def build_artefacts() -> Mapping[str, str]:
    """Build each file's text by its path from the project's root; the same at every call."""
    return {
        locate_dashboard(uid): json.dumps(document, indent=2, sort_keys=True) + "\n"
        for uid, document in all_dashboards().items()
    }
