"""The HTTP face of a real sender process that claims nothing, so that rows stay as they are."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import requests

from outbound_slo.embedded.processes import Supervisor
from tests.integration.sending import ORG, Sending

TOKEN = "the-admin-token"
MESSAGES = "/api/v1/outbound/messages"
DIAGNOSTICS = "/api/v2/diagnostics/whatsapp"
HEALTH = "/api/v1/dashboard/outbound/health"


class Stand:
    """Asks the HTTP face, and puts rows where a test needs them."""

    def __init__(self, sending: Sending) -> None:
        self.sending = sending
        self.url = sending.sender_url
        self._numbers = count(1)

    def unique(self) -> int:
        """Give a number that no other test of this stand has."""
        return next(self._numbers)

    def ask(
        self,
        method: str,
        path: str,
        *,
        org: str | None = ORG,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        raw: bytes | None = None,
    ) -> requests.Response:
        """Send one request; `body` goes as JSON, or as what Python takes for it (Infinity)."""
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            raw = json.dumps(body).encode()
        if org is not None:
            sent["X-Org-Id"] = org
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return requests.request(method, self.url + path, headers=sent, data=raw, timeout=30)

    def get(self, path: str, *, org: str | None = ORG) -> dict[str, Any]:
        """Ask and expect 200."""
        answer = self.ask("GET", path, org=org)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.sending.execute(statement, *values)

    def insert(self, *, attempts: str = "", **columns: object) -> int:
        """Put a message there with settled or open attempts, given by their outcomes."""
        row = {
            "org_id": ORG,
            "channel": "WHATSAPP",
            "to_recipient": "+33612345678",
            "template_code": "appointment_reminder",
        } | columns
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        [(number,)] = self.execute(
            f"INSERT INTO outbound_message ({names}) VALUES ({marks}) RETURNING id", *row.values()
        )
        for place, outcome in enumerate(attempts.split(), start=1):
            self.execute(
                "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome)"
                " VALUES (%s, %s, %s, %s)",
                number,
                place,
                row["channel"],
                outcome,
            )
            self.execute(
                "UPDATE outbound_message SET attempt_seq = %s WHERE id = %s", place, number
            )
        assert isinstance(number, int)
        return number

    def message(self, number: int, *columns: str) -> tuple[Any, ...]:
        [row] = self.execute(
            f"SELECT {', '.join(columns)} FROM outbound_message WHERE id = %s", number
        )
        return row


@contextmanager
def open_stand(database: str, directory: Path, **settings: str) -> Iterator[Stand]:
    """Run a sender that claims nothing."""
    chosen = {"OUTBOUND_ADMIN_TOKEN": TOKEN, "OUTBOUND_WORKER_ENABLED": "false"} | settings
    with Supervisor(directory) as supervisor:
        sending = Sending(supervisor, database)
        sending.start_sender(**chosen)
        yield Stand(sending)
