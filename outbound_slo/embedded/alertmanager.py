"""A real Alertmanager on a loopback port, and what it says about its alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from outbound_slo.embedded.binaries import ALERTMANAGER, Tools, find_tools
from outbound_slo.embedded.json_api import JsonApi
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, claim_port


class NotificationState(StrEnum):
    """What Alertmanager does with an alert: notifies, keeps quiet, or has not looked yet."""

    ACTIVE = "active"
    SUPPRESSED = "suppressed"
    UNPROCESSED = "unprocessed"


@dataclass(frozen=True)
class ReceivedAlert:
    """An alert as Alertmanager holds it.

    Attributes:
        labels: Its identity; the name is the label `alertname`.
        annotations: Its texts.
        state: Whether it is notified about.
        receivers: Names of the receivers it is routed to.
        inhibited_by: Fingerprints of the alerts that silence it.
        starts_at: When it began.
        ends_at: When it counts as resolved unless it is sent again.

    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: NotificationState
    receivers: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


class AlertmanagerApi:
    """A running Alertmanager at a base URL.

    Every method raises `UserMistake` where the server can't be reached or refuses.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._api = JsonApi("Alertmanager", url, timeout)

    @property
    def url(self) -> str:
        """Base URL without a slash at its end."""
        return self._api.url

    def alerts(self) -> list[ReceivedAlert]:
        """Alerts that are not resolved, suppressed ones included."""
        return [
            ReceivedAlert(
                labels=found["labels"],
                annotations=found["annotations"],
                state=NotificationState(found["status"]["state"]),
                receivers=tuple(receiver["name"] for receiver in found["receivers"]),
                inhibited_by=tuple(found["status"]["inhibitedBy"]),
                starts_at=datetime.fromisoformat(found["startsAt"]),
                ends_at=datetime.fromisoformat(found["endsAt"]),
            )
            for found in self._api.get("/api/v2/alerts")
        ]

    def post_alerts(self, alerts: Sequence[Mapping[str, object]]) -> None:
        """Send alerts as Prometheus does: each with `labels`, and the other fields as wanted."""
        self._api.post("/api/v2/alerts", list(alerts))

    def reload(self) -> None:
        """Make it read its configuration again."""
        self._api.post("/-/reload")

    def is_ready(self) -> bool:
        """Tell whether it takes alerts."""
        return self._api.answers("/-/ready")


def start_alertmanager(
    supervisor: Supervisor,
    directory: Path,
    configuration: str,
    *,
    port: int | None = None,
    tools: Tools | None = None,
) -> AlertmanagerApi:
    """Start Alertmanager, alone and without a cluster, and wait until it is ready.

    Args:
        supervisor: Takes charge of the process.
        directory: For its configuration (`alertmanager.yml`, written here) and its data.
        configuration: YAML text; relative templates are looked for in `directory`.
        port: Loopback port; a free one if None.
        tools: Its programs; found by `find_tools` if None.

    Raises:
        UserMistake: The port is in use, or Alertmanager refuses the configuration.

    """
    tools = tools or find_tools(ALERTMANAGER)
    port = claim_port(port, "Alertmanager")
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    configuration_file = directory / "alertmanager.yml"
    configuration_file.write_text(configuration, encoding="utf-8")
    api = AlertmanagerApi(f"http://{LOOPBACK}:{port}")
    supervisor.start(
        "alertmanager",
        [
            tools["alertmanager"],
            f"--config.file={configuration_file}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            f"--web.external-url={api.url}/",
            "--cluster.listen-address=",
        ],
        ready=api.is_ready,
        environment=tools.environment(),
        directory=tools.resources,
    )
    return api
