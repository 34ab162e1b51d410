from pathlib import Path

import pytest

from outbound_slo.demo.directory import open_directory
from outbound_slo.demo.environment import (
    Addresses,
    Secrets,
    build_environment,
    strip_environment,
)
from outbound_slo.demo.pace import build_pace
from outbound_slo.settings import (
    DatabaseSettings,
    ExporterSettings,
    ProviderSettings,
    SenderSettings,
    TracingSettings,
    refuse_unknown,
)
from outbound_slo.simulator.signatures import read_event_key
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.signatures import load_sendgrid_key, verify_sendgrid

ADDRESSES = Addresses(
    database="postgresql://postgres@127.0.0.1:20001/outbox",
    provider="http://127.0.0.1:20002",
    traces="http://127.0.0.1:20003",
    sender_port=20004,
    exporter_port=20005,
)


def test_no_setting_credential_or_proxy_of_the_user_gets_through() -> None:
    kept = strip_environment(
        {
            "PATH": "/usr/bin",
            "LANG": "C.UTF-8",
            "OUTBOUND_SLO_CACHE": "/cache",
            "WHATSAPP_ACCESS_TOKEN": "the real one",
            "WHATSAPP_APP_SECRET": "the real one",
            "TWILIO_AUTH_TOKEN": "the real one",
            "SENDGRID_API_KEY": "the real one",
            "OUTBOUND_ADMIN_TOKEN": "the real one",
            "SIMULATOR_SENDGRID_SIGNING_KEY": "the real one",
            "DATABASE_URL": "postgresql://production/",
            "PGHOST": "production",
            "PGPASSWORD": "the real one",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://production",
            "HTTP_PROXY": "http://proxy",
            "https_proxy": "http://proxy",
        }
    )
    assert kept == {"PATH": "/usr/bin", "LANG": "C.UTF-8", "OUTBOUND_SLO_CACHE": "/cache"}


def test_the_processes_read_the_shortened_waits_and_loopback_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = Secrets()
    pace = build_pace(20)
    built = build_environment({"PATH": "/usr/bin"}, ADDRESSES, keys, pace)
    refuse_unknown(built)
    for name, value in built.items():
        monkeypatch.setenv(name, value)
    sender, providers = SenderSettings.read(), ProviderSettings.read()
    assert sender.backoff_seconds == pytest.approx(pace.backoff_s)
    assert sender.breaker_open_s == pytest.approx(pace.breaker_open_s)
    assert sender.recovery_window_s == pytest.approx(pace.recovery_window_s)
    assert sender.poll_interval_ms == round(1000 * pace.poll_s)
    assert sender.retry_jitter == pytest.approx(pace.backoff_spread)
    assert sender.http_port == 20004
    assert ExporterSettings.read().port == 20005
    assert ExporterSettings.read().refresh_interval_ms == 1000 * pace.refresh_s
    assert DatabaseSettings.read().url == ADDRESSES.database
    assert TracingSettings.read().endpoint == ADDRESSES.traces
    for url in (providers.whatsapp_api_url, providers.twilio_api_url, providers.sendgrid_api_url):
        assert url == ADDRESSES.provider
    assert providers.whatsapp_access_token.get_secret_value() == keys.access_token
    assert sender.admin_token is not None
    assert sender.admin_token.get_secret_value() == keys.admin_token


def test_the_sender_knows_the_key_by_which_the_simulator_signs_events() -> None:
    built = build_environment({}, ADDRESSES, Secrets(), build_pace(20))
    signing = read_event_key(built["SIMULATOR_SENDGRID_SIGNING_KEY"])
    known = load_sendgrid_key(built["SENDGRID_WEBHOOK_PUBLIC_KEY"])
    assert verify_sendgrid(b"[]", "1700000000", signing.sign(b"[]", "1700000000"), known)


def test_secrets_are_new_each_time_and_not_shown() -> None:
    first, second = Secrets(), Secrets()
    assert first != second
    assert first.app_secret not in repr(first)


def test_a_temporary_directory_can_be_entered_by_all_and_goes() -> None:
    opened = open_directory(None)
    assert opened.path.stat().st_mode & 0o005 == 0o005
    (opened.path / "log").write_text("x")
    opened.remove()
    assert not opened.path.exists()


def test_a_named_directory_is_made_and_stays(tmp_path: Path) -> None:
    opened = open_directory(tmp_path / "new" / "demo")
    assert opened.path.is_dir()
    opened.remove()
    assert opened.path.is_dir()


def test_a_directory_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UserMistake, match="is not empty"):
        open_directory(tmp_path)
    assert (tmp_path / "precious").read_text() == "x"


def test_a_file_where_the_directory_should_be_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserMistake, match=r"--data-dir .* can't be used"):
        open_directory(file)
