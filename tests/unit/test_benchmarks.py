"""The benchmarks' own arithmetic: what a wrong figure would come from."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from rich.console import Console

from benchmarks.latencies import percentile
from benchmarks.processor import processor_seconds, resident_bytes
from benchmarks.report import Goal, Report
from benchmarks.sender import GOALS
from benchmarks.statements import fingerprint
from outbound_slo.embedded.child import Child
from outbound_slo.embedded.processes import pick_port, tcp_probe

KEYS = [
    "messages_per_second_1",
    "messages_per_second_2",
    "vs_textbook_worker",
    "vs_procrastinate",
    "vs_pgqueuer",
    "tracing_kept",
    "claim_slowdown_100k_deferred",
    "claim_slowdown_10m_rows",
    "claim_slowdown_100k_blocked",
    "claim_slowdown_hot_recipient",
    "claim_slowdown_old_snapshot",
    "urgent_p99_during_campaign",
    "webhook_1000_ms",
    "idle_wake_ms",
    "lost",
]


def quiet_report(*goals: Goal) -> Report:
    return Report(goals, Console(file=io.StringIO()))


def test_the_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(300, 0, -1)]
    assert percentile(values, 0.99) == 297.0
    assert percentile(values, 0.5) == 150.0
    assert percentile([7.0], 0.99) == 7.0


def test_the_last_line_has_exactly_the_promised_keys(capsys: pytest.CaptureFixture[str]) -> None:
    report = quiet_report(*GOALS)
    report.note("lost", 0)
    report.note("vs_pgqueuer", 0.123456)
    report.finish()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(line) == KEYS
    assert line["lost"] == 0
    assert line["vs_pgqueuer"] == 0.1235
    assert line["idle_wake_ms"] is None


def test_a_figure_that_was_not_promised_is_refused() -> None:
    with pytest.raises(KeyError):
        quiet_report(*GOALS).note("messages_per_minute", 1.0)


def test_a_goal_is_met_on_its_own_side_of_the_bound() -> None:
    assert Goal("a", "", at_least=2.5).is_met(2.5) is True
    assert Goal("a", "", at_least=2.5).is_met(2.4) is False
    assert Goal("a", "", at_most=1.2).is_met(1.2) is True
    assert Goal("a", "", at_most=1.2).is_met(1.3) is False
    assert Goal("a", "").is_met(1.3) is None


def test_a_statement_is_known_again_in_the_form_in_which_the_server_keeps_it() -> None:
    sent = "-- Ours.\nSELECT 'a''b', extract(EPOCH FROM x), true FROM t WHERE id = %(id)s LIMIT 10"
    kept = "SELECT $1, extract($2 FROM x), $3 FROM t WHERE id = $4 LIMIT $5"
    assert fingerprint(sent) == fingerprint(kept)
    assert fingerprint(sent) != fingerprint(kept.replace("FROM t", "FROM other"))


def test_processor_time_holds_that_of_children() -> None:
    before = processor_seconds(os.getpid())
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert processor_seconds(os.getpid()) - before >= 0.25


def test_resident_memory_is_that_of_the_process() -> None:
    before = resident_bytes(os.getpid())
    held = bytes(50_000_000).replace(b"\0", b"\1")
    assert resident_bytes(os.getpid()) - before > 0.8 * len(held)


def test_the_sink_answers_every_export_of_a_connection(tmp_path: Path) -> None:
    port = pick_port()
    command = [sys.executable, "-m", "benchmarks.sink", str(port)]
    child = Child("sink", command, tmp_path / "sink.log")
    try:
        child.wait_ready(tcp_probe(port))
        with requests.Session() as session:
            session.trust_env = False
            for size in (0, 1, 70_000, 3):
                answer = session.post(
                    f"http://127.0.0.1:{port}/v1/traces", data=bytes(size), timeout=5
                )
                assert answer.status_code == 200
    finally:
        child.stop()
