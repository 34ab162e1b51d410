"""How finished spans leave a process: the transports of OTLP, and the two ways to export."""

from enum import StrEnum


class TraceProtocol(StrEnum):
    """Transports of OTLP, as OTEL_EXPORTER_OTLP_PROTOCOL names them; `http/json` has no sender."""

    HTTP = "http/protobuf"
    GRPC = "grpc"


class TracePipeline(StrEnum):
    """Who exports spans: the bytes as they are, or OpenTelemetry's SDK and its own exporter."""

    LEAN = "lean"
    SDK = "sdk"
