"""The demo as a user runs it: real processes from one command, judged by what it leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from outbound_slo.demo.content import ORGANISATIONS
from outbound_slo.demo.night import STATUS_FILE
from outbound_slo.demo.pace import build_pace
from outbound_slo.demo.report import REPORT_FILE
from outbound_slo.demo.stack import PROCESSES_FILE
from outbound_slo.demo.timeline import shortest_duration
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import Dashboard
from tests.dashboard_parts import fill, judge_shape, list_targets, open_prometheus
from tests.patience import wait_for

PROGRAM = str(Path(sys.executable).with_name("outbound-slo"))
# Twice the demo's usual scale: the same story in less time.
SCALE = 40
DURATION = int(shortest_duration(build_pace(SCALE))) + 1
PATIENCE_S = DURATION + 120.0
STARTED = {
    "postgres", "trace-store", "simulator", "sender", "exporter", "alertmanager", "prometheus",
}  # fmt: skip


@dataclass(frozen=True)
class Demo:
    """One running or ended demo.

    Attributes:
        mark: A variable in the environment of it and of all that it starts.

    """

    process: subprocess.Popen[bytes]
    directory: Path
    stdout: Path
    stderr: Path
    mark: str

    def output(self) -> str:
        return self.stdout.read_text(encoding="utf-8")

    def complaint(self) -> str:
        return self.stderr.read_text(encoding="utf-8")

    def processes(self) -> dict[str, int]:
        """Name and id of what it has started so far."""
        file = self.directory / PROCESSES_FILE
        found: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        return found

    def await_line(self, text: str) -> None:
        """Wait until the screen shows `text`; give up at once if the demo has ended."""
        wait_for(lambda: text in self.output() or self.has_ended(), text, 120)
        assert text in self.output(), self.complaint()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def survivors(self) -> list[str]:
        """Command lines of everything that it started and that still runs."""
        return [
            (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and self._is_mine(entry)
        ]

    def _is_mine(self, entry: Path) -> bool:
        try:
            return self.mark.encode() in (entry / "environ").read_bytes()
        except OSError:
            # Ended meanwhile, or another user's.
            return False


@dataclass(frozen=True)
class Launcher:
    """Starts demos below one directory and sees that none outlives its test."""

    root: Path
    demos: list[Demo]

    def start(self, name: str, *arguments: str, **variables: str) -> Demo:
        place = self.root / name
        place.mkdir()
        mark = f"demo-{uuid.uuid4().hex}"
        files = place / "stdout", place / "stderr"
        with files[0].open("wb") as stdout, files[1].open("wb") as stderr:
            process = subprocess.Popen(
                [PROGRAM, "demo", "--plain", "--data-dir", str(place / "data"), *arguments],
                stdout=stdout,
                stderr=stderr,
                env=os.environ | {"DEMO_TEST_MARK": mark} | variables,
            )
        demo = Demo(process, place / "data", *files, mark)
        self.demos.append(demo)
        return demo

    def end(self) -> None:
        for demo in self.demos:
            if not demo.has_ended():
                demo.process.send_signal(signal.SIGTERM)
                demo.wait()


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    # Not pytest's own: where the tests run as root, PostgreSQL's user has to get through.
    with tempfile.TemporaryDirectory(prefix="outbound-slo-acceptance-") as root:
        Path(root).chmod(0o755)
        running = Launcher(Path(root), [])
        # Who runs the tests in the background may have made all that they start deaf to Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield running
        finally:
            running.end()
            signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def pair(launcher: Launcher) -> tuple[Demo, Demo]:
    """Run a demo with the incident and one without side by side, which must be possible too."""
    arguments = ("--time-scale", str(SCALE), "--duration", str(DURATION))
    started = (
        launcher.start("outage", *arguments),
        launcher.start("uneventful", *arguments, "--scenario", "none"),
    )
    for demo in started:
        demo.wait()
    return started


@pytest.fixture(scope="module")
def caught(pair: tuple[Demo, Demo]) -> Demo:
    return pair[0]


@pytest.fixture(scope="module")
def uneventful(pair: tuple[Demo, Demo]) -> Demo:
    return pair[1]


@pytest.fixture(scope="module")
def report(caught: Demo) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((caught.directory / REPORT_FILE).read_text("utf-8"))
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_caught_incident_is_exit_code_0(caught: Demo) -> None:
    assert caught.process.returncode == 0, caught.output()[-3000:] + caught.complaint()
    assert caught.complaint() == ""


def test_all_parts_ran_and_none_is_left(caught: Demo) -> None:
    assert set(caught.processes()) == STARTED
    assert caught.survivors() == []


def test_the_screen_says_what_is_shortened_and_where_the_data_is(caught: Demo) -> None:
    output = caught.output()
    assert f"Timing(scale={SCALE})" in output
    assert "OUTBOUND_RETRY_BACKOFF_SECONDS" in output
    assert f"Data, logs and report: {caught.directory}" in output


def test_the_alert_fires_pages_and_resolves_in_the_real_chain(report: dict[str, Any]) -> None:
    incident = report["incident"]
    page, resolved = incident["page"], incident["resolved_page"]
    assert moment(incident["broke_at"]) <= moment(incident["first_failure_at"])
    assert incident["fired_at"] is not None
    assert incident["reached_alertmanager_at"] is not None
    assert page["alert"] == resolved["alert"] == incident["alert"]
    assert (page["severity"], page["priority"]) == ("critical", "P1")
    assert page["summary"].startswith("WhatsApp")
    assert page["runbook_url"].endswith(f"/{page['alert']}.md")
    assert moment(resolved["received_at"]) > moment(incident["healed_at"])
    assert incident["seconds_to_page"] > 0


def test_the_screen_of_the_night_was_recorded_when_the_page_came(
    caught: Demo, report: dict[str, Any]
) -> None:
    recorded = caught.directory / STATUS_FILE
    assert report["ops_status"] == str(recorded)
    assert f"What outbound-slo ops status said after the page: {recorded}" in caught.output()
    text = recorded.read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    # The failing channel with its code, the open breaker, the crossed line, and who is called.
    assert re.search(r"^WHATSAPP +131016 +\d+ +\d+ +Service briefly down +yes$", text, re.MULTILINE)
    assert re.search(r"alive +yes .*WHATSAPP open$", text, re.MULTILINE)
    told = " ".join(text.split())
    assert re.search(r"P1 L2 WHATSAPP: none of the last \d+ attempts was accepted", told)
    assert "the circuit breaker is open in 1 of 1 senders (line: " in told
    assert "Call L2: tech lead" in told


def test_the_dashboards_were_served_while_it_ran_and_are_kept_as_pages(
    caught: Demo, report: dict[str, Any]
) -> None:
    assert re.search(r"^  dashboards: http://127\.0\.0\.1:\d+/$", caught.output(), re.MULTILINE)
    kept = caught.directory / "dashboards"
    assert report["dashboards"] == str(kept)
    assert f"Dashboards over the whole run: {kept}" in caught.output()
    for uid in Dashboard:
        panels = read_panels(kept / f"{uid}.html")
        assert [panel["error"] for panel in panels if panel["error"]] == []
    drawn = {panel["title"]: panel for panel in read_panels(kept / f"{Dashboard.SLA}.html")}
    assert drawn["Queue Depth"]["tiles"]
    assert drawn["Message Volume (sent/failed/queued)"]["chart"]["lines"]


def read_panels(page: Path) -> list[dict[str, Any]]:
    [data] = re.findall(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    [dashboard] = json.loads(data)["dashboards"]
    panels: list[dict[str, Any]] = dashboard["panels"]
    return panels


# What a demo of some minutes has no cause to show, by dashboard, panel and query.
WITHOUT_CAUSE = {
    (Dashboard.SLO, 10, "A"): "deliveries are judged minutes after they were sent",
    (Dashboard.SLO, 15, "A"): "the same",
    (Dashboard.SLO, 15, "B"): "the same",
    (Dashboard.HEALTH, 16, "A"): "the provider gives no notice",
    (Dashboard.HEALTH, 16, "B"): "no template is registered",
    (Dashboard.HEALTH, 17, "B"): "the end of the version asked for is not known",
    (Dashboard.HEALTH, 21, "B"): "no query of the exporter fails",
    (Dashboard.HEALTH, 21, "C"): "no query has too many series",
    (Dashboard.HEALTH, 26, "A"): "autovacuum may not have come by",
    (Dashboard.HEALTH, 27, "A"): "there is no replica",
    (Dashboard.HEALTH, 27, "C"): "the same",
    (Dashboard.HEALTH, 29, "C"): "every notification arrives",
    (Dashboard.HEALTH, 31, "B"): "refusals happen by chance",
    (Dashboard.HEALTH, 31, "C"): "nothing is put off",
    (Dashboard.HEALTH, 33, "B"): "there is no Redis",
    (Dashboard.ORGANISATION, 5, "A"): "recipients are counted each half hour",
    (Dashboard.ORGANISATION, 11, "A"): "no alert is about one organisation",
}


@pytest.fixture(scope="module")
def remembered(
    caught: Demo, prometheus_tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusApi]:
    """Start a Prometheus on what the demo's own has left."""
    directory = tmp_path_factory.mktemp("remembered")
    shutil.copytree(caught.directory / "prometheus" / "data", directory / "data")
    (directory / "data" / "lock").unlink(missing_ok=True)
    with open_prometheus(prometheus_tools, directory, step_s=5) as api:
        yield api


