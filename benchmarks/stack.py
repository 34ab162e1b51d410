"""The parts that a benchmark runs on: PostgreSQL, the provider simulator, a trace sink, senders.

All are real processes on loopback ports; leaving the context ends them. PostgreSQL keeps its
durability (fsync, synchronous commit, full page writes): a queue that may lose a commit proves
nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import requests

from outbound_slo.database import migrate
from outbound_slo.demo.environment import Secrets, strip_environment
from outbound_slo.embedded.child import Child
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor, http_probe, pick_port, tcp_probe
from outbound_slo.schema import all_migrations

PROGRAM = str(Path(sys.executable).with_name("outbound-slo"))

SERVER_SETTINGS = {
    # A small production server: memory for the hot part of the queue, checkpoints that are not
    # forced by the volume of its log every few seconds.
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
}

LATENCY_MS = 50
"""What every answer of the provider takes: the acceptance text's figure."""

_TEMPLATE = "benchmark_template"
_PATIENCE_S = 30.0


def has_passed(deadline: float) -> bool:
    """Tell whether a time of the steady clock is over."""
    return time.monotonic() > deadline


class Stack:
    """One server, one simulator and one sink; a fresh database and fresh senders per measurement.

    Args:
        batch_size: The senders' OUTBOUND_WORKER_BATCH_SIZE.
        concurrency: Their OUTBOUND_WORKER_CONCURRENCY.

    """

    def __init__(self, *, batch_size: int, concurrency: int) -> None:
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._secrets = Secrets()
        self.app_secret = self._secrets.app_secret
        self._exits = ExitStack()
        self._databases = 0
        self.senders: list[Child] = []

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.directory = Path(
                exits.enter_context(tempfile.TemporaryDirectory(prefix="outbound-slo-bench-"))
            )
            self.directory.chmod(0o755)
            self._supervisor = exits.enter_context(Supervisor(self.directory / "logs"))
            self.postgres = exits.enter_context(
                EmbeddedPostgres(self.directory / "postgres", settings=SERVER_SETTINGS)
            )
            exits.callback(self._supervisor.stop)
            migrate(self.postgres.create_database(_TEMPLATE), all_migrations())
            with psycopg.connect(self.server_url) as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
            self.sender_ports = [pick_port(), pick_port()]
            self.sender_url = f"http://127.0.0.1:{self.sender_ports[0]}"
            self.sink = self._start_sink()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.__exit__(kind, error, traceback)

    @property
    def server_url(self) -> str:
        """URL of the server's own database, which counts statements."""
        return self.postgres.conninfo()

    @property
    def postgres_pid(self) -> int:
        """Process id of the server; its sessions are its children."""
        return self.postgres.pid

    def _start_sink(self) -> Child:
        port = pick_port()
        self.sink_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "benchmarks.sink", str(port)]
        return self._supervisor.start("sink", command, ready=tcp_probe(port))

    def create_database(self, *, migrated: bool = True) -> str:
        """Create a database, by default with the outbox's tables, and return its URL."""
        self._databases += 1
        template = _TEMPLATE if migrated else None
        return self.postgres.create_database(f"bench_{self._databases}", template)

    def start_simulator(self, *, latency_ms: float = LATENCY_MS, receipts: bool = True) -> Child:
        """Start a simulator; three receipts per message go to the first sender, if any do."""
        port = pick_port()
        self.simulator_url = f"http://127.0.0.1:{port}"
        command = [PROGRAM, "simulator", "--port", str(port), "--latency-ms", f"{latency_ms:g}"]
        if receipts:
            command += ["--callback-url", f"{self.sender_url}/webhooks/whatsapp"]
            command += ["--read-rate", "1"]
        environment = strip_environment(os.environ) | {
            "WHATSAPP_APP_SECRET": self._secrets.app_secret,
            "WHATSAPP_ACCESS_TOKEN": self._secrets.access_token,
        }
        ready = http_probe(f"{self.simulator_url}/_control/stats")
        return self._supervisor.start("simulator", command, ready=ready, environment=environment)

    def start_sender(
        self, database: str, *, traced: bool = True, settings: Mapping[str, str] | None = None
    ) -> Child:
        """Start one more sender on a database; the first of them gets the receipts."""
        port = self.sender_ports[len(self.senders)]
        environment = strip_environment(os.environ) | {
            "DATABASE_URL": database,
            "OUTBOUND_HTTP_PORT": str(port),
            "OUTBOUND_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "OUTBOUND_WORKER_BATCH_SIZE": str(self._batch_size),
            "OUTBOUND_WORKER_CONCURRENCY": str(self._concurrency),
            "WHATSAPP_API_URL": self.simulator_url,
            # What is measured is the sender, not the provider's leave.
            "WHATSAPP_MESSAGES_PER_SECOND": "0",
            "WHATSAPP_PHONE_NUMBER_ID": "10001",
            "WHATSAPP_ACCESS_TOKEN": self._secrets.access_token,
            "WHATSAPP_APP_SECRET": self._secrets.app_secret,
            "WHATSAPP_VERIFY_TOKEN": self._secrets.verify_token,
        }
        if traced:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.sink_url
        child = self._supervisor.start(
            f"sender-{len(self.senders) + 1}",
            [PROGRAM, "sender"],
            ready=http_probe(f"http://127.0.0.1:{port}/healthz"),
            patience=_PATIENCE_S,
            environment=environment | dict(settings or {}),
        )
        self.senders.append(child)
        return child

    def run_baseline(self, name: str, database: str, messages: int) -> Child:
        """Fill a baseline's queue, then start it at work; it ends by itself."""
        environment = strip_environment(os.environ) | {
            "DATABASE_URL": database,
            "WHATSAPP_API_URL": self.simulator_url,
            "WHATSAPP_ACCESS_TOKEN": self._secrets.access_token,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink_url,
        }
        command = [sys.executable, "-m", f"benchmarks.baselines.{name}"]
        subprocess.run([*command, "fill", str(messages)], env=environment, check=True)
        return self._supervisor.start(
            name, [*command, "work", str(messages)], environment=environment
        )

    def stop_senders(self) -> None:
        """Stop every sender; what is in flight is settled first."""
        while self.senders:
            self._supervisor.stop_child(self.senders.pop())

    def stop_child(self, child: Child) -> None:
        """Stop a simulator."""
        self._supervisor.stop_child(child)

    def require_running(self) -> None:
        """Raise `ProcessFailed` if a process has ended by itself."""
        self.postgres.require_running()
        self._supervisor.require_running()

    def ask_simulator(self, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """GET one of the simulator's control pages."""
        answer = requests.get(f"{self.simulator_url}/_control/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def read_metric(self, series: str) -> float:
        """Sum a series over the metrics pages of all senders."""
        total = 0.0
        for port in self.sender_ports[: len(self.senders)]:
            page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            for line in page.splitlines():
                if line.startswith(series + " "):
                    total += float(line.rsplit(" ", 1)[1])
        return total
