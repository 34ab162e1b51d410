"""Every dashboard by its uid, as the JSON that Grafana loads."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards import messaging, objectives, organisation, sla
from dashboards.health import board as health
from dashboards.modernizer import modernize
from outbound_slo.vocabulary.alerts import Dashboard

_BUILDERS: Mapping[Dashboard, Callable[[], core.Dashboard]] = MappingProxyType(
    {
        Dashboard.SLA: sla.build_dashboard,
        Dashboard.MESSAGING: messaging.build_dashboard,
        Dashboard.SLO: objectives.build_dashboard,
        Dashboard.HEALTH: health.build_dashboard,
        Dashboard.ORGANISATION: organisation.build_dashboard,
    }
)


def encode_dashboard(dashboard: core.Dashboard) -> dict[str, Any]:
    """Encode a grafanalib dashboard and bring it to Grafana's current schema."""
    plain = json.loads(json.dumps(dashboard, cls=DashboardEncoder))
    return modernize(plain)


def all_dashboards() -> Mapping[Dashboard, dict[str, Any]]:
    """Build each dashboard's document by its uid, in the order in which people open them.

    The documents are new at every call and equal at every call.
    """
    return {uid: encode_dashboard(build()) for uid, build in _BUILDERS.items()}


def locate_dashboard(uid: Dashboard) -> str:
    """Give the path of a dashboard's generated file from the project's root."""
    return f"dashboards/generated/{uid}.json"
