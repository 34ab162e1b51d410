"""What docs/exporter.md says can be done as it says."""

import re
from pathlib import Path

import psycopg
import pytest

from exporter.compaction import compact
from exporter.loader import load_pack
from outbound_slo.settings import ExporterSettings
from outbound_slo.vocabulary.errors import ErrorPolicy
from tests.exporter_parts import open_service, pick, refresh_and_read, total

MANUAL = (Path(__file__).parents[2] / "docs" / "exporter.md").read_text("utf-8")


def read_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)


def test_the_rights_of_the_manual_are_all_that_the_exporter_needs(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    (grants,) = [block for block in read_blocks("sql") if "GRANT" in block]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(grants.encode())
        connection.execute(
            "INSERT INTO outbound_event_delta (kind, channel, outcome, events)"
            " VALUES ('attempt', 'SMS', 'SENT', 5)"
        )
        role = database.replace("postgres@", "outbound_exporter@")
        try:
            with open_service(role) as service:
                numbers = refresh_and_read(service)
                moved = compact(service.collector.open())
        finally:
            connection.execute("DROP OWNED BY outbound_exporter")
            connection.execute("DROP ROLE outbound_exporter")

    assert set(pick(numbers, "outbound_exporter_query_success").values()) == {1.0}
    assert total(numbers, "outbound_attempts_total", channel="sms", outcome="sent") == 5
    assert moved == 1
    assert caplog.messages == []


def test_the_pack_of_the_manual_works(empty_database: str, tmp_path: Path) -> None:
    (document,) = read_blocks("yaml")
    (statements,) = [block for block in read_blocks("sql") if "-- name:" in block]
    tmp_path.joinpath("pack.yml").write_text(document)
    tmp_path.joinpath("post.sql").write_text(statements)
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE parcel (state text)")
        connection.execute("INSERT INTO parcel VALUES ('new'), ('new'), ('delivered')")
    with open_service(empty_database, str(tmp_path)) as service:
        numbers = refresh_and_read(service)

    states = {dict(labels)["state"]: n for labels, n in pick(numbers, "post_parcels").items()}
    assert states == {"new": 2, "on_the_way": 0, "delivered": 1}
    assert total(numbers, "parcels_waiting") == 2


def test_the_age_that_the_manual_names_is_the_packs() -> None:
    ages = {metric.absent_after_s for metric in load_pack("outbound", ErrorPolicy.RUNBOOK).metrics}

    assert ages == {60.0}
    assert "`absent_after_s` seconds (60 unless" in MANUAL
    assert ExporterSettings.model_fields["host"].default == "127.0.0.1"
