"""How the collector is reached, as OpenTelemetry's variables say, and who the spans come from."""

import sys
from pathlib import Path

import pytest

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol
from tracing.grpc_collector import resolve_target
from tracing.http_collector import HttpCollector
from tracing.options import CollectorOptions, read_options
from tracing.pipeline import open_collector
from tracing.resource import describe_service
from tracing.setup import start_tracing, trace_service


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
        ("https://collector/otlp", "https://collector/otlp/v1/traces"),
        ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
        ("http://[::1]:4318/?tenant=1", "http://[::1]:4318/v1/traces?tenant=1"),
    ],
)
def test_the_path_of_traces_is_added_to_the_general_address(endpoint: str, url: str) -> None:
    assert HttpCollector(endpoint, CollectorOptions()).url == url


@pytest.mark.parametrize("endpoint", ["http://collector:4318/", "https://collector/ingest/spans"])
def test_the_address_for_traces_is_used_as_it_is(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    read = settings(
        monkeypatch,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://elsewhere",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint,
    )

    assert read.traces_endpoint == endpoint
    assert HttpCollector(endpoint, read_options(read)).url == endpoint


@pytest.mark.parametrize(
    ("endpoint", "insecure", "target", "secure"),
    [
        ("http://collector:4317", False, "collector:4317", False),
        ("https://collector:4317/ignored", True, "collector:4317", True),
        ("http://[::1]:4317", False, "[::1]:4317", False),
        ("https://user:hush@collector", False, "collector:443", True),
        ("collector:4317", False, "collector:4317", True),
        ("collector:4317", True, "collector:4317", False),
        ("[::1]:4317", True, "[::1]:4317", False),
        ("dns:///collector:4317", True, "dns:///collector:4317", False),
        ("unix:/run/collector.sock", True, "unix:/run/collector.sock", False),
    ],
)
def test_grpc_takes_urls_and_its_own_names_and_a_url_decides_on_tls(
    endpoint: str, insecure: bool, target: str, secure: bool
) -> None:
    assert resolve_target(endpoint, insecure=insecure)[::2] == (target, secure)


@pytest.mark.parametrize(
    "endpoint", ["", "ftp://collector", "http://", "http://collector:port", "two words", "a:b:c"]
)
@pytest.mark.parametrize("protocol", list(TraceProtocol))
def test_an_address_that_is_none_is_the_users_mistake(
    endpoint: str, protocol: TraceProtocol
) -> None:
    with pytest.raises(UserMistake, match="trace collector address"):
        open_collector(endpoint, CollectorOptions(protocol=protocol))


@pytest.mark.parametrize(
    ("endpoint", "compression", "compressed"),
    [
        ("unix:/run/collector.sock", None, False),
        ("http://127.0.0.1:4317", None, False),
        ("http://127.0.0.1:4317", "gzip", True),
        ("collector:4317", None, True),
        ("collector:4317", "none", False),
    ],
)
def test_bytes_are_compressed_unless_the_collector_is_near_or_the_settings_say_so(
    endpoint: str, compression: str | None, compressed: bool
) -> None:
    _, host, _ = resolve_target(endpoint, insecure=True)

    assert CollectorOptions(compression=compression).compresses_for(host) is compressed


@pytest.mark.parametrize("header", ["x-bin=hush-hush", "a!b=hush-hush", "a=hush-%C3%A9"])
def test_a_header_that_grpc_cannot_carry_is_the_users_mistake_and_keeps_its_secret(
    monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    read = settings(
        monkeypatch, OTEL_EXPORTER_OTLP_HEADERS=header, OTEL_EXPORTER_OTLP_PROTOCOL="grpc"
    )

    with pytest.raises(UserMistake, match="which gRPC can't carry") as caught:
        open_collector("http://127.0.0.1:1", read_options(read))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("variable", ["OTLP_PROTOCOL", "OTLP_TRACES_PROTOCOL"])
def test_a_protocol_that_is_not_spoken_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with pytest.raises(UserMistake) as caught:
        settings(monkeypatch, **{f"OTEL_EXPORTER_{variable}": "http/json"})
    assert str(caught.value) == (
        f"OTEL_EXPORTER_{variable} has a value that does not fit: input should be "
        "'http/protobuf' or 'grpc'. docs/settings.md shows its form"
    )


def test_the_settings_become_options(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(
        monkeypatch,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_INSECURE="true",
        OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317",
        OUTBOUND_TRACE_PIPELINE="sdk",
    )

    assert read_options(read) == CollectorOptions(
        protocol=TraceProtocol.GRPC,
        timeout_s=2.5,
        insecure=True,
        exact=False,
        pipeline=TracePipeline.SDK,
    )


def test_an_empty_variable_counts_as_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(
        monkeypatch,
        OTEL_EXPORTER_OTLP_PROTOCOL="",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="",
        OTEL_EXPORTER_OTLP_TIMEOUT="100",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="",
    )

    assert read_options(read) == CollectorOptions(timeout_s=0.1)


@pytest.mark.parametrize(
    ("pipeline", "protocol", "absent", "setting", "extra"),
    [
        ("lean", "grpc", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc", "grpc"),
        ("sdk", "grpc", "grpc", "OUTBOUND_TRACE_PIPELINE is sdk", "sdk"),
        (
            "sdk",
            "http/protobuf",
            "opentelemetry.sdk.trace",
            "OUTBOUND_TRACE_PIPELINE is sdk",
            "sdk",
        ),
    ],
)
def test_a_package_that_is_not_installed_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    pipeline: str,
    protocol: str,
    absent: str,
    setting: str,
    extra: str,
) -> None:
    options = CollectorOptions(pipeline=TracePipeline(pipeline), protocol=TraceProtocol(protocol))
    for module in ("tracing.grpc_collector", "tracing.sdk_pipeline"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    # None makes an import fail as an absent package does.
    monkeypatch.setitem(sys.modules, absent, None)

    with pytest.raises(UserMistake) as caught:
        start_tracing(endpoint="http://127.0.0.1:1", options=options)
    assert str(caught.value) == (
        f"{setting}, and the Python package {absent} is not installed. "
        f"Install it with: pip install 'outbound-slo[{extra}]'"
    )


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_file_without_a_certificate_is_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "notes.pem"
    path.write_text("no certificate", "utf-8")
    read = settings(monkeypatch, **{f"OTEL_EXPORTER_OTLP_{name}": str(path)})

    with pytest.raises(
        UserMistake, match=f"OTEL_EXPORTER_OTLP_{name} names .*notes.pem.* holds no"
    ):
        read_options(read)


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