def test_every_query_of_every_panel_had_data_of_its_panels_shape(
    remembered: PrometheusApi, report: dict[str, Any]
) -> None:
    healed = moment(report["incident"]["healed_at"]).timestamp()
    resolved = moment(report["incident"]["resolved_page"]["received_at"]).timestamp()
    chosen = {"org_id": ORGANISATIONS[0].org_id, "__rate_interval": "4s", "__range": "3m"}
    silent, wrong = set(), {}
    for target in list_targets():
        expression = fill(target.expression, **chosen)
        answers = [remembered.query(expression, at=at) for at in (healed, resolved)]
        if not any(answers):
            silent.add((target.dashboard, target.panel["id"], target.query["refId"]))
        found = [fault for each in answers if each for fault in judge_shape(target, each)]
        if found:
            wrong[target.name] = found
    assert silent <= WITHOUT_CAUSE.keys(), silent - WITHOUT_CAUSE.keys()
    assert wrong == {}


def test_the_pages_are_in_the_journal(caught: Demo, report: dict[str, Any]) -> None:
    lines = (caught.directory / "pages.jsonl").read_text("utf-8").splitlines()
    states = {json.loads(line)["state"] for line in lines}
    assert states == {"firing", "resolved"}
    assert len(lines) >= len(report["incident"]["pages"])


