"""The whole stack on this machine: real processes on loopback ports that are picked here."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from alerts.alertmanager import render_alertmanager
from alerts.contacts import Contacts
from alerts.generator import render_rules
from alerts.links import RUNBOOK_BASE_URL, LinkBases
from alerts.prometheus import ALERTMANAGER_JOB, PROMETHEUS_JOB, render_prometheus
from alerts.timing import Timing
from exporter.migrations import rollup_migrations
from outbound_slo.database import core_migrations, migrate
from outbound_slo.demo.content import ORGANISATIONS, TEMPLATES
from outbound_slo.demo.environment import Addresses, Secrets, build_environment
from outbound_slo.demo.pace import Pace
from outbound_slo.demo.pager import Pager
from outbound_slo.demo.previews import serve_previews
from outbound_slo.demo.provider import ProviderControl
from outbound_slo.embedded.alertmanager import AlertmanagerApi, start_alertmanager
from outbound_slo.embedded.binaries import ALERTMANAGER, POSTGRESQL, PROMETHEUS, find_tools
from outbound_slo.embedded.child import Child, Probe
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import (
    LOOPBACK,
    Supervisor,
    http_probe,
    interrupts_held,
    pick_port,
)
from outbound_slo.embedded.prometheus import start_prometheus
from outbound_slo.embedded.prometheus_api import AlertState, PrometheusApi
from outbound_slo.vocabulary import metrics
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, SENDER_JOB, AlertName
from outbound_slo.vocabulary.mistakes import UserMistake

DATABASE = "outbox"
PROCESSES_FILE = "processes.json"
"""In the demo's directory: name and id of every process, for whoever has to look."""

_SCRAPE_PATIENCE_S = 60.0
_SCRAPE_POLL_S = 0.1

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WebhookHabits:
    """How the provider's webhooks misbehave, as real ones do (shares of messages or statuses)."""

    delivery_ms: int = 700
    late_rate: float = 0.08
    late_ms: int = 3000
    duplicate_rate: float = 0.08
    out_of_order_rate: float = 0.08
    read_rate: float = 0.3


