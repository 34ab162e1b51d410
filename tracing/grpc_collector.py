"""A collector that speaks OTLP over gRPC; needs the extra `grpc`.

The request is bytes already, so there is no stub: one method, called with its bytes as they are.
"""

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import (  # type: ignore[import-untyped] # protobuf ships no types
    DecodeError,
)
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # nor this
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # nor this

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.collector import Answer, Posted, count_rejected, keep_trying
from tracing.options import CollectorOptions
from tracing.privacy import scrub_url

EXPORT_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

# OTLP's list of codes that are worth another try; RESOURCE_EXHAUSTED is with a RetryInfo only.
_PASSING = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_DETAILS = "grpc-status-details-bin"
_CHANNEL_OPTIONS = (
    ("grpc.primary_user_agent", "outbound-slo"),
    # Tries are ours to count.
    ("grpc.enable_retries", 0),
    # By default a channel whose collector was away looks for it every two minutes in the end.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_PORTS = {"http": 80, "https": 443}
_PLAIN_TARGET = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?|(dns|ipv4|ipv6|unix|unix-abstract):\S+"
)
_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")
_METADATA_VALUE = re.compile(r"[\x20-\x7e]*")


class GrpcCollector:
    """Calls the collector's one method over a kept channel; used by one thread."""

    def __init__(self, endpoint: str, options: CollectorOptions) -> None:
        """Take the collector's address, as `resolve_target` does.

        Raises:
            UserMistake: The address or a header is none that gRPC has.

        """
        self.url, host, secure = resolve_target(endpoint, insecure=options.insecure)
        self._timeout_s = options.timeout_s
        self._metadata = write_metadata(options.headers)
        compression = (
            grpc.Compression.Gzip
            if options.compresses_for(host)
            else grpc.Compression.NoCompression
        )
        self._channel = (
            grpc.secure_channel(
                self.url, load_credentials(options), _CHANNEL_OPTIONS, compression=compression
            )
            if secure
            else grpc.insecure_channel(self.url, _CHANNEL_OPTIONS, compression=compression)
        )
        self._call = self._channel.unary_unary(EXPORT_METHOD, _as_it_is, _as_it_is)

    def post(self, body: bytes, stopping: threading.Event) -> Posted:
        """Deliver one request, as `Collector.post` says."""
        return keep_trying(lambda seconds: self._try(body, seconds), self._timeout_s, stopping)

    def close(self) -> None:
        """Close the kept channel."""
        self._channel.close()

    def _try(self, body: bytes, timeout_s: float) -> Answer:
        try:
            answer = self._call(body, timeout=timeout_s, metadata=self._metadata)
            return Answer(Posted(count_rejected(answer)))
        except grpc.RpcError as error:
            return _judge(error)
        except Exception as error:  # noqa: BLE001 - gRPC's own, as of a closed channel: the thread must go on
            return Answer(Posted(fault=type(error).__name__))


def resolve_target(endpoint: str, *, insecure: bool) -> tuple[str, str, bool]:
    """Give gRPC's name of an address, its host, and whether the channel has TLS.

    Args:
        endpoint: `http://host:port`, `https://host:port`, or what gRPC itself takes: `host:port`,
            `dns:///host:port`, `unix:/path`.
        insecure: No TLS where the address has neither `http` nor `https`.

    Raises:
        UserMistake: It is none of these.

    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme in _PORTS and host:
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{port or _PORTS[parts.scheme]}", host, parts.scheme == "https"
    plain = _PLAIN_TARGET.fullmatch(endpoint)
    if plain is None:
        raise UserMistake(
            f"trace collector address {scrub_url(endpoint)!r} is none that gRPC has",
            "Give one like http://127.0.0.1:4317 or collector:4317, or none to export nothing",
        )
    local = endpoint.startswith("unix")
    return endpoint, "localhost" if local else (plain["host"] or "").strip("[]"), not insecure


def load_credentials(options: CollectorOptions) -> grpc.ChannelCredentials:
    """Give a channel's credentials: whom to trust, and our own certificate if there is one.

    Raises:
        OSError: A file can't be read.

    """
    chain = options.client_certificate
    return grpc.ssl_channel_credentials(
        root_certificates=_read(options.certificate),
        private_key=_read(options.client_key or chain) if chain else None,
        certificate_chain=_read(chain),
    )


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _as_it_is(body: bytes) -> bytes:
    return body


def write_metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Give headers as metadata: names in lower case, as HTTP/2 has them.

    Raises:
        UserMistake: gRPC has no such name or value; binary metadata (`-bin`) is not for text.

    """
    for name, value in headers.items():
        key = name.lower()
        if (
            not _METADATA_KEY.fullmatch(key)
            or key.endswith("-bin")
            or not _METADATA_VALUE.fullmatch(value)
        ):
            # The value may be a token.
            raise UserMistake(
                f"OTEL_EXPORTER_OTLP_HEADERS has {name!r}, which gRPC can't carry",
                "Use letters, digits, '_', '.' and '-' in names that do not end in '-bin', "
                "and plain ASCII in values",
            )
    return tuple((name.lower(), value) for name, value in headers.items())


def _judge(error: grpc.RpcError) -> Answer:
    # What a call raises is the call itself; a RpcError that is none has no code.
    code = error.code() if isinstance(error, grpc.Call) else None
    if code is None:
        return Answer(Posted(fault=type(error).__name__))
    fault = Posted(fault=f"gRPC {code.name}")
    asked = _read_retry_info(error)
    if code in _PASSING:
        return Answer(fault, asked or 0.0)
    return Answer(fault, asked if code is grpc.StatusCode.RESOURCE_EXHAUSTED else None)


def _read_retry_info(call: grpc.Call) -> float | None:
    """Give the seconds of the answer's `RetryInfo`; None where it has none."""
    status, info = Status(), RetryInfo()
    try:
        for key, value in call.trailing_metadata() or ():
            if key == _DETAILS:
                status.ParseFromString(value)
        for detail in status.details:
            if detail.Unpack(info):
                seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return max(seconds, 0.0)
    except DecodeError:
        pass
    return None
