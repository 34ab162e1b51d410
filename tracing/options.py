"""How to talk to the collector: OpenTelemetry's OTEL_EXPORTER_OTLP_* variables, judged."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol

EXPORT_TIMEOUT_S = 5.0
"""Seconds after which a batch is given up, tries and waits together."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class CollectorOptions:
    """How to talk to the collector, and who does.

    Attributes:
        headers: Sent with each request; they may hold credentials.
        compression: `gzip`, `none`, or None: gzip but for a collector on this machine.
        certificate: File of certificates that are trusted instead of the system's.
        client_certificate: File of our own certificate, for a collector that asks for it.
        client_key: File of its key; None where the certificate's file holds it too.
        timeout_s: Seconds after which a batch is given up.
        resource_attributes: `OTEL_RESOURCE_ATTRIBUTES`: attributes of whoever sends.
        protocol: What the collector speaks.
        insecure: gRPC without TLS, where the address does not say.
        exact: HTTP posts to the address as it is; otherwise `/v1/traces` is added.
        pipeline: Who exports.

    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str | None = None
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    timeout_s: float = EXPORT_TIMEOUT_S
    resource_attributes: str = ""
    protocol: TraceProtocol = TraceProtocol.HTTP
    insecure: bool = False
    exact: bool = False
    pipeline: TracePipeline = TracePipeline.LEAN

    def compresses_for(self, host: str) -> bool:
        """Tell whether bytes for this host are worth compressing."""
        return (self.compression or ("none" if host in _LOOPBACK else "gzip")) == "gzip"


def read_options(settings: TracingSettings) -> CollectorOptions:
    """Give the options that the environment asks for.

    Raises:
        UserMistake: The headers are no list of `name=value`, a file is not there, or it holds no
            certificate or key.

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
    _check_certificates(settings)
    return CollectorOptions(
        headers=_read_headers(settings.headers.get_secret_value()),
        compression=settings.compression,
        certificate=settings.certificate,
        client_certificate=settings.client_certificate,
        client_key=settings.client_key,
        timeout_s=settings.timeout_ms / 1000,
        resource_attributes=settings.resource_attributes,
        protocol=settings.protocol,
        insecure=settings.insecure,
        exact=settings.traces_endpoint is not None,
        pipeline=settings.pipeline,
    )


def _check_certificates(settings: TracingSettings) -> None:
    """Load the files once: with a broken one every batch would be lost, and the log not say why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if settings.certificate:
        try:
            context.load_verify_locations(settings.certificate)
        except OSError as error:
            raise UserMistake(
                f"OTEL_EXPORTER_OTLP_CERTIFICATE names {settings.certificate!r}, which holds no "
                "certificate that can be read",
                "Give the path of a PEM file",
            ) from error
    if settings.client_certificate:
        try:
            # An empty password: an encrypted key must not ask for one at the terminal.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except OSError as error:
            raise UserMistake(
                f"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE names {settings.client_certificate!r}, "
                "which holds no certificate with the key that belongs to it",
                "Give a PEM file, and its unencrypted key as OTEL_EXPORTER_OTLP_CLIENT_KEY",
            ) from error


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
