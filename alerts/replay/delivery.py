"""Stage two: the alerts of stage one, handed to a real Alertmanager as they come due, hurried.

Alertmanager's clock is the wall clock. Its waits are divided by the speed, and an alert that begins
600 seconds into the replay is posted 600/speed seconds after its beginning. Grouping, inhibition
and routing are Alertmanager's own. What a busy machine delays by 20 ms appears as 20 ms times the
speed: that is the resolution, and it is measured in every replay.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final
from urllib.parse import unquote

from alerts.replay.acceleration import Accelerated, accelerate
from alerts.replay.pending import Firing
from alerts.replay.tape import Labels, sort_labels
from outbound_slo.embedded.alertmanager import AlertmanagerApi, start_alertmanager
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor
from outbound_slo.vocabulary.alerts import AlertName

DEFAULT_SPEED: Final = 100.0
"""P1's ten seconds of grouping become 100 ms: long enough for inhibition to be settled."""

NOMINAL_LATENESS_S: Final = 0.05
"""Between a post and its arrival at the receiver, on a machine with something else to do."""

# Longer than any replay runs: nothing ends but by its own end.
_OUTLIVES: Final = timedelta(hours=24)
_MARGIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to one receiver.

    Attributes:
        at_s: When it came, in the replay's Unix seconds.
        receiver: The receiver's name.
        group: Alertmanager's key of the group.
        firing: Alerts in it that fire, each with its labels, `alertname` included.
        resolved: Alerts in it that are over.

    """

    at_s: float
    receiver: str
    group: str
    firing: tuple[Labels, ...]
    resolved: tuple[Labels, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was told to whom.

    Attributes:
        notifications: In the order in which they came.
        resolution_s: How far off their times may be, in the replay's seconds.
        left_out: Keys of the configuration that a replay cannot follow.

    """

    notifications: tuple[Notification, ...]
    resolution_s: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hurry:
    """How fast a replay runs, and on whose clock.

    Attributes:
        speed: Seconds of the replay per second.
        clock: Tells seconds; only differences count.
        sleep: Waits for seconds.

    """

    speed: float = DEFAULT_SPEED
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Edge:
    """Alerts that begin or end at one instant.

    Attributes:
        at_s: The instant in Unix seconds.
        began: Alerts that begin to fire.
        ended: Alerts that are resolved.

    """

    at_s: int
    began: tuple[Labels, ...]
    ended: tuple[Labels, ...]


def find_edges(firings: Sequence[Firing]) -> Sequence[Edge]:
    """Order the beginnings and ends of alerts by time; the Watchdog is no news and left out."""
    told = [firing for firing in firings if firing.alert != AlertName.WATCHDOG]
    instants = {firing.start_s for firing in told}
    instants |= {firing.end_s for firing in told if firing.end_s is not None}
    return [
        Edge(
            at,
            tuple(_identity(firing) for firing in told if firing.start_s == at),
            tuple(_identity(firing) for firing in told if firing.end_s == at),
        )
        for at in sorted(instants)
    ]


def deliver(
    tools: Tools,
    directory: Path,
    configuration: Mapping[str, Any],
    firings: Sequence[Firing],
    hurry: Hurry,
    *,
    where: str = "alertmanager.yml",
) -> Delivery:
    """Hand alerts to a real Alertmanager as they come due.

    Args:
        tools: Alertmanager.
        directory: For its files and its log.
        configuration: Alertmanager's configuration as read from YAML.
        firings: What stage one found.
        hurry: How fast.
        where: The configuration's name in errors.

    Raises:
        UserMistake: Alertmanager does not take the configuration.

    """
    edges = find_edges(firings)
    with _receive(hurry.clock) as inbox:
        accelerated = accelerate(configuration, where, hurry.speed, inbox.url)
        if not edges:
            return Delivery((), NOMINAL_LATENESS_S * hurry.speed, accelerated.left_out)
        with Supervisor(directory / "logs") as supervisor:
            api = start_alertmanager(supervisor, directory, accelerated.text, tools=tools)
            began = hurry.clock()
            lateness = _post_edges(api, edges, hurry, began)
            _await_quiet(inbox, accelerated, hurry)
            supervisor.require_running()
    first = edges[0].at_s
    notifications = tuple(
        _read_notification(body, name, first + (at - began) * hurry.speed)
        for at, name, body in inbox.received()
    )
    resolution_s = max(lateness, NOMINAL_LATENESS_S) * hurry.speed
    return Delivery(notifications, resolution_s, accelerated.left_out)


