"""Ends of the ways over which people are paged, and alerts as Prometheus would send them."""

import json
import socketserver
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from alerts.pages import collect_tiers
from outbound_slo.embedded.alertmanager import AlertmanagerApi, NotificationState
from outbound_slo.embedded.processes import LOOPBACK, pick_port
from outbound_slo.vocabulary.alerts import TEAM, AlertName
from tests.patience import wait_for


@dataclass
class Pager:
    """A web service that keeps every notification, by the path it came to."""

    url: str = ""
    notifications: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for came_to, body in list(self.notifications) if came_to == path]

    def alerts(self, path: str, status: str) -> list[dict[str, Any]]:
        return [
            alert
            for body in self.bodies(path)
            for alert in body["alerts"]
            if alert["status"] == status
        ]


@contextmanager
def open_pager() -> Iterator[Pager]:
    pager = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pager.tokens[self.path] = self.headers.get("Authorization", "")
            pager.notifications.append((self.path, body))
            # Slack and PagerDuty want an answer of their own kind; each is content with this one.
            answer = b'{"status": "success", "ok": true}'
            self.send_response(202 if self.path == "/pagerduty" else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited
            pass

    with ThreadingHTTPServer((LOOPBACK, pick_port()), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        pager.url = f"http://{LOOPBACK}:{server.server_port}"
        yield pager
        server.shutdown()
        thread.join()


@dataclass
class Mailbox:
    """A mail server that keeps what it is given: recipient and mail."""

    smarthost: str = ""
    mails: list[tuple[str, Message]] = field(default_factory=list)

    def texts(self, recipient: str) -> list[tuple[str, str]]:
        """Give subject and plain text of the mails to somebody."""
        return [
            (_subject_of(mail), _text_of(mail)) for to, mail in list(self.mails) if to == recipient
        ]


def _subject_of(mail: Message) -> str:
    return str(mail["Subject"])


def _text_of(mail: Message) -> str:
    parts = [part for part in mail.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain"]
    payload = parts[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@contextmanager
def open_mailbox() -> Iterator[Mailbox]:
    """Take mails by as much SMTP as Alertmanager speaks without TLS."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            recipient = ""
            self.wfile.write(b"220 sink\r\n")
            while line := self.rfile.readline():
                command = line.strip().upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    mail = b"".join(each.removeprefix(b".") for each in lines)
                    box.mails.append((recipient, message_from_bytes(mail)))
                if command.startswith(b"RCPT TO:"):
                    recipient = line.decode().partition("<")[2].partition(">")[0]
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((LOOPBACK, pick_port()), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        box.smarthost = f"{LOOPBACK}:{server.server_address[1]}"
        yield box
        server.shutdown()
        thread.join()


def labels_of(name: AlertName, tier: int = 1, **others: str) -> dict[str, str]:
    """Labels as Prometheus would send them."""
    alert = collect_tiers()[name][tier - 1]
    return {
        "alertname": name.value,
        "severity": alert.severity.value,
        "priority": alert.priority.value,
        "level": alert.level.value,
        "family": alert.family.value,
        "tier": str(tier),
        "team": TEAM,
        "slo": str(alert.slo),
        "page": name.value,
        **({"channel": alert.channel} if alert.channel else {}),
        **alert.labels,
        **others,
    }


def state_of(alertmanager: AlertmanagerApi, labels: Mapping[str, str]) -> NotificationState | None:
    return next((a.state for a in alertmanager.alerts() if dict(a.labels) == dict(labels)), None)


def end(alertmanager: AlertmanagerApi, *alerts: Mapping[str, str]) -> None:
    """Resolve alerts, and wait until Alertmanager has forgotten them."""
    over = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    alertmanager.post_alerts([{"labels": dict(each), "endsAt": over} for each in alerts])
    wait_for(lambda: all(state_of(alertmanager, each) is None for each in alerts), "the end")
