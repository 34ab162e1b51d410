"""Real parts for every test that asks: a PostgreSQL server, fresh databases, the tool kits.

A part that is missing and can't be fetched fails the tests that need it; nothing is skipped.
"""

import os
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

from dashboards.preview.picture import find_browser
from outbound_slo.database import migrate
from outbound_slo.embedded.binaries import ALERTMANAGER, PROMETHEUS, Tools, find_tools
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.schema import all_migrations

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A slow machine is no failure, and tests run beside each other.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

_TEMPLATE = "migrated_template"
# Names are never used twice in a session: a clone that failed to go is no trouble to the next.
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="draw more requests at random, as in make coverage"
    )


def pytest_runtest_setup() -> None:
    """Have code that a test calls log plainly, whatever the test before has set up.

    Structlog's own tracebacks, in colours and with every variable, take up to a second each.
    """
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One real server for the session, without fsync, with pg_stat_statements loaded."""
    settings = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "200"}
    with EmbeddedPostgres(fsync=False, settings=settings) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """Name of a database to which all migrations were applied, once."""
    migrate(postgres_server.create_database(_TEMPLATE), all_migrations())
    return _TEMPLATE


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """URL of a migrated database of the test's own, dropped afterwards."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name, template=template_database)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a database of the test's own without any migration, dropped afterwards."""
    name = f"empty_{next(_numbers)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def prometheus_tools() -> Tools:
    """Real `prometheus` and `promtool`."""
    return find_tools(PROMETHEUS)


@pytest.fixture(scope="session")
def alertmanager_tools() -> Tools:
    """Real `alertmanager` and `amtool`."""
    return find_tools(ALERTMANAGER)


@pytest.fixture(scope="session")
def chromium_tools() -> Tools:
    """Real headless Chromium; Debian's package is fetched where there is none."""
    return find_browser(fetch=True)


@pytest.fixture(scope="module")
def browser(chromium_tools: Tools) -> "Iterator[Browser]":
    """Chromium as Playwright drives it.

    For one module at a time, since Playwright keeps an event loop running as long as it lasts.
    """
    # Here, since it takes as long to load as all the rest, and few tests want it.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium_tools["chromium"],
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            env=dict(chromium_tools.environment()),
        )
        yield running
        running.close()
