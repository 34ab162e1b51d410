"""The collector at the other end: one export request at a time, over OTLP/HTTP."""

import gzip
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

import requests

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.mistakes import UserMistake

PROTOBUF = "application/x-protobuf"
EXPORT_TIMEOUT_S = 5.0
"""Seconds after which a batch is given up, tries and waits together."""

_TRACES_PATH = "/v1/traces"
_AGENT = "outbound-slo"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# OTLP's list of answers that are worth another try.
_PASSING = frozenset({429, 502, 503, 504})
_FIRST_WAIT_S = 0.5
_LONGEST_ANSWER = 65536
# Spans repeat themselves: the fastest level gives most of what the best one does.
_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class CollectorOptions:
    """How to talk to the collector, as OpenTelemetry's OTEL_EXPORTER_OTLP_* variables say.

    Attributes:
        headers: Sent with each request; they may hold credentials.
        compression: `gzip`, `none`, or None: gzip but for a collector on this machine.
        certificate: File of certificates that are trusted instead of the system's.
        client_certificate: File of our own certificate, for a collector that asks for it.
        client_key: File of its key.
        timeout_s: Seconds after which a batch is given up.
        resource_attributes: `OTEL_RESOURCE_ATTRIBUTES`: attributes of whoever sends.

    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str | None = None
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    timeout_s: float = EXPORT_TIMEOUT_S
    resource_attributes: str = ""


def read_options(settings: TracingSettings) -> CollectorOptions:
    """Give the options that the environment asks for.

    Raises:
        UserMistake: The headers are no list of `name=value`, or a file is not there.

    """
    for variable, path in (
        ("CERTIFICATE", settings.certificate),
        ("CLIENT_CERTIFICATE", settings.client_certificate),
        ("CLIENT_KEY", settings.client_key),
    ):
        if path and not Path(path).is_file():
            raise UserMistake(
                f"OTEL_EXPORTER_OTLP_{variable} names {path!r}, and there is no such file",
                "Give the path of a PEM file",
            )
    return CollectorOptions(
        headers=_read_headers(settings.headers.get_secret_value()),
        compression=settings.compression,
        certificate=settings.certificate,
        client_certificate=settings.client_certificate,
        client_key=settings.client_key,
        resource_attributes=settings.resource_attributes,
    )


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a request: how many spans were refused, and why, if all were lost."""

    rejected: int = 0
    fault: str | None = None


class Collector:
    """Posts export requests over a kept connection; used by one thread."""

    def __init__(self, endpoint: str, options: CollectorOptions) -> None:
        """Take the collector's address; `/v1/traces` is added where it has no path.

        Raises:
            UserMistake: It is no http or https address.

        """
        self.url, host = _read_address(endpoint)
        self._options = options
        compression = options.compression or ("none" if host in _LOOPBACK else "gzip")
        self._gzip = compression == "gzip"
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": _AGENT, "Content-Type": PROTOBUF})
        self._session.headers.update(options.headers)
        if self._gzip:
            self._session.headers["Content-Encoding"] = "gzip"
        if options.certificate:
            self._session.verify = options.certificate
        if options.client_certificate:
            key = options.client_key
            certificate = options.client_certificate
            self._session.cert = (certificate, key) if key else certificate
        self._rng = Random()  # noqa: S311 - spreads retries, no secret

    def post(self, body: bytes, stopping: threading.Event) -> Posted:
        """Deliver one request, trying again while the collector is away; never raises.

        Args:
            body: An `ExportTraceServiceRequest`.
            stopping: Ends the waits between tries.

        """
        if self._gzip:
            body = gzip.compress(body, _GZIP_LEVEL)
        deadline = time.monotonic() + self._options.timeout_s
        wait = _FIRST_WAIT_S
        while True:
            posted, asked = self._try(body, max(deadline - time.monotonic(), 0.001))
            if asked is None:
                return posted
            pause = max(asked, wait * (0.5 + self._rng.random()))
            if time.monotonic() + pause >= deadline or stopping.wait(pause):
                return posted
            wait *= 2

    def close(self) -> None:
        """Close the kept connection."""
        self._session.close()

    def _try(self, body: bytes, timeout_s: float) -> tuple[Posted, float | None]:
        """Post once; gives the outcome, and the seconds to wait if another try may help."""
        try:
            with self._session.post(
                self.url, data=body, timeout=timeout_s, allow_redirects=False, stream=True
            ) as response:
                if response.ok and not response.is_redirect:
                    answer = response.raw.read(_LONGEST_ANSWER, decode_content=True)
                    return Posted(_count_rejected(answer)), None
                fault = Posted(fault=f"HTTP {response.status_code}")
                if response.status_code in _PASSING:
                    return fault, _read_wait(response.headers.get("Retry-After"))
                return fault, None
        except requests.RequestException as error:
            return Posted(fault=type(error).__name__), 0.0
        except Exception as error:  # noqa: BLE001 - urllib3's own, from a broken answer: the thread must go on
            return Posted(fault=type(error).__name__), None


def _read_headers(text: str) -> dict[str, str]:
    headers = {}
    for number, entry in enumerate(text.split(","), 1):
        name, equals, value = entry.partition("=")
        if not entry.strip():
            continue
        if not equals or not _HEADER_NAME.fullmatch(name.strip()):
            # The entry itself may be a token.
            raise UserMistake(
                f"entry {number} of OTEL_EXPORTER_OTLP_HEADERS is not name=value",
                "Write it as name=value,name=value, with special characters as %2C",
            )
        headers[name.strip()] = unquote(value.strip())
    return headers


def _read_address(endpoint: str) -> tuple[str, str]:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserMistake(
            f"trace collector address {endpoint!r} is not an http(s) URL",
            "Give one like http://127.0.0.1:4318, or none to export nothing",
        )
    url = endpoint if parts.path.strip("/") else endpoint.rstrip("/") + _TRACES_PATH
    return url, parts.hostname


def _read_wait(header: str | None) -> float:
    try:
        return max(float(header or 0), 0.0)
    except ValueError:
        return 0.0


def _count_rejected(answer: bytes) -> int:
    """Read OTLP's partial success; an answer that says nothing, or makes no sense, refuses none."""
    if not answer:
        return 0
    # Most answers are empty: the message classes are loaded when one is not.
    from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as said; protobuf ships no types
        DecodeError,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: PLC0415 - as said
        ExportTraceServiceResponse,
    )

    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:
        return 0
    return max(response.partial_success.rejected_spans, 0)
