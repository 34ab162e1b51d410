"""Traps that other exporters fell into (T4 to T6), judged by Prometheus's own functions."""

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from exporter.service import Service
from outbound_slo.embedded.binaries import Tools
from tests.exporter_parts import Connection, Numbers, refresh_and_read, send


def ask_prometheus(tools: Tools, folder: Path, pages: Sequence[Numbers], expression: str) -> None:
    """Fail unless an expression is 1 after pages that were scraped a minute apart."""
    series = []
    for name, labels in {sample for page in pages for sample in page}:
        values = [page.get((name, labels)) for page in pages]
        written = " ".join("_" if value is None else repr(value) for value in values)
        pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in labels if value)
        series.append({"series": f"{name}{{{pairs}}}", "values": written})
    case = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{len(pages) - 1}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        ],
    }
    file = folder / "trap.yml"
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": [case]}))
    told = subprocess.run(
        [tools["promtool"], "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def scrape_through(service: Service, *events: Callable[[], None]) -> list[Numbers]:
    """Scrape twice, then once after each event and once more."""
    pages = [refresh_and_read(service), refresh_and_read(service)]
    for event in events:
        event()
        pages.append(refresh_and_read(service))
    return [*pages, refresh_and_read(service)]


def keep(pages: Sequence[Numbers], name: str) -> list[Numbers]:
    return [{key: value for key, value in page.items() if key[0] == name} for page in pages]


def test_t4_the_first_failures_of_a_code_are_an_increase(
    service: Service, outbox: Connection, prometheus_tools: Tools, tmp_path: Path
) -> None:
    pages = scrape_through(service, lambda: send(outbox, 7, "FAILED", "131016"))
    name = "outbound_attempts_total"

    ask_prometheus(
        prometheus_tools,
        tmp_path,
        keep(pages, name),
        f'sum(increase({name}{{error_code="131016"}}[10m])) >= bool 7',
    )


def test_t5_a_purge_is_no_flood_of_events(
    service: Service, outbox: Connection, prometheus_tools: Tools, tmp_path: Path
) -> None:
    send(outbox, 300)

    def purge() -> None:
        outbox.execute("DELETE FROM outbound_message")
        send(outbox, 5)

    pages = scrape_through(service, purge)
    name = "outbound_messages_finished_total"

    ask_prometheus(
        prometheus_tools,
        tmp_path,
        keep(pages, name),
        f"sum(increase({name}[10m])) >= bool 5 and sum(increase({name}[10m])) < bool 50",
    )


def test_t6_without_any_failure_the_failure_ratio_is_zero_and_not_empty(
    service: Service, outbox: Connection, prometheus_tools: Tools, tmp_path: Path
) -> None:
    pages = scrape_through(service, lambda: send(outbox, 7))
    name = "outbound_attempts_total"

    ask_prometheus(
        prometheus_tools,
        tmp_path,
        keep(pages, name),
        f'sum(rate({name}{{outcome="failed"}}[10m])) / sum(rate({name}[10m])) == bool 0',
    )
