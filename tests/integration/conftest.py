"""What several modules of the exporter's tests ask for: the pack `outbound` on a real database."""

from collections.abc import Iterator

import psycopg
import pytest

from exporter.service import Service
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.exporter_parts import Connection, open_service


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
            " message"
        )
        yield opened


@pytest.fixture
def service(pack_database: str, outbox: Connection) -> Iterator[Service]:
    assert outbox
    with open_service(pack_database) as opened:
        yield opened