def _post_edges(api: AlertmanagerApi, edges: Sequence[Edge], hurry: Hurry, began: float) -> float:
    """Post each edge when it is due; returns the most seconds by which one was late."""
    lateness = 0.0
    started: dict[Labels, str] = {}
    for edge in edges:
        due = began + (edge.at_s - edges[0].at_s) / hurry.speed
        hurry.sleep(max(0.0, due - hurry.clock()))
        now = datetime.now(UTC)
        started |= {labels: now.isoformat() for labels in edge.began}
        api.post_alerts(
            [
                *(_alert(labels, started[labels], now + _OUTLIVES) for labels in edge.began),
                *(
                    _alert(labels, started[labels], now)
                    for labels in edge.ended
                    if labels not in edge.began
                ),
            ]
        )
        lateness = max(lateness, hurry.clock() - due)
    return lateness


def _await_quiet(inbox: "_Inbox", accelerated: Accelerated, hurry: Hurry) -> None:
    """Wait until Alertmanager has told what it waits to tell after the last edge."""
    until = hurry.clock() + accelerated.longest_wait_s + _MARGIN_S
    while (left := until - hurry.clock()) > 0:
        hurry.sleep(min(left, accelerated.longest_wait_s / 4 + _MARGIN_S / 4))
        if inbox.is_settled():
            break


def _alert(labels: Labels, started: str, ends: datetime) -> dict[str, object]:
    return {"labels": dict(labels), "startsAt": started, "endsAt": ends.isoformat()}


def _identity(firing: Firing) -> Labels:
    return sort_labels(dict(firing.labels) | {"alertname": firing.alert})


def _read_notification(body: Mapping[str, Any], name: str, at_s: float) -> Notification:
    by_status: dict[str, list[Labels]] = {"firing": [], "resolved": []}
    for alert in body["alerts"]:
        by_status[alert["status"]].append(sort_labels(alert["labels"]))
    return Notification(
        at_s, name, body["groupKey"], tuple(by_status["firing"]), tuple(by_status["resolved"])
    )


class _Inbox:
    """What came to the webhook, with its time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.url = ""
        self._clock = clock
        self._lock = Lock()
        self._received: list[tuple[float, str, Mapping[str, Any]]] = []

    def put(self, receiver: str, body: Mapping[str, Any]) -> None:
        """Keep a notification."""
        with self._lock:
            self._received.append((self._clock(), receiver, body))

    def received(self) -> Sequence[tuple[float, str, Mapping[str, Any]]]:
        """List what came so far, in order."""
        with self._lock:
            return sorted(self._received, key=lambda each: each[0])

    def is_settled(self) -> bool:
        """Whether every group that was told of has been told to be over."""
        last = {
            (receiver, body["groupKey"]): body["status"] for _, receiver, body in self.received()
        }
        return bool(last) and set(last.values()) == {"resolved"}


@contextmanager
def _receive(clock: Callable[[], float]) -> Iterator[_Inbox]:
    """Listen on loopback for notifications; a receiver's name is the path."""
    inbox = _Inbox(clock)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inbox.put(unquote(self.path.removeprefix("/")), body)
            self.send_response(HTTPStatus.OK)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited
            """Stay silent."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        inbox.url = f"http://{LOOPBACK}:{server.server_port}"
        try:
            yield inbox
        finally:
            server.shutdown()
            thread.join()
