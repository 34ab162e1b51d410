"""What compose mounts and passes is judged by the real programs."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, pick_port, tcp_probe
from tests.unit.compose import ROOT, read_filled_compose

GENERATED = ROOT / "alerts/generated"
SERVICES = read_filled_compose()["services"]


def _flags(service: str) -> set[str]:
    return {word.partition("=")[0] for word in SERVICES[service]["command"]}


def _options(service: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in SERVICES[service]["command"])
    return {name: value for name, _, value in pairs}


def _mounted(service: str, path: str) -> str:
    """Find the project's file behind a path in a container."""
    for mount in SERVICES[service]["volumes"]:
        source, target, *_ = mount.split(":")
        if path == target or path.startswith(f"{target}/"):
            return f"{source}{path.removeprefix(target)}"
    raise AssertionError(f"nothing is mounted at {path}")


def test_promtool_accepts_the_configuration_that_prometheus_is_given(
    prometheus_tools: Tools,
) -> None:
    path = ROOT / _mounted("prometheus", _options("prometheus")["--config.file"])
    checked = prometheus_tools.run("promtool", "check", "config", str(path))
    assert checked.returncode == 0, checked.stderr
    rule_files = len(list(GENERATED.glob("outbound-*.yml")))
    assert f"{rule_files} rule files found" in checked.stdout


def test_amtool_accepts_the_configuration_that_alertmanager_is_given(
    alertmanager_tools: Tools,
) -> None:
    path = ROOT / _mounted("alertmanager", _options("alertmanager")["--config.file"])
    checked = alertmanager_tools.run("amtool", "check-config", str(path))
    assert checked.returncode == 0, checked.stderr
    assert "SUCCESS" in checked.stdout


@pytest.mark.parametrize(
    ("service", "fixture"),
    [("prometheus", "prometheus_tools"), ("alertmanager", "alertmanager_tools")],
)
def test_the_program_knows_every_flag_that_it_is_started_with(
    request: pytest.FixtureRequest, service: str, fixture: str
) -> None:
    tools: Tools = request.getfixturevalue(fixture)
    # kingpin prints its help to standard output or standard error, by version.
    told = tools.run(service, "--help")
    known = set(re.findall(r"--[a-z][\w.-]+", told.stdout + told.stderr))
    assert _flags(service) <= known


@pytest.fixture
def pager(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Compose's pager as a process of its own: its address and its log."""
    script = ROOT / _mounted("pager", SERVICES["pager"]["entrypoint"][1])
    port = pick_port()
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start(
            "pager",
            [sys.executable, str(script), LOOPBACK, str(port)],
            ready=tcp_probe(port),
        )
        yield f"http://{LOOPBACK}:{port}", child.log


def _notification(**changes: object) -> dict[str, Any]:
    """Make a notification as Alertmanager's webhook sends it, version 4."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "WhatsAppProviderDown", "priority": "P1", "severity": "critical"},
        "annotations": {"summary": "35 of 40 attempts failed", "runbook_url": "https://r/W.md"},
        "startsAt": "2026-01-02T03:04:05.678Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://localhost:9090/graph",
        "fingerprint": "c0ffee",
    }
    return {"version": "4", "status": "firing", "alerts": [alert | changes]}


def test_a_page_is_one_line_in_the_pagers_log(pager: tuple[str, Path]) -> None:
    url, log = pager
    answer = requests.post(f"{url}/l1", json=_notification(), timeout=5)
    assert answer.status_code == 200
    assert log.read_text("utf-8").splitlines()[1:] == [
        "l1 firing P1 WhatsAppProviderDown: 35 of 40 attempts failed https://r/W.md"
    ]


def test_the_pager_refuses_what_no_alertmanager_sends(pager: tuple[str, Path]) -> None:
    url, log = pager
    for body in ("{", json.dumps(_notification(labels={}))):
        assert requests.post(url, data=body, timeout=5).status_code == 400
    assert len(log.read_text("utf-8").splitlines()) == 1


def test_the_simulators_health_check_is_answered_by_what_compose_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SERVICES["simulator"]
    for name, value in given["environment"].items():
        monkeypatch.setenv(name, value)
    port = pick_port()
    command = [
        word.replace("0.0.0.0", LOOPBACK).replace("8090", str(port))  # noqa: S104 - taken out here
        for word in given["command"]
    ]
    [path] = re.findall(r"127\.0\.0\.1:8090(/[\w/]+)", json.dumps(given["healthcheck"]))
    with Supervisor(tmp_path) as supervisor:
        program = Path(sys.executable).with_name("outbound-slo")
        supervisor.start("simulator", [str(program), *command], ready=tcp_probe(port))
        assert requests.get(f"http://{LOOPBACK}:{port}{path}", timeout=5).status_code == 200
