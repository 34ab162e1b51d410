"""What several modules ask for: the pack `outbound` on a real database, a traced sender."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.service import Service
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from tests.exporter_parts import Connection, open_service
from tests.integration.sending import NUMBER, Sending
from tests.ops_provider_parts import TEMPLATES, StubServer, open_simulator, open_stub
from tests.tracing_parts import open_store


@pytest.fixture(scope="module")
def pack_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """One database for a module: emptying its tables takes less time than a clone per test."""
    yield postgres_server.create_database("pack", template=template_database)
    postgres_server.drop_database("pack")


@pytest.fixture
def outbox(pack_database: str) -> Iterator[Connection]:
    with psycopg.connect(pack_database, autocommit=True) as opened:
        opened.execute(
            "TRUNCATE outbound_message, outbound_attempt, whatsapp_rate_limit,"
            " whatsapp_session_window, outbound_event_total, outbound_event_delta,"
            " outbound_message_delta, outbound_state_total, outbound_cohort_total,"
            " provider_webhook, provider_webhook_health, provider_notice, whatsapp_template,"
            " message, whatsapp_provider_config, outbound_switch"
        )
        # Anew: a switch remembers when its last pause ended, and what waited is due since then.
        opened.execute(
            "INSERT INTO outbound_switch (channel) VALUES ('ALL'), ('WHATSAPP'), ('SMS'), ('EMAIL')"
        )
        yield opened


@pytest.fixture
def service(pack_database: str, outbox: Connection) -> Iterator[Service]:
    assert outbox
    with open_service(pack_database) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    with open_store(tmp_path / "traces.db") as url:
        yield url


@pytest.fixture
def sending(database: str, tmp_path: Path, store: str) -> Iterator[Sending]:
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(NUMBER)
        sending.start_simulator()
        sending.start_sender(OTEL_EXPORTER_OTLP_ENDPOINT=store, OUTBOUND_RETRY_BACKOFF_SECONDS="2")
        yield sending


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    """Give the address of a simulator with some templates, for who only reads from it."""
    with open_simulator(templates=TEMPLATES) as url:
        yield url


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with open_stub() as server:
        yield server


@pytest.fixture(scope="module")
def accounts_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    yield postgres_server.create_database("accounts", template=template_database)
    postgres_server.drop_database("accounts")


@pytest.fixture
def accounts(accounts_database: str) -> str:
    """Give an outbox without messages and organisations."""
    with psycopg.connect(accounts_database, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE outbound_message, outbound_attempt, whatsapp_provider_config,"
            " whatsapp_template"
        )
    return accounts_database
