"""A real sender process and the provider simulator, on loopback, around one database."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import requests

from outbound_slo.embedded.child import Child
from outbound_slo.embedded.processes import Supervisor, http_probe, pick_port
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import MAX_ATTEMPTS, NewMessage, enqueue
from sender.signatures import sign_meta
from tests.onlooker import Onlooker

PROGRAM = str(Path(sys.executable).with_name("outbound-slo"))
ORG = "org-abc-123"
NUMBER = "+33612345678"
APP_SECRET = "test-app-secret"
PATIENCE_S = 60.0


def own_environment(**more: str) -> dict[str, str]:
    """Give a child this process's environment, less what could be settings of ours."""
    prefixes = ("OUTBOUND_", "WHATSAPP_", "TWILIO_", "SENDGRID_", "OTEL_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    return kept | more


def use_simulator(url: str) -> dict[str, str]:
    """Give the settings with which a sender takes the simulator for every provider."""
    return {
        "WHATSAPP_MESSAGES_PER_SECOND": "0",
        "WHATSAPP_API_URL": url,
        "WHATSAPP_PHONE_NUMBER_ID": "10001",
        "WHATSAPP_ACCESS_TOKEN": "token",
        "WHATSAPP_APP_SECRET": APP_SECRET,
        "WHATSAPP_VERIFY_TOKEN": "verify-me",
        "TWILIO_API_URL": url,
        "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
        "TWILIO_AUTH_TOKEN": "twilio-token",
        "TWILIO_FROM_NUMBER": "+15005550006",
        "SENDGRID_API_URL": url,
        "SENDGRID_API_KEY": "key",
        "SENDGRID_FROM_ADDRESS": "noreply@example.org",
    }


class Sending:
    """Starts, stops and questions the processes of one test."""

    def __init__(self, supervisor: Supervisor, database: str) -> None:
        self.supervisor = supervisor
        self.database = database
        self.simulator_url = f"http://127.0.0.1:{pick_port()}"
        self.sender_url = f"http://127.0.0.1:{pick_port()}"
        self._started = 0
        self._onlooker = Onlooker(database)

    def start_simulator(self, *options: str) -> Child:
        port = self.simulator_url.rsplit(":", 1)[1]
        command = [PROGRAM, "simulator", "--port", port, "--latency-ms", "5"]
        command += ["--delivery-ms", "50", "--read-rate", "0", *options]
        if "--callback-url" not in options:
            command += ["--callback-url", f"{self.sender_url}/webhooks/whatsapp"]
        environment = own_environment(
            WHATSAPP_APP_SECRET=APP_SECRET, TWILIO_AUTH_TOKEN="twilio-token"
        )
        ready = http_probe(f"{self.simulator_url}/_control/stats")
        return self.supervisor.start("simulator", command, ready=ready, environment=environment)

    def start_sender(self, **settings: str) -> Child:
        self._started += 1
        defaults = {
            "DATABASE_URL": self.database,
            "OUTBOUND_HTTP_PORT": self.sender_url.rsplit(":", 1)[1],
            "OUTBOUND_PUBLIC_URL": self.sender_url,
            "OUTBOUND_WORKER_POLL_INTERVAL_MS": "50",
            "OUTBOUND_RETRY_BACKOFF_SECONDS": "0.2,0.4",
            "OUTBOUND_BREAKER_OPEN_SECONDS": "0.5",
        } | use_simulator(self.simulator_url)
        return self.supervisor.start(
            f"sender-{self._started}",
            [PROGRAM, "sender"],
            ready=http_probe(f"{self.sender_url}/healthz"),
            environment=own_environment(**(defaults | settings)),
        )

    def set_faults(self, *faults: Mapping[str, object]) -> None:
        answer = requests.put(
            f"{self.simulator_url}/_control/faults", json={"faults": list(faults)}, timeout=10
        )
        assert answer.status_code == 200, answer.text

    def ledger(self) -> dict[str, Any]:
        answer = requests.get(f"{self.simulator_url}/_control/ledger", timeout=10)
        found: dict[str, Any] = answer.json()["totals"]
        return found

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._onlooker.execute(statement, *values)

    def allow(self, *recipients: str) -> None:
        """Record consent, and an account row for the organisation."""
        self.execute(
            "INSERT INTO consentement (org_id, recipient, channel, status)"
            " SELECT %s, recipient, 'WHATSAPP', 'GRANTED' FROM unnest(%s::text[]) AS r (recipient)"
            " ON CONFLICT DO NOTHING",
            ORG,
            list(recipients),
        )

    def queue(self, *messages: NewMessage) -> list[int]:
        with psycopg.connect(self.database) as connection:
            return enqueue(connection, messages)

    def post_webhook(self, body: object, secret: str = APP_SECRET) -> requests.Response:
        raw = json.dumps(body).encode()
        headers = {"X-Hub-Signature-256": sign_meta(raw, secret)}
        url = f"{self.sender_url}/webhooks/whatsapp"
        return requests.post(url, data=raw, headers=headers, timeout=10)

    def metric(self, series: str) -> float:
        page = requests.get(f"{self.sender_url}/metrics", timeout=10).text
        for line in page.splitlines():
            if line.startswith(series + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"{series} is not on the page")

    def statuses(self, numbers: Sequence[int]) -> list[tuple[str, str | None]]:
        rows = self.execute(
            "SELECT status, error_code FROM outbound_message WHERE id = ANY (%s) ORDER BY id",
            list(numbers),
        )
        return [(status, code) for status, code in rows]


def template_message(number: str = NUMBER, max_attempts: int = MAX_ATTEMPTS) -> NewMessage:
    return NewMessage(
        ORG,
        Channel.WHATSAPP,
        number,
        template_code="appointment_reminder",
        max_attempts=max_attempts,
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that has to come; fails with its name if it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.05)
