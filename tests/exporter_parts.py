"""What tests of the exporter share: reading a page strictly, and writing small packs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import psycopg
import requests
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.collector import Clock
from exporter.loader import load_packs
from exporter.page import Page
from exporter.service import SYSTEM_CLOCK, Service
from exporter.target import own_target
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.errors import ErrorPolicy

Connection = psycopg.Connection
Sample = tuple[str, frozenset[tuple[str, str]]]
Numbers = dict[Sample, float]


def parse_openmetrics(text: str) -> list[Family]:
    """Parse strictly: order, suffixes, clashing names and the end mark are all checked."""
    # The library's function has no annotations of its own.
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # no types there


def read_text(text: str) -> Numbers:
    """Give the samples of a page in the text format."""
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def read_openmetrics(text: str) -> Numbers:
    """Give the samples of a page in OpenMetrics' format."""
    families = parse_openmetrics(text)
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def read_page(page: Page) -> Numbers:
    """Give the samples of a page; its two formats must agree."""
    numbers = read_text(page.text.plain.decode())
    assert read_openmetrics(page.openmetrics.plain.decode()) == numbers
    return numbers


def pick(numbers: Numbers, name: str, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
    """Give the samples of one name that have at least these labels."""
    wanted = set(labels.items())
    return {
        found: value
        for (sample, found), value in numbers.items()
        if sample == name and wanted <= found
    }


def total(numbers: Numbers, name: str, **labels: str) -> float:
    """Add up the samples of one name that have at least these labels; there must be some."""
    found = pick(numbers, name, **labels)
    assert found, f"no sample of {name} with {labels}"
    return sum(found.values())


def write_pack(
    folder: Path, metrics: str, queries: Mapping[str, str], timeout_ms: int = 5000
) -> str:
    """Write a pack of YAML for its metrics and SQL by query name; gives its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"  {name}: {{file: q.sql}}\n" for name in queries)
    folder.joinpath("pack.yml").write_text(
        f"pack: {folder.name}\n"
        f"defaults: {{timeout_ms: {timeout_ms}, absent_after_s: 30, max_series: 50}}\n"
        f"queries:\n{listed}metrics:\n{metrics}"
    )
    blocks = "".join(f"-- name: {name}\n{text}\n" for name, text in queries.items())
    folder.joinpath("q.sql").write_text(blocks)
    return str(folder)


def make_settings(**milliseconds: int) -> ExporterSettings:
    """Make settings of an exporter on a free port; durations in milliseconds."""
    names = {
        "interval": "OUTBOUND_METRICS_UPDATE_INTERVAL_MS",
        "timeout": "OUTBOUND_EXPORTER_STATEMENT_TIMEOUT_MS",
        "lock_timeout": "OUTBOUND_EXPORTER_LOCK_TIMEOUT_MS",
    }
    chosen = {names[name]: value for name, value in milliseconds.items()}
    return ExporterSettings.model_validate({"OUTBOUND_EXPORTER_PORT": 0, **chosen})


@contextmanager
def open_service(
    database: str,
    *references: str,
    compat: bool = True,
    clock: Clock = SYSTEM_CLOCK,
    elects: bool = True,
    **milliseconds: int,
) -> Iterator[Service]:
    """Give an exporter that refreshes when told to, and serves nobody."""
    packs = load_packs(references or ["outbound"], ErrorPolicy.RUNBOOK, compat=compat)
    targets = [own_target(database, packs)]
    service = Service(lambda: targets, make_settings(**milliseconds), clock, elects=elects)
    try:
        yield service
    finally:
        service.close()


def refresh_and_read(service: Service) -> Numbers:
    """Refresh once and read the page."""
    service.refresh()
    return read_page(service.publication.page())


_COMMAND = Path(sys.executable).parent / "outbound-slo"


def _make_environment(database: str, **variables: str) -> dict[str, str]:
    return os.environ | {"DATABASE_URL": database, "OUTBOUND_EXPORTER_PORT": "0"} | variables


def run_exporter(
    database: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `outbound-slo exporter` to its end."""
    return subprocess.run(
        [_COMMAND, "exporter", *arguments],
        env=_make_environment(database, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def serving(database: str, *arguments: str, **variables: str) -> Iterator[tuple[str, int]]:
    """Run the exporter; gives its base URL and process id. It must end well on SIGTERM."""
    with subprocess.Popen(
        [_COMMAND, "exporter", *arguments],
        env=_make_environment(database, **variables),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if "Serving" in line), "")
            assert said, "the exporter ended before it served"
            yield said.rpartition(" ")[2].strip().removesuffix("/metrics"), process.pid
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 0, errors
            assert "Traceback" not in errors
        finally:
            process.kill()


def get_numbers(url: str) -> Numbers:
    """Scrape an exporter by its base URL."""
    answer = requests.get(f"{url}/metrics", timeout=30)
    assert answer.status_code == HTTPStatus.OK
    return read_text(answer.text)


def add(connection: Connection, count: int = 1, /, **columns: object) -> None:
    """Insert messages as they are, instants as SQL intervals before now (`created='3 hours'`)."""
    values = {"channel": "WHATSAPP", "status": "QUEUED"} | columns
    connection.execute(
        "INSERT INTO outbound_message (org_id, to_recipient, channel, status, attempt_count,"
        " error_code, created_at, updated_at, next_retry_at, scheduled_at)"
        " SELECT %(org)s, '+' || n, %(channel)s, %(status)s, %(attempts)s, %(code)s,"
        " now() - %(created)s::interval, now() - %(updated)s::interval,"
        " now() + %(retry_in)s::interval, now() + %(scheduled_in)s::interval"
        " FROM generate_series(1, %(count)s) AS n",
        {
            "org": "org",
            "attempts": 0,
            "code": None,
            "created": "0",
            "updated": "0",
            "retry_in": None,
            "scheduled_in": None,
            "count": count,
        }
        | values,
    )


def send(connection: Connection, count: int, outcome: str = "SENT", code: str = "") -> None:
    """Take messages through one attempt, so that the rollup sees it end."""
    status = "SENT" if outcome == "SENT" else "FAILED"
    with connection.transaction():
        add(connection, count, status="SENDING")
        connection.execute(
            "INSERT INTO outbound_attempt (outbound_message_id, attempt_no)"
            " SELECT id, 1 FROM outbound_message WHERE status = 'SENDING'"
        )
        connection.execute(
            "UPDATE outbound_attempt SET outcome = %s, error_code = %s WHERE outcome = 'IN_FLIGHT'",
            (outcome, code),
        )
        connection.execute(
            "UPDATE outbound_message SET status = %s, error_code = %s, sent_at = now(),"
            " attempt_count = max_attempts WHERE status = 'SENDING'",
            (status, code),
        )
