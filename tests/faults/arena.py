"""The real processes of one scenario: PostgreSQL, the simulator and any number of senders."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import requests

from outbound_slo.embedded.child import Child
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, http_probe, pick_port
from tests.faults.clock import skew
from tests.faults.evidence import QUERIES
from tests.faults.judge import OPERATOR
from tests.faults.plan import LAST, ORG, Halt, Plan, SenderSpec, Service, phone_number
from tests.faults.sinkhole import Sinkhole
from tests.integration.sending import APP_SECRET, own_environment, use_simulator
from tests.patience import wait_for

PROGRAM = str(Path(sys.executable).with_name("outbound-slo"))
REDIS_VARIABLE = "OUTBOUND_REDIS_URL"
REQUEST_TIMEOUT_S = 1.5
RECOVERY_WINDOW_S = 6.0
"""A living sender on a busy machine must be able to settle within this time, or the judge would
take the machine's slowness for the sender's fault."""

START_PATIENCE_S = 60.0
END_PATIENCE_S = 30.0
"""Only bounds a failure: a sender that was asked to end and lingers is reported, then killed."""


class Arena:
    """Starts, hurts and questions the parts; knows nothing of plans' order or of verdicts."""

    def __init__(
        self,
        supervisor: Supervisor,
        server: EmbeddedPostgres,
        sinkhole: Sinkhole,
        database: str,
        plan: Plan,
    ) -> None:
        """Prepare the database; nothing is started yet."""
        self.server = server
        self.database = database
        self.lost_processes: set[int] = set()
        self.endings: list[str] = []
        self._supervisor = supervisor
        self._plan = plan
        self._services = {
            Service.GONE: f"{LOOPBACK}:{pick_port()}",
            Service.SILENT: sinkhole.address,
        }
        self._senders: dict[int, Child] = {}
        self._operations: list[int] = []
        self._ports = [pick_port() for _ in plan.senders]
        self.simulator_url = f"http://{LOOPBACK}:{pick_port()}"
        with psycopg.connect(database) as connection:
            connection.execute(QUERIES["watch"].encode())
            recipients = [phone_number(number) for number in range(plan.load.recipients)]
            connection.execute(QUERIES["allow"].encode(), {"org_id": ORG, "recipients": recipients})
            connection.execute(QUERIES["open_account"].encode(), {"org_id": ORG})

    def start_simulator(self) -> None:
        """Start the simulator; its webhooks for WhatsApp go to the first sender."""
        port = self.simulator_url.rsplit(":", 1)[1]
        latency = str(self._plan.simulator_latency_ms)
        command = [PROGRAM, "simulator", "--port", port, "--seed", str(self._plan.seed)]
        command += ["--latency-ms", latency, "--latency-spread-ms", latency]
        command += ["--delivery-ms", "150", "--read-rate", "0.1"]
        command += ["--callback-url", f"{self._sender_url(0)}/webhooks/whatsapp"]
        self._supervisor.start(
            "simulator",
            command,
            ready=http_probe(f"{self.simulator_url}/_control/stats"),
            patience=START_PATIENCE_S,
            environment=own_environment(
                WHATSAPP_APP_SECRET=APP_SECRET, TWILIO_AUTH_TOKEN="twilio-token"
            ),
        )
        self.set_behaviour(self._plan.behaviour)

    def start_sender(self, number: int) -> None:
        """Start a sender and wait until its HTTP face answers; a process of its before is gone."""
        self._senders[number] = self._supervisor.start(
            f"sender-{number}",
            [PROGRAM, "sender"],
            ready=http_probe(f"{self._sender_url(number)}/healthz"),
            patience=START_PATIENCE_S,
            environment=self._sender_environment(number, self._plan.senders[number]),
        )

    def kill_sender(self, number: int) -> None:
        """End a sender without any warning."""
        child = self._senders.pop(number)
        os.kill(child.pid, signal.SIGKILL)
        self.lost_processes.add(child.pid)
        wait_for(child.has_ended, "the end of a killed sender")
        self._supervisor.stop_child(child)

    @contextmanager
    def frozen_sender(self, number: int) -> Iterator[None]:
        """Freeze a sender for the length of the block."""
        child = self._senders[number]
        self.lost_processes.add(child.pid)
        os.kill(child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(child.pid, signal.SIGCONT)

    def end_sender(self, number: int) -> None:
        """Ask a sender to end, and note it if it does not or says that it failed."""
        child = self._senders.pop(number)
        os.kill(child.pid, signal.SIGTERM)
        try:
            wait_for(child.has_ended, "the end of a sender", END_PATIENCE_S)
        except AssertionError:
            self.endings.append(f"{child.name} lingered after SIGTERM")
            self.lost_processes.add(child.pid)
            os.kill(child.pid, signal.SIGKILL)
        else:
            code = self._supervisor.stop_child(child)
            if code != 0:
                self.endings.append(f"{child.name} ended with code {code} after SIGTERM")

    def end_unheard_sender(self, number: int) -> None:
        """Ask a sender to end that can reach no database: what it knows goes with it."""
        self.lost_processes.add(self._senders[number].pid)
        self.end_sender(number)

    def end_senders(self) -> None:
        """Ask every sender that still runs to end."""
        for number in sorted(self._senders):
            self.end_sender(number)

    @contextmanager
    def halted_database(self, halt: Halt) -> Iterator[None]:
        """End PostgreSQL for the length of the block; with BACKEND_CRASH it is back by itself."""
        if halt is Halt.BACKEND_CRASH:
            self._crash_backend()
            yield
            wait_for(self.database_answers, "PostgreSQL's recovery", START_PATIENCE_S)
            return
        if halt is Halt.IMMEDIATE:
            os.kill(self._postmaster(), signal.SIGQUIT)
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    def _postmaster(self) -> int:
        return self.server.pid

    def _crash_backend(self) -> None:
        with psycopg.connect(self.database) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)

    def database_answers(self) -> bool:
        """Tell whether the database takes connections."""
        try:
            with psycopg.connect(self.database, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def operate(self, query: str, **values: object) -> list[tuple[object, ...]]:
        """Run a named statement as an operator would, in a connection of its own.

        A statement over many rows may deadlock with the senders', which lock theirs in another
        order; PostgreSQL then ends one of the two, and a person simply tries again.
        """
        while True:
            try:
                with psycopg.connect(self.database, application_name=OPERATOR) as connection:
                    cursor = connection.execute(QUERIES[query].encode(), values)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.errors.DeadlockDetected:
                continue

    def run_command(self, arguments: Sequence[str]) -> None:
        """Run `outbound-slo ops` as an operator would, with the senders' own patience.

        Raises:
            AssertionError: It ended with an error.

        """
        if LAST in arguments and not self._operations:
            return
        words = [str(self._operations.pop()) if word == LAST else word for word in arguments]
        done = subprocess.run(
            [PROGRAM, "ops", *words, "--yes", "--json"],
            env=self._sender_environment(0, self._plan.senders[0]),
            capture_output=True,
            text=True,
            timeout=START_PATIENCE_S,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(
                f"ops {' '.join(words)} ended with {done.returncode}: {done.stderr}"
            )
        told = json.loads(done.stdout)
        if told.get("changed"):
            self._operations.append(told["operation"])

    def set_faults(self, faults: tuple[Mapping[str, object], ...]) -> None:
        """Replace the provider's faults."""
        self._put("faults", {"faults": list(faults)})

    def set_behaviour(self, changes: Mapping[str, object]) -> None:
        """Change how webhooks behave."""
        self._put("behaviour", dict(changes))

    def flush_webhooks(self) -> None:
        """Have all webhooks posted that wait for their time."""
        url = f"{self.simulator_url}/_control/webhooks/flush"
        requests.post(url, json={"limit_seconds": 20}, timeout=60).raise_for_status()

    def post_webhook(self, body: bytes, signature: str) -> int:
        """Post a body to the first sender's WhatsApp webhook; gives the HTTP status."""
        url = f"{self._sender_url(0)}/webhooks/whatsapp"
        headers = {"X-Hub-Signature-256": signature}
        return requests.post(url, data=body, headers=headers, timeout=10).status_code

    def logs(self) -> list[Path]:
        """List the senders' logs, each with all processes that had its number."""
        return sorted(self._supervisor.directory.glob("sender-*.log"))

    def _put(self, what: str, body: Mapping[str, object]) -> None:
        answer = requests.put(f"{self.simulator_url}/_control/{what}", json=body, timeout=10)
        if not answer.ok:
            raise AssertionError(f"The simulator refuses {what} {body}: {answer.text}")

    def _sender_url(self, number: int) -> str:
        return f"http://{LOOPBACK}:{self._ports[number]}"

    def _sender_environment(self, number: int, spec: SenderSpec) -> dict[str, str]:
        usual = {
            "DATABASE_URL": self.database,
            "OUTBOUND_HTTP_PORT": str(self._ports[number]),
            # Only the first sender is promised to live, so Twilio's callbacks go there too.
            "OUTBOUND_PUBLIC_URL": self._sender_url(0),
            "OUTBOUND_WORKER_BATCH_SIZE": "20",
            "OUTBOUND_WORKER_POLL_INTERVAL_MS": "100",
            "OUTBOUND_RETRY_BACKOFF_SECONDS": "0.2,0.4",
            "OUTBOUND_REQUEST_TIMEOUT_SECONDS": f"{REQUEST_TIMEOUT_S:g}",
            "OUTBOUND_RECOVERY_WINDOW_SECONDS": f"{RECOVERY_WINDOW_S:g}",
            "OUTBOUND_WEBHOOK_SILENCE_SECONDS": f"{self._plan.silence_s:g}",
            "OUTBOUND_BREAKER_OPEN_SECONDS": "0.5",
        } | use_simulator(self.simulator_url)
        if spec.collector is not Service.NONE:
            usual["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{self._services[spec.collector]}"
        if spec.redis is not Service.NONE:
            usual[REDIS_VARIABLE] = f"redis://{self._services[spec.redis]}/0"
            # Redis is asked only where there is a limit; this one holds nothing up.
            usual["WHATSAPP_MESSAGES_PER_SECOND"] = "1000"
        clock = skew(spec.clock_offset_s) if spec.clock_offset_s else {}
        return own_environment(**usual, **clock)
