import re
from datetime import UTC, datetime

import pytest
from pydantic import AliasChoices

from outbound_slo.settings import (
    ALL_SETTINGS,
    BACKOFF_SECONDS,
    DatabaseSettings,
    ProviderSettings,
    SenderSettings,
    TracingSettings,
    known_variables,
    refuse_unknown,
)
from outbound_slo.settings_page import build_settings_page
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_variables():
        monkeypatch.delenv(name, raising=False)


def test_defaults_are_the_runbooks() -> None:
    settings = SenderSettings.read()
    assert settings.worker_enabled
    assert (settings.batch_size, settings.poll_interval_ms) == (10, 5000)
    assert settings.backoff_seconds == BACKOFF_SECONDS == (60, 300, 900, 3600, 21600)
    assert settings.recovery_window_s == 600
    assert settings.breaker_open_s == 60
    assert ProviderSettings.read().whatsapp_error_policy is ErrorPolicy.RUNBOOK


def test_quiet_hours_are_read_as_a_part_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_QUIET_HOURS_DEFAULT", "21:30-07:00")
    monkeypatch.setenv("OUTBOUND_QUIET_HOURS_ZONE", "Africa/Kigali")
    settings = SenderSettings.read()
    assert settings.quiet_hours_default == "21:30-07:00"
    assert settings.quiet_hours_zone == "Africa/Kigali"


def test_a_list_of_seconds_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_RETRY_BACKOFF_SECONDS", "1, 2.5,4")
    assert SenderSettings.read().backoff_seconds == (1.0, 2.5, 4.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTBOUND_WORKER_BATCH_SIZE", "ten"),
        ("OUTBOUND_WORKER_BATCH_SIZE", "0"),
        ("OUTBOUND_RETRY_BACKOFF_SECONDS", "1,soon"),
        ("OUTBOUND_RETRY_BACKOFF_SECONDS", ""),
        ("OUTBOUND_RETRY_BACKOFF_SECONDS", "60,-1"),
        ("OUTBOUND_RETRY_BACKOFF_SECONDS", "60,nan"),
        ("OUTBOUND_RECOVERY_WINDOW_SECONDS", "inf"),
        ("OUTBOUND_REQUEST_TIMEOUT_SECONDS", "inf"),
        ("OUTBOUND_LOG_FORMAT", "xml"),
        ("OUTBOUND_HTTP_PORT", "70000"),
        ("OUTBOUND_QUIET_HOURS_DEFAULT", "22-7"),
        ("OUTBOUND_QUIET_HOURS_DEFAULT", "22:00-24:00"),
        ("OUTBOUND_QUIET_HOURS_ZONE", "Africa/Kigaly"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserMistake, match=name):
        SenderSettings.read()


@pytest.mark.parametrize("name", ["WHATSAPP_API_URL", "TWILIO_API_URL", "SENDGRID_API_URL"])
@pytest.mark.parametrize("value", ["", "graph.facebook.com", "ftp://host", "http://"])
def test_a_providers_address_is_an_http_address(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserMistake, match=name):
        ProviderSettings.read()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T18:00Z", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        (" 2027-01-31T18:00+02:00 ", datetime(2027, 1, 31, 16, tzinfo=UTC)),
        ("2027-01-31 18:00", datetime(2027, 1, 31, 18, tzinfo=UTC)),
        ("", None),
    ],
)
def test_the_end_of_the_token_is_a_day_or_an_instant(
    text: str, instant: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ProviderSettings.read().whatsapp_access_token_expires_at is None
    monkeypatch.setenv("WHATSAPP_ACCESS_TOKEN_EXPIRES_AT", text)
    assert ProviderSettings.read().whatsapp_access_token_expires_at == instant


@pytest.mark.parametrize("text", ["soon", "1700000000", "2027-02-30", "31.01.2027"])
def test_an_end_of_the_token_that_is_no_instant_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHATSAPP_ACCESS_TOKEN_EXPIRES_AT", text)
    with pytest.raises(UserMistake, match=f"EXPIRES_AT has a value .*{re.escape(text)}"):
        ProviderSettings.read()


def test_a_missing_required_variable_is_named() -> None:
    with pytest.raises(UserMistake, match="DATABASE_URL is not set"):
        DatabaseSettings.read()


def test_a_misspelt_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserMistake, match="Did you mean OUTBOUND_WORKER_BATCH_SIZE"):
        refuse_unknown({"OUTBOUND_WORKR_BATCH_SIZE": "5"})


def test_others_variables_and_the_projects_own_are_let_pass() -> None:
    refuse_unknown({"PATH": "x", "OUTBOUND_SLO_CACHE": "y", "OUTBOUND_HTTP_PORT": "1"})


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_APP_SECRET", "hush-hush")
    assert "hush-hush" not in repr(ProviderSettings.read())


def test_settings_cannot_be_changed_after_reading() -> None:
    settings = SenderSettings.read()
    with pytest.raises(ValueError, match="frozen"):
        settings.batch_size = 5


def test_the_page_lists_every_variable_once() -> None:
    [page] = build_settings_page().values()
    for name in known_variables():
        assert page.count(f"`{name}`") == 1


def test_no_two_settings_read_one_variable() -> None:
    read = [
        name
        for group in ALL_SETTINGS
        for field in group.model_fields.values()
        if isinstance(field.validation_alias, AliasChoices)
        for name in field.validation_alias.choices
    ]
    assert sorted(map(str, read)) == sorted(known_variables())


def test_a_mistake_names_the_variable_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli")

    with pytest.raises(UserMistake, match=r"^OTEL_EXPORTER_OTLP_COMPRESSION has a value that"):
        TracingSettings.read()


def test_a_variable_for_traces_alone_goes_before_the_general_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    assert TracingSettings.read().compression == "gzip"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none")
    assert TracingSettings.read().compression == "none"


def test_a_recovery_window_that_a_call_outlasts_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OUTBOUND_RECOVERY_WINDOW_SECONDS", "10")
    with pytest.raises(UserMistake, match="no longer than OUTBOUND_REQUEST_TIMEOUT_SECONDS"):
        SenderSettings.read()
    monkeypatch.setenv("OUTBOUND_REQUEST_TIMEOUT_SECONDS", "9.9")
    assert SenderSettings.read().recovery_window_s == 10
