"""The campaign: a small part of each mixture in every run, every scenario whole on demand.

`--campaign` runs every scenario whole, `--fault-table FILE` writes the table there too, and
`--fault-seed N` draws other plans.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.faults.judge import Verdict
from tests.faults.plan import Scale
from tests.faults.runner import run, running_server
from tests.faults.scenarios.scenario import Scenario
from tests.faults.table import Line, describe, render

_PROPERTY = "fault-line"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--campaign", action="store_true", help="run every fault scenario whole")
    group.addoption("--fault-table", help="file for the table of the fault scenarios")
    group.addoption("--fault-seed", type=int, default=1, help="seed of the fault scenarios")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each module's scenarios to its tests: the mixtures, or all."""
    if "scenario" not in metafunc.fixturenames:
        return
    whole = _scale(metafunc.config) is Scale.WHOLE
    chosen = [one for one in metafunc.module.SCENARIOS if whole or one.mixture]
    metafunc.parametrize("scenario", chosen, ids=[one.name for one in chosen])


def _scale(config: pytest.Config) -> Scale:
    # The options are unknown where this file is found only while tests are collected.
    return Scale.WHOLE if config.getoption("campaign", default=False) else Scale.SMALL


@pytest.fixture(scope="module")
def fault_server() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL of the module's own, which may be crashed."""
    with running_server() as server:
        yield server


@pytest.fixture
def verdict(
    request: pytest.FixtureRequest,
    scenario: Scenario,
    fault_server: EmbeddedPostgres,
    tmp_path: Path,
) -> Verdict:
    """Run a scenario and give the verdict; its line goes into the table."""
    seed = request.config.getoption("fault_seed", default=1)
    plan = scenario.plan(seed, _scale(request.config))
    found = run(plan, fault_server, tmp_path)
    line = asdict(describe(scenario.name, plan.done, found))
    request.node.user_properties.append((_PROPERTY, line))
    return found


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and write it where the option says."""
    # xdist hands properties over as JSON, so a line travels as a mapping.
    lines = [
        Line(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == _PROPERTY and isinstance(value, dict)
    ]
    if not lines:
        return
    table = render(sorted(lines, key=lambda line: line.scenario))
    terminalreporter.section("faults")
    terminalreporter.write(table)
    file = config.getoption("fault_table", default=None)
    if file is not None:
        Path(file).write_text(table, encoding="utf-8")