class Stack:
    """Everything that a demo runs; started on entry, stopped on exit, last first.

    Args:
        directory: Where data, logs and configuration go; exists and is empty.
        pace: The shortened waits.
        seed: Decides the provider's delays and duplicates.
        announce: Told what is being started.

    Raises:
        UserMistake: (on entry) a program is missing, a port is taken, or a process did not come
            up; what had been started is stopped.

    """

    def __init__(
        self,
        directory: Path,
        pace: Pace,
        seed: int,
        announce: Announce,
    ) -> None:
        self.directory = directory
        self._pace = pace
        self._seed = seed
        self._announce = announce
        self.timing = Timing(pace.scale)
        self._secrets = Secrets()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self._start(exits)
            # Nothing went wrong: the exits are now this object's.
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Whoever presses Ctrl-C twice still gets everything stopped.
        with interrupts_held():
            self._exits.__exit__(kind, error, traceback)

    @property
    def links(self) -> Mapping[str, str]:
        """What can be looked at while the demo runs."""
        return {
            "dashboards": self.previews,
            "Prometheus": f"{self.prometheus.url}/classic/alerts",
            "Alertmanager": f"{self.alertmanager.url}/api/v2/alerts",
            "exporter": f"{self.addresses.exporter}/metrics",
            "sender": f"{self.addresses.sender}/actuator/health",
            "provider simulator": f"{self.addresses.provider}/_control/stats",
            "trace store (Jaeger's API)": f"{self.addresses.traces}/api/services",
            "PostgreSQL": self.addresses.database,
            "logs and data": str(self.directory),
        }

    def require_running(self) -> None:
        """Raise `ProcessFailed` if a process has ended by itself."""
        self._postgres.require_running()
        self._supervisor.require_running()

    def _start(self, exits: ExitStack) -> None:
        self._announce("programs of PostgreSQL, Prometheus and Alertmanager")
        postgresql = find_tools(POSTGRESQL)
        prometheus, alertmanager = find_tools(PROMETHEUS), find_tools(ALERTMANAGER)
        self._supervisor = exits.enter_context(Supervisor(self.directory / "logs"))
        self.pager = exits.enter_context(Pager(journal=self.directory / "pages.jsonl"))
        self._announce("PostgreSQL")
        self._postgres = exits.enter_context(
            EmbeddedPostgres(self.directory / "postgres", tools=postgresql)
        )
        # The supervisor came first for its watch over SIGTERM, but the database goes last.
        exits.callback(self._supervisor.stop)
        self.addresses = Addresses(
            database=self._postgres.create_database(DATABASE),
            provider=f"http://127.0.0.1:{pick_port()}",
            traces=f"http://127.0.0.1:{pick_port()}",
            sender_port=pick_port(),
            exporter_port=pick_port(),
        )
        migrate(self.addresses.database, [*core_migrations(), *rollup_migrations()])
        self._environment = build_environment(os.environ, self.addresses, self._secrets, self._pace)
        self._start_own_processes()
        self._announce("Alertmanager")
        self.alertmanager: AlertmanagerApi = start_alertmanager(
            self._supervisor,
            self.directory / "alertmanager",
            render_alertmanager(self.timing, Contacts.pager(self.pager.url)),
            tools=alertmanager,
        )
        self._note_processes()
        self._announce("Prometheus")
        port = pick_port()
        # The pages link to the live dashboards: their address comes before the rules.
        asked = PrometheusApi(f"http://{LOOPBACK}:{port}")
        self.previews = exits.enter_context(serve_previews(asked, self.timing))
        self.prometheus: PrometheusApi = start_prometheus(
            self._supervisor,
            self.directory / "prometheus",
            self._configure_prometheus(port),
            port=port,
            tools=prometheus,
        )
        self._note_processes()
        self._announce("first scrapes")
        self._wait_for_scrapes()

    def _start_own_processes(self) -> None:
        """Start our own four at once, each waiting for nobody, then wait for all of them."""
        self._announce("trace store, provider simulator, sender, exporter")
        port_of_traces = self.addresses.traces.rpartition(":")[2]
        traces_file = str(self.directory / "traces.sqlite")
        started = [
            self._start_command(name, *arguments)
            for name, *arguments in (
                ("trace-store", "trace", "serve", "--port", port_of_traces, "--path", traces_file),
                ("simulator", *self._simulator_arguments()),
                ("sender", "sender"),
                ("exporter", "exporter"),
            )
        ]
        self._note_processes()
        probes = (
            http_probe(f"{self.addresses.traces}/healthz"),
            http_probe(f"{self.addresses.provider}/_control/stats"),
            http_probe(f"{self.addresses.sender}/readyz"),
            _shows_queue(f"{self.addresses.exporter}/metrics"),
        )
        for child, probe in zip(started, probes, strict=True):
            child.wait_ready(probe)
        self.provider = ProviderControl(self.addresses.provider)

    def _simulator_arguments(self) -> list[str]:
        habits = WebhookHabits()
        arguments = [
            "simulator",
            "--port", self.addresses.provider.rpartition(":")[2],
            "--callback-url", f"{self.addresses.sender}/webhooks/whatsapp",
            "--sendgrid-events-url", f"{self.addresses.sender}/webhooks/sendgrid",
            "--seed", str(self._seed),
            "--latency-ms", "40",
            "--latency-spread-ms", "80",
            "--delivery-ms", str(habits.delivery_ms),
            "--late-rate", str(habits.late_rate),
            "--late-ms", str(habits.late_ms),
            "--duplicate-rate", str(habits.duplicate_rate),
            "--out-of-order-rate", str(habits.out_of_order_rate),
            "--read-rate", str(habits.read_rate),
        ]  # fmt: skip
        for organisation in ORGANISATIONS:
            arguments += ["--phone-number-id", organisation.phone_number_id]
        for shape in TEMPLATES:
            arguments += ["--template", shape.code]
        return arguments

    def _start_command(self, name: str, *arguments: str) -> Child:
        # -P: a directory called outbound_slo where the user stands must not be taken for ours.
        command = [sys.executable, "-P", "-m", "outbound_slo", *arguments]
        return self._supervisor.start(name, command, environment=self._environment)

    def _configure_prometheus(self, port: int) -> str:
        rules = (self.directory / "prometheus" / "rules").absolute()
        rules.mkdir(parents=True)
        # The embedded store has no pages; who runs a Jaeger beside the demo finds its own.
        bases = LinkBases(runbooks=find_runbooks(), dashboards=self.previews.rstrip("/"))
        texts = render_rules(self.timing, bases=bases)
        for name, text in texts.items():
            (rules / name).write_text(text, encoding="utf-8")
        alertmanager = self.alertmanager.url.removeprefix("http://")
        return render_prometheus(
            self.timing,
            targets={
                EXPORTER_JOB: [f"127.0.0.1:{self.addresses.exporter_port}"],
                SENDER_JOB: [f"127.0.0.1:{self.addresses.sender_port}"],
                PROMETHEUS_JOB: [f"127.0.0.1:{port}"],
                ALERTMANAGER_JOB: [alertmanager],
            },
            rule_files=[str(rules / "*.yml")],
            alertmanager=alertmanager,
        )

    def _wait_for_scrapes(self) -> None:
        """Wait until Prometheus sees exporter and sender, and no alert fires.

        It takes five seconds to look for its targets, in which it rightly says that it has no
        data; a page about that is not the demo's story.
        """
        deadline = time.monotonic() + _SCRAPE_PATIENCE_S
        while not self._is_watched():
            self.require_running()
            if time.monotonic() > deadline:
                raise UserMistake(
                    "Prometheus does not get its first scrapes of exporter and sender",
                    f"See the logs in {self.directory / 'logs'}",
                )
            time.sleep(_SCRAPE_POLL_S)
        self.pager.forget()

    def _is_watched(self) -> bool:
        scraped = {target.job for target in self.prometheus.targets() if target.is_up}
        # Pending ones are left out: without traffic yet, one of them is pending rightly.
        firing = {a.name for a in self.prometheus.alerts() if a.state is AlertState.FIRING}
        return scraped >= {EXPORTER_JOB, SENDER_JOB} and not firing - {AlertName.WATCHDOG}

    def _note_processes(self) -> None:
        """Write who runs, anew after each start, so that an interrupted start is covered too."""
        processes = {"postgres": self._postgres.pid}
        processes |= {child.name: child.pid for child in self._supervisor.children}
        unfinished = self.directory / f".{PROCESSES_FILE}"
        unfinished.write_text(json.dumps(processes, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(self.directory / PROCESSES_FILE)


def _shows_queue(url: str) -> Probe:
    """Make a probe that is true once the exporter's page holds a snapshot of the queue."""

    def probe() -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return f"\n{metrics.QUEUE_DEPTH.name}{{" in session.get(url, timeout=1).text
        except requests.RequestException:
            return False

    return probe


def find_runbooks() -> str:
    """Give the base of the links to the alerts' pages: the checkout's own where there is one."""
    pages = Path(__file__).parents[2] / "docs" / "runbooks"
    return pages.as_uri() if pages.is_dir() else RUNBOOK_BASE_URL