def test_no_message_is_lost_or_sent_twice_and_some_are_refused(report: dict[str, Any]) -> None:
    messages = report["messages"]
    assert messages["queued"] > DURATION
    assert messages["lost"] == []
    assert messages["sent_twice"] == []
    fates = messages["fates"]
    assert sum(fates.values()) == messages["queued"]
    assert fates["delivered"] > 0
    assert fates["refused"] > 0


def test_every_promise_of_the_sla_table_was_measured(report: dict[str, Any]) -> None:
    assert [row["indicator"] for row in report["sla"]] == [
        "Send latency",
        "Delivery latency",
        "Success rate",
        "Queue depth",
        "Stuck messages",
        "Quota usage",
    ]
    assert all(row["value"] is not None and row["worst"] is not None for row in report["sla"])
    rows = {row["indicator"]: row for row in report["sla"]}
    # The outage shows: messages waited for their retries, and piled up behind the open breaker.
    assert rows["Send latency"]["worst"] > rows["Delivery latency"]["worst"]
    assert rows["Queue depth"]["worst"] > rows["Queue depth"]["value"] == 0
    # Refusals of our own are no failures; recipients that can't be reached are, and they are few.
    assert 95 < rows["Success rate"]["value"] < 100
    assert 0 < rows["Success rate"]["worst"] <= rows["Success rate"]["value"]
    assert 0 < rows["Quota usage"]["value"] < 80
    assert rows["Stuck messages"]["met"]


