"""Collectors for tests: servers on loopback that answer as a test says, over HTTP and gRPC."""

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from outbound_slo.vocabulary.transport import TraceProtocol

Metadata = tuple[tuple[str, str | bytes], ...]


class Verdict(Enum):
    """What a collector says to a request: an HTTP status, and the gRPC code that means the same."""

    TAKEN = (200, grpc.StatusCode.OK)
    AWAY = (503, grpc.StatusCode.UNAVAILABLE)
    REFUSED = (400, grpc.StatusCode.INVALID_ARGUMENT)


@dataclass(frozen=True)
class GrpcAnswer:
    """One answer of a gRPC collector."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    body: bytes = b""
    trailing: Metadata = ()


@dataclass
class Received:
    """A running collector's address, and what it received."""

    url: str
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    def decoded(self) -> list[ExportTraceServiceRequest]:
        """Give the requests as OpenTelemetry's own classes read them."""
        return [ExportTraceServiceRequest.FromString(body) for _, body in self.requests]

    def spans(self) -> list[Span]:
        """Give all spans of all requests."""
        return [
            span
            for request in self.decoded()
            for group in request.resource_spans
            for scoped in group.scope_spans
            for span in scoped.spans
        ]

    def span_ids(self) -> list[str]:
        """Give the ids of all spans of all requests."""
        return [span.span_id.hex() for span in self.spans()]


def run_collector(
    protocol: TraceProtocol,
    answer: Callable[[], Verdict] = lambda: Verdict.TAKEN,
    port: int = 0,
) -> AbstractContextManager[Received]:
    """Run a collector whose answer to each request is what `answer` gives when it arrives."""
    if protocol is TraceProtocol.HTTP:
        return _run_http(answer, port)
    return run_grpc(lambda: GrpcAnswer(answer().value[1]), port=port)


@contextmanager
def run_hanging_collector(protocol: TraceProtocol) -> Iterator[tuple[Received, threading.Event]]:
    """Run a collector that holds every request; gives it, and an event set by the first one."""
    arrived, release = threading.Event(), threading.Event()

    def hold() -> Verdict:
        arrived.set()
        release.wait()
        return Verdict.TAKEN

    with run_collector(protocol, hold) as received:
        try:
            yield received, arrived
        finally:
            release.set()


@contextmanager
def _run_http(answer: Callable[[], Verdict], port: int) -> Iterator[Received]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            received.requests.append((dict(self.headers), body))
            self.send_response(answer().value[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    received = Received(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def run_grpc(
    answer: Callable[[], GrpcAnswer] = GrpcAnswer,
    *,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[Received]:
    """Run a gRPC collector; with `credentials` it speaks TLS, and its URL names localhost."""

    def export(body: bytes, context: grpc.ServicerContext) -> bytes:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        received.requests.append((headers, body))
        said = answer()
        context.set_trailing_metadata(said.trailing)
        if said.code is not grpc.StatusCode.OK:
            context.abort(said.code, "as the test says")
        return said.body

    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads)
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(export)
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"Export": handler})]
        )
        address = f"127.0.0.1:{port}"
        if credentials is None:
            received = Received(f"http://127.0.0.1:{server.add_insecure_port(address)}")
        else:
            bound = server.add_secure_port(address, credentials)
            received = Received(f"https://localhost:{bound}")
        server.start()
        try:
            yield received
        finally:
            server.stop(None).wait()
