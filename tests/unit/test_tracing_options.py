"""How the collector is reached, as OpenTelemetry's variables say, and who the spans come from."""

from pathlib import Path

import pytest

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.http_collector import HttpCollector
from tracing.options import CollectorOptions, read_options
from tracing.resource import describe_service
from tracing.setup import trace_service


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TracingSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return TracingSettings.read()


def test_headers_are_read_with_escapes_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Authorization=Bearer%20hush-hush, x-team = messaging,"
    options = read_options(settings(monkeypatch, OTEL_EXPORTER_OTLP_HEADERS=text))

    assert options.headers == {"Authorization": "Bearer hush-hush", "x-team": "messaging"}
    assert "hush-hush" not in repr(options)


@pytest.mark.parametrize("text", ["hush-hush", "a=b,hush-hush", "bad name=hush-hush", "=hush-hush"])
def test_a_header_that_is_none_is_the_users_mistake_and_keeps_its_secret(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    read = settings(monkeypatch, OTEL_EXPORTER_OTLP_HEADERS=text)

    with pytest.raises(UserMistake, match="OTEL_EXPORTER_OTLP_HEADERS is not name=value") as caught:
        read_options(read)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"])
def test_a_certificate_that_is_not_there_is_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    missing = str(tmp_path / "none.pem")
    read = settings(monkeypatch, **{f"OTEL_EXPORTER_OTLP_{name}": missing})

    with pytest.raises(UserMistake, match=f"OTEL_EXPORTER_OTLP_{name} names .*none.pem"):
        read_options(read)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector:4318/", "https://collector:4318/v1/traces"),
        ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
    ],
)
def test_the_path_of_traces_is_added_where_none_is_given(endpoint: str, url: str) -> None:
    assert HttpCollector(endpoint, CollectorOptions()).url == url


def test_a_disabled_sdk_exports_nothing_whatever_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = settings(
        monkeypatch, OTEL_SDK_DISABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT="no address at all"
    )

    tracing = trace_service(read, {})

    tracing.shutdown()
    assert tracing.counts().waiting == 0


def test_the_resource_names_the_service_and_takes_the_environments_attributes() -> None:
    attributes = describe_service(
        "whatsapp-connector",
        {"service.instance.id": "host:1"},
        "deployment.environment.name=test, team=a%2Cb,broken,=x,service.name=other",
    )

    assert attributes["service.name"] == "whatsapp-connector"
    assert attributes["service.instance.id"] == "host:1"
    assert attributes["deployment.environment.name"] == "test"
    assert attributes["team"] == "a,b"
    assert attributes["telemetry.sdk.language"] == "python"
    assert "" not in attributes
    assert "broken" not in attributes


def test_every_process_has_an_instance_id() -> None:
    first, second = (describe_service("backend", {})["service.instance.id"] for _ in range(2))

    assert first != second
