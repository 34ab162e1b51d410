"""Days that are left, on the sender's own page."""

from datetime import UTC, datetime, timedelta

import pytest

from sender.metrics import API_VERSION_ENDS, SenderMetrics
from tests.exporter_parts import pick, read_text, total

NOW = datetime(2027, 1, 1, 6, tzinfo=UTC)
TOKEN = "whatsapp_access_token_expires_days"
VERSION = "whatsapp_api_version_expires_days"


def test_the_tokens_days_are_counted_anew_at_every_scrape() -> None:
    clock = [NOW]
    metrics = SenderMetrics()
    metrics.note_token(NOW + timedelta(days=10, hours=12), lambda: clock[0])

    assert total(read_text(metrics.render().decode()), TOKEN) == 10.5
    clock[0] += timedelta(days=11)
    assert total(read_text(metrics.render().decode()), TOKEN) == -0.5


def test_a_token_whose_end_nobody_told_has_no_days() -> None:
    metrics = SenderMetrics()
    metrics.note_token(None, lambda: NOW)

    assert not pick(read_text(metrics.render().decode()), TOKEN)


@pytest.mark.parametrize("version", API_VERSION_ENDS)
def test_the_api_versions_days_are_counted_anew_at_every_scrape(version: str) -> None:
    clock = [NOW]
    metrics = SenderMetrics()
    metrics.note_api_version(version, lambda: clock[0])
    left = (API_VERSION_ENDS[version] - NOW.date()).days

    assert total(read_text(metrics.render().decode()), VERSION, version=version) == left
    clock[0] += timedelta(days=1)
    assert total(read_text(metrics.render().decode()), VERSION, version=version) == left - 1


def test_a_version_whose_end_nobody_knows_has_no_days() -> None:
    metrics = SenderMetrics()
    metrics.note_api_version("v99.0", lambda: NOW)

    assert not pick(read_text(metrics.render().decode()), VERSION)
