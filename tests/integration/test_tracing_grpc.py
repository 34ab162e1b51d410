"""OTLP over gRPC against a real server: what it answers, and how it is reached."""

import datetime as dt
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.any_pb2 import Any  # type: ignore[import-untyped] # protobuf ships no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # nor this
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # nor this
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol
from tests.integration.collectors import GrpcAnswer, Metadata, run_grpc
from tests.patience import wait_for
from tracing.export import SpanCounts
from tracing.options import CollectorOptions
from tracing.setup import Tracing, start_tracing, trace_service

GRPC = TraceProtocol.GRPC
READABLE = "readable-if-nobody-compressed-it"
PATIENT = CollectorOptions(protocol=GRPC, timeout_s=600)


def tell(tracing: Tracing, number: int = 1) -> list[str]:
    """Make finished spans; gives their ids."""
    ids = []
    for _ in range(number):
        with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, {Tag.ORG_ID: READABLE}) as span:
            ids.append(span.span_id)
    return ids


def asks_to_wait(seconds: float) -> Metadata:
    """Give the trailing metadata with which a server says when to come back."""
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    detail = Any()
    detail.Pack(info)
    return (("grpc-status-details-bin", Status(details=[detail]).SerializeToString()),)


def test_spans_arrive_as_they_were_told() -> None:
    with run_grpc() as collector:
        tracing = start_tracing(endpoint=collector.url, options=PATIENT)
        told = tell(tracing, 3000)
        tracing.shutdown(60)

    assert collector.span_ids() == told
    tags = [
        {tag.key: tag.value.string_value for tag in span.attributes} for span in collector.spans()
    ]
    assert {each[Tag.ORG_ID] for each in tags} == {READABLE}
    assert tracing.counts() == SpanCounts(exported=3000, dropped=0, waiting=0)


@pytest.mark.parametrize(
    "refusal",
    [
        GrpcAnswer(grpc.StatusCode.CANCELLED),
        GrpcAnswer(grpc.StatusCode.DEADLINE_EXCEEDED),
        GrpcAnswer(grpc.StatusCode.ABORTED),
        GrpcAnswer(grpc.StatusCode.OUT_OF_RANGE),
        GrpcAnswer(grpc.StatusCode.UNAVAILABLE),
        GrpcAnswer(grpc.StatusCode.DATA_LOSS),
        GrpcAnswer(grpc.StatusCode.RESOURCE_EXHAUSTED, trailing=asks_to_wait(0.01)),
    ],
    ids=lambda refusal: refusal.code.name,
)
def test_a_passing_refusal_is_tried_again_with_the_same_spans(refusal: GrpcAnswer) -> None:
    answers = [GrpcAnswer(), refusal, refusal]
    with run_grpc(answers.pop) as collector:
        tracing = start_tracing(endpoint=collector.url, options=PATIENT)
        [told] = tell(tracing)
        wait_for(lambda: tracing.counts().exported, "the third try")
        tracing.shutdown(30)

    assert collector.span_ids() == [told, told, told]
    assert tracing.counts() == SpanCounts(exported=1, dropped=0, waiting=0)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    ],
    ids=lambda code: code.name,
)
def test_a_lasting_refusal_is_not_tried_again(
    code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    with run_grpc(lambda: GrpcAnswer(code)) as collector:
        tracing = start_tracing(endpoint=collector.url, options=PATIENT)
        tell(tracing, 3)
        tracing.shutdown(30)

    assert collector.span_ids() == list(dict.fromkeys(collector.span_ids()))
    assert tracing.counts() == SpanCounts(exported=0, dropped=3, waiting=0)
    assert f"takes no spans (gRPC {code.name})" in caplog.text


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_wait_that_the_collector_asks_for_beyond_our_patience_gives_the_batch_up(
    code: grpc.StatusCode,
) -> None:
    with run_grpc(lambda: GrpcAnswer(code, trailing=asks_to_wait(3600))) as collector:
        tracing = start_tracing(endpoint=collector.url, options=CollectorOptions(protocol=GRPC))
        tell(tracing)
        wait_for(tracing.dropped, "the batch to be given up")
        tracing.shutdown(30)

    assert len(collector.requests) == 1
    assert tracing.dropped() == 1


def test_details_that_make_no_sense_ask_for_nothing() -> None:
    broken = (("grpc-status-details-bin", b"\xff" * 20),)
    with run_grpc(
        lambda: GrpcAnswer(grpc.StatusCode.RESOURCE_EXHAUSTED, trailing=broken)
    ) as collector:
        tracing = start_tracing(endpoint=collector.url, options=PATIENT)
        tell(tracing)
        wait_for(tracing.dropped, "the refusal")
        tracing.shutdown(30)

    assert len(collector.requests) == 1


def test_spans_that_the_collector_refuses_among_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    partial = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
    )
    answers = [GrpcAnswer(), GrpcAnswer(), GrpcAnswer(body=partial.SerializeToString())]
    with run_grpc(answers.pop) as collector:
        tracing = start_tracing(endpoint=collector.url, options=PATIENT)
        tell(tracing, 5)
        tracing.shutdown(30)

    assert tracing.counts() == SpanCounts(exported=3, dropped=2, waiting=0)
    assert "refused 2 of" in caplog.text


