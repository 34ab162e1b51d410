"""The generated files of this room: each dashboard as the JSON that Grafana loads."""

import json
from collections.abc import Mapping
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards import sla
from dashboards.modernizer import modernize

SLA_PATH = "dashboards/generated/whatsapp-sla.json"


def encode_dashboard(dashboard: core.Dashboard) -> dict[str, Any]:
    """Encode a grafanalib dashboard and bring it to Grafana's current schema."""
    plain = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    return modernize(plain)


def build_artefacts() -> Mapping[str, str]:
    """Build each file's text by its path from the project's root; the same at every call."""
    document = encode_dashboard(sla.build_dashboard())
    return {SLA_PATH: json.dumps(document, indent=2, sort_keys=True) + "\n"}
