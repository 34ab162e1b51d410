"""Real parts for every test that asks: a PostgreSQL server, fresh databases, the tool kits.

A part that is missing and can't be fetched fails the tests that need it; nothing is skipped.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
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
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made below it
_ROOM_BYTES = 4 << 30
"""Four workers' servers take a good gigabyte; Docker gives 64 MiB unless told otherwise."""

# Names are never used twice in a session: a clone that failed to go is no trouble to the next.
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true", help="run campaigns whole, as make coverage does"
    )


def pytest_configure() -> None:
    """Hear Ctrl-C, as all that tests start does then: in a shell's background it is deaf to it.

    Programs in Go live for seconds here; to collect their garbage less often saves a sixth.
    """
    os.environ.setdefault("GOGC", "400")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup() -> None:
    """Have code that a test calls log plainly, whatever the test before has set up.

    Structlog's own tracebacks, in colours and with every variable, take up to a second each.
    """
    renderer = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])


@contextmanager
def _quick_directory() -> Iterator[Path | None]:
    """Give a directory in memory where there is room: None leaves the choice of another.

    A copy of a database is a thousand files; on a disk they cost up to ten times the time.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="outbound-slo-tests-", dir=_MEMORY) as directory:
        Path(directory).chmod(0o755)  # where root runs the tests, the server's user goes through
        yield Path(directory) / "postgres"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """One real server for the session, without fsync, with pg_stat_statements loaded."""
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": "200",
        # What is kept for a recovery that never comes takes up memory.
        "max_wal_size": "128MB",
    }
    with (
        _quick_directory() as directory,
        EmbeddedPostgres(directory, fsync=False, settings=settings) as server,
    ):
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
