"""Where the panels lead: the page of an alert, and matching traces.

Traces open in Grafana's Explore on whatever Jaeger data source the viewer chose, so the dashboard
names no address of a trace store.
"""

import json
from dataclasses import dataclass
from urllib.parse import quote

from grafanalib import core

from outbound_slo.vocabulary.alerts import AlertName, Dashboard
from outbound_slo.vocabulary.panels import Panel
from outbound_slo.vocabulary.spans import Tag

TRACES = "${jaeger}"
"""The dashboard's variable that holds the uid of the Jaeger data source."""

RUNBOOKS = "${runbooks}"
"""The dashboard's variable that holds the base URL of the pages in docs/runbooks."""

SERVICE = "${service}"
"""The dashboard's variable that holds the service name of the sender's traces."""

ORGANISATION_ID = "${org_id}"
"""The variable that holds the organisation; only its own dashboard has it."""

_VARIABLE_CHARACTERS = "${}"

_KEPT = (
    "from=${__from}&to=${__to}"
    "&var-datasource=${datasource}&var-jaeger=${jaeger}&var-channel=${channel}"
)


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """A search for traces of the sender.

    Attributes:
        tags: Tags that a trace must have; a value may be one of Grafana's variables.
        minimum_duration: Shortest duration as Jaeger reads it (`10s`); empty for any.

    """

    tags: tuple[tuple[Tag, str], ...] = ()
    minimum_duration: str = ""

    @property
    def url(self) -> str:
        """Path and query of Explore with this search, over the dashboard's time range."""
        query = {
            "refId": "A",
            "datasource": {"type": "jaeger", "uid": TRACES},
            "queryType": "search",
            "service": SERVICE,
            "tags": " ".join(f"{tag}={value}" for tag, value in self.tags),
            "minDuration": self.minimum_duration,
            "limit": 20,
        }
        pane = {
            "datasource": TRACES,
            "queries": [{name: value for name, value in query.items() if value}],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
        panes = quote(json.dumps({"traces": pane}, separators=(",", ":")), _VARIABLE_CHARACTERS)
        return f"/explore?schemaVersion=1&panes={panes}&orgId=1"


def link_runbook(alert: AlertName) -> core.DataLink:
    """Link to the page that says what to do about an alert."""
    return core.DataLink(f"Runbook: {alert}", f"{RUNBOOKS}/{alert}.md", isNewTab=True)


def link_dashboard(title: str, dashboard: Dashboard, panel: Panel | None = None) -> core.DataLink:
    """Link to another of our dashboards, or one of its panels, with time range and variables."""
    shown = f"&viewPanel=panel-{panel.id}" if panel else ""
    return core.DataLink(title, f"/d/{dashboard}?{_KEPT}{shown}", isNewTab=False)


def open_organisation() -> core.DataLink:
    """Link from an organisation's id to the dashboard about it."""
    return core.DataLink("Open", f"/d/{Dashboard.ORGANISATION}?{_KEPT}&var-org_id=${{__value.raw}}")


def link_named_organisation() -> core.DataLink:
    """Link to the dashboard of the organisation that a series is about."""
    organisation = "${__field.labels.org_id}"
    return core.DataLink(
        f"Dashboard of {organisation}",
        f"/d/{Dashboard.ORGANISATION}?{_KEPT}&var-org_id={organisation}",
    )


def click(*links: core.DataLink) -> dict[str, object]:
    """Make links of a field: a click on the value offers them."""
    return {"fieldConfig": {"defaults": {"links": [link.to_json_data() for link in links]}}}


def link_traces(title: str, search: TraceSearch) -> core.DataLink:
    """Link to matching traces."""
    return core.DataLink(title, search.url, isNewTab=True)