def test_headers_arrive_as_metadata_with_names_in_lower_case() -> None:
    options = CollectorOptions(
        headers={"Authorization": "Bearer t", "x-team": "messaging"}, protocol=GRPC
    )
    with run_grpc() as collector:
        tracing = start_tracing(endpoint=collector.url, options=options)
        tell(tracing)
        tracing.shutdown(30)

    headers, _ = collector.requests[0]
    assert headers["authorization"] == "Bearer t"
    assert headers["x-team"] == "messaging"
    assert str(headers["user-agent"]).startswith("outbound-slo ")


@contextmanager
def listen_in(url: str) -> Iterator[tuple[str, bytearray]]:
    """Stand between a client and a server; gives the client's address, and what it says."""
    port = int(url.rpartition(":")[2])
    said = bytearray()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def pass_on(source: socket.socket, target: socket.socket, heard: bytearray) -> None:
        # Either side may hang up first.
        with suppress(OSError):
            while chunk := source.recv(65536):
                heard += chunk
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            back = threading.Thread(target=pass_on, args=(server, client, bytearray()))
            back.start()
            pass_on(client, server, said)
            back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", said
    finally:
        thread.join()
        listener.close()


@pytest.mark.parametrize(("compression", "readable"), [("gzip", False), ("none", True)])
def test_compression_is_that_of_the_settings(compression: str, readable: bool) -> None:
    options = CollectorOptions(protocol=GRPC, compression=compression, timeout_s=600)
    with run_grpc() as collector, listen_in(collector.url) as (url, said):
        tracing = start_tracing(endpoint=url, options=options)
        told = tell(tracing, 50)
        tracing.shutdown(30)

    assert collector.span_ids() == told
    assert (READABLE.encode() in said) is readable


@dataclass(frozen=True)
class Identity:
    """A certificate signed by itself, and its key, as PEM and as files."""

    certificate: bytes
    key: bytes
    certificate_path: str
    key_path: str


def make_identity(directory: Path, name: str) -> Identity:
    """Make one that is valid for a day, for the host `localhost`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    written = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(written)
    paths[1].write_bytes(private)
    return Identity(written, private, str(paths[0]), str(paths[1]))


@pytest.mark.parametrize("pipeline", list(TracePipeline))
@pytest.mark.parametrize("scheme", ["https://", ""])
def test_the_variables_lead_to_a_collector_with_a_certificate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str, scheme: str
) -> None:
    server = make_identity(tmp_path, "server")
    credentials = grpc.ssl_server_credentials([(server.key, server.certificate)])
    with run_grpc(credentials=credentials) as collector:
        address = scheme + collector.url.removeprefix("https://")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", server.certificate_path)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20t")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=messaging")
        monkeypatch.setenv("OUTBOUND_TRACE_PIPELINE", pipeline)
        tracing = trace_service(TracingSettings.read(), {})
        told = tell(tracing, 2)
        tracing.shutdown(30)

    assert collector.span_ids() == told
    assert collector.requests[0][0]["authorization"] == "Bearer t"
    resource = collector.decoded()[0].resource_spans[0].resource
    assert {item.key: item.value.string_value for item in resource.attributes}["team"] == (
        "messaging"
    )


DISTRUSTING = """
import sys
from outbound_slo.vocabulary.spans import SpanName
from outbound_slo.vocabulary.transport import TraceProtocol
from tracing.options import CollectorOptions
from tracing.setup import start_tracing
options = CollectorOptions(protocol=TraceProtocol.GRPC, certificate=sys.argv[2], timeout_s=1)
tracing = start_tracing(endpoint=sys.argv[1], options=options)
with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS):
    pass
tracing.shutdown(20)
print(tracing.dropped())
"""


def test_a_collector_whose_certificate_nobody_vouches_for_costs_one_line(tmp_path: Path) -> None:
    server, other = make_identity(tmp_path, "server"), make_identity(tmp_path, "other")
    credentials = grpc.ssl_server_credentials([(server.key, server.certificate)])
    with run_grpc(credentials=credentials) as collector:
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                DISTRUSTING,
                collector.url,
                other.certificate_path,
            ],
            capture_output=True,
            text=True,
            check=True,
        )

    assert collector.requests == []
    assert done.stdout == "1\n"
    [line] = done.stderr.splitlines()
    assert "takes no spans (gRPC UNAVAILABLE)" in line


@pytest.mark.parametrize("in_one_file", [False, True])
def test_our_own_certificate_is_shown_to_a_collector_that_asks(
    tmp_path: Path, in_one_file: bool
) -> None:
    server, ours = make_identity(tmp_path, "server"), make_identity(tmp_path, "ours")
    both = tmp_path / "both.pem"
    both.write_bytes(ours.key + ours.certificate)
    credentials = grpc.ssl_server_credentials(
        [(server.key, server.certificate)],
        root_certificates=ours.certificate,
        require_client_auth=True,
    )
    options = CollectorOptions(
        protocol=GRPC,
        certificate=server.certificate_path,
        client_certificate=str(both) if in_one_file else ours.certificate_path,
        client_key=None if in_one_file else ours.key_path,
        timeout_s=600,
    )
    with run_grpc(credentials=credentials) as collector:
        tracing = start_tracing(endpoint=collector.url, options=options)
        told = tell(tracing, 2)
        tracing.shutdown(30)

    assert collector.span_ids() == told