def test_webhooks_came_back_and_none_is_open(report: dict[str, Any]) -> None:
    webhooks = report["webhooks"]
    assert webhooks["pending"] == 0
    assert webhooks["delivered"] == webhooks["scheduled"] > report["messages"]["fates"]["delivered"]


def test_the_traces_of_a_failed_and_a_delivered_message_are_drawn(caught: Demo) -> None:
    output = caught.output()
    assert "✗ whatsapp-cloud-api-send" in output
    assert "error.code=131016" in output
    assert "webhook.in" in output
    assert "new.status=DELIVERED" in output


def test_the_printed_report_names_its_results(caught: Demo) -> None:
    output = caught.output()
    assert "SLA of runbook 000" in output
    assert "Time from first failure to page:" in output
    assert "PASSED: the incident was caught and every message survived it" in output
    assert "✗ The" not in output


def test_without_an_incident_there_is_nothing_caught_and_the_exit_code_is_1(
    uneventful: Demo,
) -> None:
    assert uneventful.process.returncode == 1, uneventful.complaint()
    document = json.loads((uneventful.directory / REPORT_FILE).read_text("utf-8"))
    assert document["passed"] is False
    met = {finding["title"]: finding["met"] for finding in document["findings"]}
    assert not met["The provider failed"]
    assert not met["The alert fired in Prometheus"]
    assert not met["The pager was called"]
    assert met["The pager was quiet before the incident"]
    assert met["No message was lost"]
    assert met["No message was sent twice"]
    assert document["incident"]["pages"] == []
    assert document["ops_status"] is None
    assert uneventful.survivors() == []


def test_ctrl_c_stops_everything_that_was_started(launcher: Launcher) -> None:
    demo = launcher.start("interrupted")
    demo.await_line("== warm-up")
    assert len(demo.survivors()) > len(STARTED)
    demo.process.send_signal(signal.SIGINT)
    # The impatient press it again: at the first sign that it is stopping.
    wait_for(lambda: len(demo.survivors()) <= len(STARTED) or demo.has_ended(), "an end", 60)
    if not demo.has_ended():
        demo.process.send_signal(signal.SIGINT)
    assert demo.wait() == 130
    assert demo.survivors() == []
    assert f"Everything is stopped. Data and logs: {demo.directory}" in demo.output()
    assert "Traceback" not in demo.output() + demo.complaint()
    assert (demo.directory / "logs" / "sender.log").exists()


def test_a_termination_during_set_up_leaves_nothing(launcher: Launcher) -> None:
    demo = launcher.start("terminated")
    wait_for(lambda: "sender" in demo.processes() or demo.has_ended(), "the sender's start", 60)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.wait() == 128 + signal.SIGTERM
    assert demo.survivors() == []
    assert "Traceback" not in demo.output() + demo.complaint()


def test_a_process_that_dies_is_one_line_with_its_log_and_stops_everything(
    launcher: Launcher,
) -> None:
    demo = launcher.start("wounded")
    demo.await_line("== warm-up")
    os.kill(demo.processes()["exporter"], signal.SIGKILL)
    assert demo.wait() == 2
    [line] = demo.complaint().splitlines()
    assert line.startswith("outbound-slo: exporter ended by itself (signal 9)")
    assert line.endswith(f"Log: {demo.directory / 'logs' / 'exporter.log'}")
    assert demo.survivors() == []


def test_a_missing_program_is_one_line_and_nothing_is_left(
    launcher: Launcher, tmp_path: Path
) -> None:
    demo = launcher.start("unequipped", OUTBOUND_SLO_PROMETHEUS_BIN=str(tmp_path))
    assert demo.wait() == 2
    [line] = demo.complaint().splitlines()
    assert f"OUTBOUND_SLO_PROMETHEUS_BIN names {tmp_path}, which has no program" in line
    assert demo.processes() == {}
    assert demo.survivors() == []
